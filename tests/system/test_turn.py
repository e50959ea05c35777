# SPDX-License-Identifier: MIT
"""From a claim to an answer: what is written when, where an answer goes, what becomes of failures."""
import json
import random
import sqlite3
import time

import pytest

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}
DEBUG = {"AGENT_LOG_LEVEL": "debug"}
# Retries wait 10, 40 and 150 ms.
FAST_RETRIES = {"AGENT_RETRY_MS": "10"}

ORIGIN = (sessions.CHANNEL, sessions.PLACE, None)


def block(to, body):
    return f'<message to="{to}">{body}</message>'


def says(text):
    """The mock's literal result."""
    return {"AGENT_MOCK_RESULT": text, **DEBUG}


# Claims


def test_a_claim_is_written_before_the_agent_sees_anything(session):
    """While outbound.db is locked nothing can be claimed, so nothing may be handed on."""
    session.start(DEBUG)
    first = session.add_chat("first")
    session.wait_ack(first)
    with sqlite3.connect(session.outbound, isolation_level=None) as db:
        db.execute("BEGIN IMMEDIATE")
        second = session.add_chat("second")
        assert sessions.stays(lambda: len(session.prompts()) == 1, 1.0)
        db.execute("ROLLBACK")
    db.close()
    session.wait_ack(second)
    assert len(session.prompts()) == 2


def test_a_claim_covers_the_batch_and_says_what_is_replied_to(session):
    ids = session.add_chats(["a", "b"])
    session.start(SLOW).wait_turn(ids)
    assert session.acks() == {i: "processing" for i in ids}
    assert session.state()["in_reply_to"] == ids[0]
    assert session.answers() == []


def test_times_of_acknowledgements_are_utc_text(session):
    message = session.add_chat("hello")
    before = time.time() - 1
    session.start().wait_ack(message)
    row, = session.read("SELECT status_changed, "
                        "strftime('%s', status_changed) + 0 AS s FROM processing_ack")
    assert len(row["status_changed"]) == len("2026-02-04 13:30:00")
    assert before <= row["s"] <= time.time() + 1


# Follow-ups


def test_a_follow_up_joins_the_running_turn(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "1000"})
    first = session.add_chat("first")
    session.start().wait_turn(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    # Claimed while the first is still being worked on, and both wait for their answers.
    assert session.acks() == {first: "processing", second: "processing"}
    session.wait_ack(first)
    session.wait_ack(second)
    assert session.texts() == ["echo: first", "echo: second"]


def test_a_follow_up_stays_claimed_until_its_own_result(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "700"})
    first = session.add_chat("first")
    session.start().wait_turn(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    session.wait_ack(first)
    assert session.acks()[second] == "processing"
    session.wait_ack(second)


def test_a_follow_up_lost_in_a_crash_is_taken_up_again(session):
    first = session.add_chat("first")
    session.start(SLOW).wait_turn(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    session.kill()
    session.start().wait_ack([first, second])
    assert session.texts() == ["echo: first", "echo: second"]


# Results


def snapshot(session):
    """Acks, answers and state as of one moment."""
    with sqlite3.connect(f"file:{session.outbound}?mode=ro", uri=True, timeout=5,
                         isolation_level=None) as db:
        db.execute("BEGIN")
        acks = dict(db.execute("SELECT message_id, status FROM processing_ack"))
        texts = [json.loads(row[0])["text"]
                 for row in db.execute("SELECT content FROM messages_out")]
        state = dict(db.execute("SELECT key, value FROM session_state"))
    db.close()
    return acks, texts, state


def test_answers_acks_and_conversation_are_one_transaction(make_session):
    session = make_session(config={"maxMessagesPerPrompt": 1})
    ids = session.add_chats([f"{i}" for i in range(150)])
    session.start()
    seen = set()
    while len(seen) < len(ids):
        try:
            acks, texts, state = snapshot(session)
        except sqlite3.OperationalError:
            continue
        done = {i for i, status in acks.items() if status == "completed"}
        assert sorted(texts) == sorted(f"echo: {ids.index(i)}" for i in done)
        assert not done or state["continuation:mock"]
        assert session.process.poll() is None, session.explain()
        seen |= done


def test_a_kill_at_any_moment_neither_loses_nor_repeats_an_answer(make_session):
    session = make_session(config={"maxMessagesPerPrompt": 2})
    ids = session.add_chats([f"{i}" for i in range(120)])
    # A fixed seed: the same moments each time, as far as a machine allows.
    moments = random.Random(7)
    for _ in range(12):
        session.start()
        time.sleep(moments.uniform(0.005, 0.06))
        session.kill()
    session.start()
    session.wait(lambda: set(session.acks()) == set(ids) and
                 "processing" not in session.acks().values(), "all acknowledged")
    acks, answers = session.acks(), session.answers()
    # One that was cut off three times is given up, and its sender told.
    given_up = [i for i in ids if acks[i] == "failed"]
    assert len(given_up) <= 12 // 3 * 2
    assert [a.text if a.text.startswith("echo") else a.in_reply_to for a in answers] == \
        [i if i in given_up else f"echo: {n}" for n, i in enumerate(ids)]
    assert all("broken off" in a.text for a in answers if not a.text.startswith("echo"))


def test_an_empty_result_ends_the_turn(session):
    message = session.add_chat("hello")
    session.start(says("")).wait_ack(message)
    assert session.answers() == []
    session.wait_ack(session.add_chat("and again"))


# Blocks


def test_blocks_go_to_their_destinations_in_order(session):
    session.add_destination("work", "Work", channel_type="slack", platform_id="C1")
    message = session.add_chat("hello")
    session.start(says(block("work", "one") + "thinking" + block("casa", " two\n") +
                       block("work", "three"))).wait_ack(message)
    assert [(a.text, a.route) for a in session.answers()] == [
        ("one", ("slack", "C1", None)), ("two", ORIGIN), ("three", ("slack", "C1", None))]


def test_text_outside_of_blocks_is_not_sent(session):
    message = session.add_chat("hello")
    session.start(says("I think " + block("casa", "hi") + " done.")).wait_ack(message)
    assert session.texts() == ["hi"]


def test_internal_text_is_cut_with_the_blocks_in_it(session):
    message = session.add_chat("hello")
    session.start(says("<internal>never " + block("casa", "secret") + "</internal>" +
                       block("casa", "hi<internal> not this</internal>"))).wait_ack(message)
    assert session.texts() == ["hi"]


def test_only_internal_text_is_an_answer_for_nobody(session):
    message = session.add_chat("hello")
    session.start(says("<internal>nothing to say</internal>")).wait_ack(message)
    assert session.answers() == []
    assert len(session.prompts()) == 1


@pytest.mark.parametrize("text", [
    "<message to='casa'>hi</message>",
    '<message  to = "casa"  urgent="yes" >hi</message >',
    '<message to="casa">hi'])
def test_tags_are_read_with_tolerance(session, text):
    message = session.add_chat("hello")
    session.start(says(text)).wait_ack(message)
    assert session.texts() == ["hi"]


def test_of_a_body_with_an_end_tag_nothing_is_cut(session):
    message = session.add_chat("hello")
    session.start(says('<message to="casa">a block ends with </message> as you know</message>')
                  ).wait_ack(message)
    answer, = session.texts()
    assert "as you know" in answer


def test_destinations_may_change_while_it_runs(session):
    session.start(says(block("new", "hi")))
    session.wait_ack(session.add_chat("too early"))
    session.add_destination("new", "New", channel_type="slack", platform_id="C2")
    session.wait_ack(session.add_chat("now"))
    assert session.answers()[-1].route == ("slack", "C2", None)


# The prompt


def prompt_of(session, content, **columns):
    """The prompt that a row becomes, line breaks shown as ?."""
    message = session.add(content, **columns)
    session.start(says("")).wait_ack(message)
    prompt, = session.prompts()
    return prompt


def test_a_message_in_a_prompt(session):
    assert prompt_of(session, {"text": "hello", "sender": "Ann"}) == (
        '<context timezone="UTC" />?'
        '<message id="2" from="casa" sender="Ann" time="Feb 4, 2026, 1:30 PM">hello</message>')


def test_two_messages_in_a_prompt(session):
    ids = session.add_rows([{"content": {"text": "a", "sender": "Ann"}},
                            {"content": {"text": "b", "author": {"userName": "bob"}}}])
    session.start(says("")).wait_ack(ids)
    prompt, = session.prompts()
    assert prompt == (
        '<context timezone="UTC" />?<messages>?'
        '<message id="2" from="casa" sender="Ann" time="Feb 4, 2026, 1:30 PM">a</message>?'
        '<message id="4" from="casa" sender="bob" time="Feb 4, 2026, 1:30 PM">b</message>?'
        '</messages>')


def test_a_reply_and_attachments_in_a_prompt(session):
    prompt = prompt_of(session, {
        "text": "see <this>", "author": {"fullName": 'Ann "A" Lee', "userName": "ann"},
        "replyTo": {"id": "42", "sender": "Bob", "text": "what & why?"},
        "attachments": [{"type": "image", "name": "a.png", "localPath": "inbox/x/a.png"},
                        {"filename": "b.pdf", "url": "https://example.org/b.pdf"}, {}]})
    assert prompt.endswith(
        'sender="Ann &quot;A&quot; Lee" time="Feb 4, 2026, 1:30 PM" reply_to="42">?'
        '  <quoted_message from="Bob">what &amp; why?</quoted_message>?see &lt;this&gt;?'
        f'[image: a.png \u2014 saved to {session.workspace}/inbox/x/a.png]?'
        '[file: b.pdf (https://example.org/b.pdf)]?[file: attachment]</message>')


@pytest.mark.parametrize("zone, shown, when", [
    ("America/New_York", "America/New_York", "Feb 4, 2026, 8:30 AM"),
    ("Asia/Tokyo", "Asia/Tokyo", "Feb 4, 2026, 10:30 PM"),
    ("Nowhere/Land", "UTC", "Feb 4, 2026, 1:30 PM"),
    ("../../etc/passwd", "UTC", "Feb 4, 2026, 1:30 PM")])
def test_times_are_in_the_container_s_zone(make_session, zone, shown, when):
    session = make_session(env={"TZ": zone})
    prompt = prompt_of(session, {"text": "hello"})
    assert prompt.startswith(f'<context timezone="{shown}" />?') and f'time="{when}"' in prompt


# Where to


def test_the_prompt_names_the_destination_a_message_came_from(session):
    session.add_destination("helper", "Helper", kind="agent", agent_group_id="ag-7")
    ids = session.add_rows([
        {"content": {"text": "1"}},
        {"content": {"text": "2"}, "channel_type": "agent", "platform_id": "ag-7"},
        {"content": {"text": "3"}, "channel_type": "irc", "platform_id": "#c"},
        {"content": {"text": "4"}, "channel_type": None, "platform_id": None}])
    session.start(says(block("casa", "ok"))).wait_ack(ids)
    prompt = session.prompts()[0]
    for text, name in (("1", ' from="casa"'), ("2", ' from="helper"'), ("3", ' from="unknown:irc:#c"')):
        element = next(e for e in prompt.split("<message ") if e.split(">")[1].startswith(text))
        assert name in " " + element
    assert "from=" not in prompt.split("<message ")[-1]


def test_an_answer_goes_into_the_thread_of_the_newest_row_of_the_turn(session):
    first, second = session.add_rows([
        {"content": {"text": "1"}, "thread_id": "t1"}, {"content": {"text": "2"}, "thread_id": "t2"}])
    session.start(says(block("casa", "both"))).wait_ack([first, second])
    answer, = session.answers()
    assert answer.thread_id == "t2" and answer.in_reply_to == second


def test_an_answer_elsewhere_goes_into_the_newest_claimed_thread_there(session):
    session.add_destination("work", "Work", channel_type="slack", platform_id="C1")
    session.start(says(block("work", "fyi")))
    slack = {"channel_type": "slack", "platform_id": "C1"}
    old = session.add_chat("at work", thread_id="T-old", **slack)
    session.wait_ack(old)
    session.add_chat("for tomorrow", thread_id="T-future", process_after="2199-01-01 00:00:00", **slack)
    message = session.add_chat("tell them")
    session.wait_ack(message)
    answer = session.answers()[-1]
    assert answer.route == ("slack", "C1", "T-old") and answer.in_reply_to == old


def test_an_answer_to_where_nothing_came_from_has_no_thread(session):
    session.add_destination("work", "Work", channel_type="slack", platform_id="C1")
    message = session.add_chat("tell them", thread_id="t1")
    session.start(says(block("work", "fyi"))).wait_ack(message)
    answer, = session.answers()
    assert answer.route == ("slack", "C1", None) and answer.in_reply_to == message


def test_an_answer_to_an_agent(session):
    session.add_destination("helper", "Helper", kind="agent", agent_group_id="ag-7")
    message = session.add_chat("ask the helper")
    session.start(says(block("helper", "please"))).wait_ack(message)
    answer, = session.answers()
    assert answer.route == ("agent", "ag-7", None) and answer.in_reply_to == message


def test_names_with_odd_characters_are_found(session):
    session.add_destination('a & "b" <c>', None, channel_type="irc", platform_id="#c")
    message = session.add_chat("hello", channel_type="irc", platform_id="#c")
    session.start(DEBUG).wait_ack(message)
    answer, = session.answers()
    assert answer.text == "echo: hello" and answer.route == ("irc", "#c", None)
    # By its name, not as the last resort.
    assert len(session.prompts()) == 1


def test_an_answer_with_odd_text_arrives_unchanged(session):
    text = 'a < b && "c" > d\t\\ \u2028 \U0001f600 é\nline two'
    message = session.add_chat(text)
    session.start().wait_ack(message)
    assert session.texts() == [f"echo: {text}"]


# What reached nobody


def test_an_undelivered_text_is_asked_for_once_and_then_sent_to_the_origin(session):
    message = session.add_chat("hello", thread_id="t1")
    session.start(says("just so")).wait_ack(message)
    answer, = session.answers()
    assert answer.text == "just so"
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, "t1") and answer.in_reply_to == message
    prompt, nudge = session.prompts()
    assert "hello" in prompt
    assert "not" in nudge and "delivered" in nudge and '"casa"' in nudge


def test_each_user_turn_has_its_own_nudge(session):
    session.start(says("just so"))
    for i in range(2):
        session.wait_ack(session.add_chat(f"{i}"))
    assert session.texts() == ["just so", "just so"]
    assert len(session.prompts()) == 4


def test_the_messages_stay_claimed_while_the_agent_is_nudged(session):
    message = session.add_chat("hello")
    session.start({**says("just so"), "AGENT_MOCK_DELAY_MS": "600"}).wait_ack(message)
    # What is acknowledged too early is seen before the second answer.
    assert len(session.prompts()) == 2


def test_an_unknown_destination_is_reported_and_then_not_lost(session):
    message = session.add_chat("hello")
    session.start(says(block("nobody", "hi"))).wait_ack(message)
    answer, = session.answers()
    assert answer.text == "hi" and answer.route == ORIGIN
    _, nudge = session.prompts()
    assert '"nobody"' in nudge and '"casa"' in nudge


def test_an_unknown_destination_costs_the_other_blocks_nothing(session):
    message = session.add_chat("hello")
    session.start(says(block("casa", "one") + block("nobody", "two") + block("casa", "three"))
                  ).wait_ack(message)
    texts = session.texts()
    assert texts[:2] == ["one", "three"] and "two" in texts
    assert len(session.prompts()) == 2


def test_an_unknown_origin_is_answered_all_the_same(session):
    message = session.add_chat("hello", channel_type="irc", platform_id="#c", thread_id="t9")
    session.start().wait_ack(message)
    answer, = session.answers()
    assert answer.text == "echo: hello"
    assert answer.route == ("irc", "#c", "t9") and answer.in_reply_to == message


def test_a_message_from_nowhere_is_answered_at_the_session_s_own_place(session):
    message = session.add_chat("hello", channel_type=None, platform_id=None)
    session.start(says("just so")).wait_ack(message)
    answer, = session.answers()
    assert answer.route == ORIGIN and answer.in_reply_to == message


# Failures


PLAIN_WORDS = {
    "transient": "send your message again",
    "auth": "log in",
    "quota": "limit",
    "crashed": "try again",
    "unavailable": "repair",
    "other": "went wrong",
}


@pytest.mark.parametrize("error", PLAIN_WORDS)
def test_a_failure_is_told_to_the_user(session, error):
    message = session.add_chat("hello", thread_id="t1")
    session.start({"AGENT_MOCK_ERROR": error, **FAST_RETRIES, **DEBUG}).wait_ack(message, "failed")
    answer, = session.answers()
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, "t1") and answer.in_reply_to == message
    # In words of a chat user; the detail stands behind them, for whoever runs it.
    words = answer.text.split("\n\n")[0]
    assert PLAIN_WORDS[error] in words and len(words) > 40
    assert "AGENT_MOCK_ERROR" not in words and error not in words.split()
    assert "AGENT_MOCK_ERROR" in answer.text
    retries = {"transient": 3, "crashed": 2}.get(error, 0)
    assert len(session.prompts()) == 1 + retries
    assert len(session.lines("trying again in")) == retries


@pytest.mark.parametrize("error", ["transient", "crashed"])
def test_retries_wait_longer_each_time(session, error):
    message = session.add_chat("hello")
    before = time.monotonic()
    session.start({"AGENT_MOCK_ERROR": error, "AGENT_RETRY_MS": "20"}).wait_ack(message, "failed")
    # 1, 4 and 15 times the first; 2, 8 and 30 seconds by default.
    spans = [20, 80, 300] if error == "transient" else [20, 80]
    assert [line.split("again in ")[1] for line in session.lines("trying again in")] == \
        [f"{span} ms" for span in spans]
    assert time.monotonic() - before >= sum(spans) / 1000


def test_the_messages_stay_claimed_between_retries(session):
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_ERROR": "transient"})
    session.wait_stderr("trying again in 2000 ms")
    assert session.acks() == {message: "processing"}
    assert session.answers() == []


def test_a_message_that_comes_between_retries_is_not_lost(session):
    first = session.add_chat("first")
    session.start({"AGENT_MOCK_ERROR": "transient", "AGENT_RETRY_MS": "30"})
    session.wait_stderr("trying again in 30 ms")
    second = session.add_chat("second")
    session.wait_ack([first, second], "failed")
    assert session.answers()


@pytest.mark.parametrize("error", ["invalid_session", "too_long"])
def test_a_conversation_that_does_not_serve_is_left_at_once(session, error):
    session.outbound_execute(
        "INSERT INTO session_state VALUES ('continuation:mock', 'old', '')")
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_ERROR": error, **DEBUG}).wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert session.state()["continuation:mock"] != "old"
    # At once: no backoff.
    assert not session.lines("trying again in", "ms")


def test_the_session_goes_on_after_a_failure(session):
    session.start({"AGENT_MOCK_ERROR": "quota"})
    for i in range(3):
        session.wait_ack(session.add_chat(f"{i}"), "failed")
    assert len(session.answers()) == 3
    session.stop()
    session.start().wait_ack(session.add_chat("better now"))


def test_a_failure_of_a_batch_is_told_once(session):
    ids = session.add_chats(["a", "b", "c"])
    session.start({"AGENT_MOCK_ERROR": "auth"}).wait_ack(ids, "failed")
    assert len(session.answers()) == 1


def test_a_failing_agent_is_never_nudged(session):
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_ERROR": "other", **DEBUG}).wait_ack(message, "failed")
    assert len(session.prompts()) == 1


# Long texts


def test_a_very_long_message_goes_into_a_file(session):
    text = "many words " * 100000
    message = session.add_chat(text)
    session.start().wait_ack(message)
    file, = (session.workspace / "inbox" / message).iterdir()
    assert text.strip() in file.read_text()
    # The echo is what the prompt held.
    echo, = session.texts()
    assert len(echo) < 65536 and str(file) in echo


def test_a_message_beyond_all_bounds_fails_alone(session):
    big, small = session.add_chats(["x" * (17 * 1024 * 1024), "small"])
    session.start().wait_ack(big, "failed")
    session.wait_ack(small)
    told, answer = session.texts()
    assert "too large" in told and answer == "echo: small"
    assert len(session.lines("warning", big)) == 1
