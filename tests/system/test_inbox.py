# SPDX-License-Identifier: MIT
"""Which rows are taken up, when, in what order: the host's commits on one side, claims on the other."""
import os
import sqlite3
import time

import pytest

import session as sessions

# With this the poll cannot be what noticed a message.
NEVER = "3600000"
SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}
DEBUG = {"AGENT_LOG_LEVEL": "debug"}

BY_INOTIFY = {"AGENT_POLL_IDLE_MS": NEVER, "AGENT_POLL_ACTIVE_MS": NEVER}
BY_POLL = {"AGENT_WATCH": "poll", "AGENT_POLL_IDLE_MS": "20", "AGENT_POLL_ACTIVE_MS": "20"}


@pytest.fixture(params=[BY_INOTIFY, BY_POLL], ids=["inotify", "poll"])
def watching(request, make_session):
    """A session in which one way alone leads to a new message; running, and idle."""
    session = make_session(env=request.param)
    first = session.add_chat("first")
    session.start().wait_ack(first)
    return session


def moment(seconds):
    """A process_after so far from now, as hosts write it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(time.time() + seconds))


# Noticing


def test_a_new_message_is_noticed(watching):
    for i in range(5):
        watching.wait_ack(watching.add_chat(f"message {i}"))


def test_a_commit_of_many_rows_is_one_prompt(watching):
    ids = watching.add_chats(["a", "b", "c"])
    watching.wait_ack(ids)
    assert watching.texts()[1:] == ["echo: a", "echo: b", "echo: c"]


def test_a_replaced_file_is_noticed(watching):
    """A host may restore the file under another inode."""
    other = watching.base / "other.db"
    with sqlite3.connect(watching.inbound) as source, sqlite3.connect(other) as target:
        source.backup(target)
        target.execute("""INSERT INTO messages_in (id, seq, kind, timestamp, content)
            VALUES ('in-new', 100, 'chat', '2026-02-04 13:30:00', '{"text": "from the new file"}')""")
    source.close()
    target.close()
    os.replace(other, watching.inbound)
    watching.wait_ack("in-new")
    # And the new file goes on being watched.
    watching.wait_ack(watching.add_chat("later"))


def test_poll_means_that_inotify_is_not_used(make_session):
    session = make_session(env={"AGENT_WATCH": "poll", "AGENT_POLL_IDLE_MS": NEVER})
    first = session.add_chat("first")
    session.start().wait_ack(first)
    # The end of a turn is followed by a look, which needs neither.
    loop = session.loop_pid()
    session.wait(lambda: sessions.process_state(loop) == "S", "an idle loop")
    second = session.add_chat("second")
    assert sessions.stays(lambda: second not in session.acks(), 0.5)


def test_a_turn_has_its_own_poll(make_session):
    session = make_session(env={"AGENT_WATCH": "poll", "AGENT_POLL_IDLE_MS": NEVER,
                                "AGENT_POLL_ACTIVE_MS": "20", **SLOW})
    first = session.add_chat("first")
    session.start().wait_turn(first)
    session.wait_turn(session.add_chat("follow-up"))


def test_the_database_is_not_written_by_the_runner(session):
    message = session.add_chat("hello")
    before = session.inbound.read_bytes()
    session.start().wait_ack(message)
    session.stop()
    assert session.inbound.read_bytes() == before
    assert not session.inbound.with_name("inbound.db-journal").exists()


def test_a_database_that_cannot_be_written_is_enough(session):
    message = session.add_chat("hello")
    session.inbound.chmod(0o444)
    session.start().wait_ack(message)


# When


def test_a_scheduled_message_is_taken_when_it_falls_due(make_session):
    """No poll and no commit of the host's wakes the loop: a timer does."""
    session = make_session(env=BY_INOTIFY)
    due = time.time() + 2
    message = session.add_chat("later", process_after=moment(2))
    session.start()
    session.wait_ack(message)
    # Whole seconds is all that the database has.
    assert int(due) <= time.time() < due + 1
    assert session.texts() == ["echo: later"]


def test_the_next_of_several_is_the_timer(make_session):
    session = make_session(env=BY_INOTIFY)
    far, near = (session.add_chat(f"in {s} s", process_after=moment(s)) for s in (3600, 1))
    session.start().wait_ack(near)
    assert far not in session.acks()


@pytest.mark.parametrize("zoned", [
    "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S.000Z", "%Y-%m-%dT%H:%M:%S+00:00",
    "%Y-%m-%d %H:%M:%S"])
def test_every_way_to_write_a_time(session, zoned):
    past, future = (time.strftime(zoned, time.gmtime(time.time() + s)) for s in (-5, 3600))
    due, not_due = (session.add_chat("x", process_after=t) for t in (past, future))
    session.start().wait_ack(due)
    assert not_due not in session.acks()
    assert not session.lines("process_after")


@pytest.mark.parametrize("odd", ["", "1770000000000", "tomorrow"])
def test_a_time_that_is_none_is_now_with_a_warning(session, odd):
    message = session.add_chat("x", process_after=odd)
    session.start().wait_ack(message)
    line, = session.lines("warning", message)
    assert "process_after" in line


def test_a_time_without_a_zone_is_utc(make_session):
    session = make_session(env={"TZ": "America/New_York"})
    due, not_due = (session.add_chat("x", process_after=moment(s)) for s in (-60, 3600))
    session.start().wait_ack(due)
    assert not_due not in session.acks()


# Which


@pytest.mark.parametrize("status", ["completed", "failed", "paused"])
def test_only_pending_rows_are_due(session, status):
    other, pending = session.add_chat("other", status=status), session.add_chat("pending")
    session.start().wait_ack(pending)
    assert session.acks() == {pending: "completed"}


def test_on_wake_rows_belong_to_the_first_look(session):
    early = session.add_chat("woken", on_wake=1)
    session.start(DEBUG).wait_ack(early)
    # The first look ends when one finds nothing more.
    session.wait_stderr("all that was due at the start is taken")
    late, after = session.add_chat("too late", on_wake=1), session.add_chat("after")
    session.wait_ack(after)
    assert session.texts() == ["echo: woken", "echo: after"]
    assert late not in session.acks()
    session.stop()
    session.start().wait_ack(late)


def test_an_on_wake_row_behind_a_full_prompt_is_not_lost(make_session):
    session = make_session(config={"maxMessagesPerPrompt": 2})
    ids = session.add_chats([f"{i}" for i in range(5)])
    last = session.add_chat("woken", on_wake=1)
    session.start().wait_ack([*ids, last])


def test_system_rows_never_start_or_join_a_turn(session):
    answer = session.add({"questionId": "q", "answer": "yes"}, kind="system")
    message = session.add_chat("hello")
    session.start(DEBUG).wait_ack([answer, message])
    assert session.texts() == ["echo: hello"]
    assert not any("system_response" in prompt for prompt in session.prompts())


def test_an_unknown_kind_fails_alone_with_a_line(session):
    before, odd, after = session.add_rows([
        {"content": {"text": "before"}},
        {"content": {"text": "odd"}, "kind": "telepathy"},
        {"content": {"text": "after"}}])
    session.start().wait_ack([before, after])
    session.wait_ack(odd, "failed")
    line, = session.lines("warning", odd)
    assert "telepathy" in line
    assert session.texts() == ["echo: before", "echo: after"]


@pytest.mark.parametrize("kind", ["chat", "chat-sdk"])
def test_both_kinds_of_chat(session, kind):
    message = session.add_chat("hello", kind=kind)
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_a_webhook_reaches_the_agent(session):
    message = session.add({"source": "ci", "event": "push", "payload": {"ref": "main </webhook>"}},
                          kind="webhook")
    session.start(DEBUG).wait_ack(message)
    prompt, = session.prompts()
    assert '<webhook from="casa" source="ci" event="push">' in prompt
    assert 'main &lt;/webhook&gt;' in prompt and prompt.count("</webhook>") == 1


# Context


def test_context_alone_wakes_nobody(watching):
    context = watching.add_chat("by the way", trigger=0)
    assert sessions.stays(lambda: context not in watching.acks(), 0.5)


def test_context_rides_along_in_its_place(session):
    a, b, c, d = session.add_rows([
        {"content": {"text": "first"}, "trigger": 0}, {"content": {"text": "second"}},
        {"content": {"text": "third"}, "trigger": 0}, {"content": {"text": "fourth"}}])
    session.start().wait_ack([a, b, c, d])
    assert session.texts() == ["echo: first", "echo: second", "echo: third", "echo: fourth"]


def test_context_behind_the_last_waking_row_waits(session):
    wake, context = session.add_rows([
        {"content": {"text": "wake"}}, {"content": {"text": "later context"}, "trigger": 0}])
    session.start().wait_ack(wake)
    assert context not in session.acks()
    session.wait_ack([session.add_chat("wake again"), context])
    assert session.texts() == ["echo: wake", "echo: later context", "echo: wake again"]


def test_context_that_finds_no_room_is_acknowledged_and_counted(make_session):
    session = make_session(config={"maxMessagesPerPrompt": 3}, env=DEBUG)
    ids = session.add_chats([f"context {i}" for i in range(6)], trigger=0)
    ids.append(session.add_chat("wake"))
    session.start().wait_ack(ids)
    # The newest are kept.
    assert session.texts() == ["echo: context 4", "echo: context 5", "echo: wake"]
    prompt, = session.prompts()
    assert '<omitted count="4"' in prompt


# Order and number


def test_pending_messages_are_all_answered_in_order(session):
    ids = session.add_chats([f"message {i}" for i in range(1000)])
    session.start().wait_ack(ids, timeout=60)
    assert session.texts() == [f"echo: message {i}" for i in range(1000)]


@pytest.mark.parametrize("limit", [1, 3, 1000])
def test_a_prompt_holds_at_most_the_configured_number(make_session, limit):
    session = make_session(config={"maxMessagesPerPrompt": limit}, env=DEBUG)
    ids = session.add_chats([f"{i}" for i in range(7)])
    session.start().wait_ack(ids)
    sizes = [prompt.count("<message ") for prompt in session.prompts()]
    assert max(sizes) == min(limit, 7) and sum(sizes) == 7
    assert session.texts() == [f"echo: {i}" for i in range(7)]


def test_ten_is_the_default(session):
    ids = session.add_chats([f"{i}" for i in range(25)])
    session.start(DEBUG).wait_ack(ids)
    assert max(prompt.count("<message ") for prompt in session.prompts()) == 10


def test_messages_that_arrive_all_the_time_keep_their_order(session):
    session.start()
    ids = [session.add_chat(f"message {i}") for i in range(50)]
    session.wait_ack(ids)
    assert session.texts() == [f"echo: message {i}" for i in range(50)]


def test_order_is_by_seq_then_by_row(session):
    session.add_rows([{"content": {"text": "c"}, "seq": 30}, {"content": {"text": "no seq 1"}, "seq": None},
                      {"content": {"text": "a"}, "seq": 10}, {"content": {"text": "no seq 2"}, "seq": None},
                      {"content": {"text": "b"}, "seq": 20}])
    session.start().wait_answers(5)
    assert session.texts() == [f"echo: {t}" for t in ("a", "b", "c", "no seq 1", "no seq 2")]


def test_a_message_without_a_seq_has_no_id_in_the_prompt(session):
    message = session.add_chat("hello", seq=None)
    session.start(DEBUG).wait_ack(message)
    prompt, = session.prompts()
    assert "<message from=" in prompt and "id=" not in prompt


def test_many_old_messages_do_not_hold_up_a_new_one(session):
    session.add_chats([f"old {i}" for i in range(20000)], status="completed")
    message = session.add_chat("new")
    session.start().wait_ack(message)


# Older hosts


OLD_INBOUND = """
    DROP TABLE messages_in; DROP TABLE session_routing; DROP TABLE delivered;
    CREATE TABLE messages_in (id TEXT PRIMARY KEY, seq INTEGER UNIQUE, kind TEXT NOT NULL,
        timestamp TEXT NOT NULL, status TEXT DEFAULT 'pending', process_after TEXT, recurrence TEXT,
        tries INTEGER DEFAULT 0, platform_id TEXT, channel_type TEXT, thread_id TEXT,
        content TEXT NOT NULL);"""


def test_an_older_host_lacks_columns_and_tables(session):
    session.inbound_execute(OLD_INBOUND)
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert not session.lines("warning") and not session.lines("error")


def test_a_host_without_destinations(session):
    session.inbound_execute(OLD_INBOUND + "DROP TABLE destinations;")
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    # Nobody to address: the answer goes to where the message came from.
    answer = session.wait_answer()
    assert "hello" in answer.text and answer.route == (sessions.CHANNEL, sessions.PLACE, None)


def test_a_newer_host_has_more_columns(session):
    session.inbound_execute("""ALTER TABLE messages_in ADD COLUMN priority INTEGER DEFAULT 3;
        CREATE TABLE of_tomorrow (x);""")
    message = session.add_chat("hello")
    session.start().wait_ack(message)
