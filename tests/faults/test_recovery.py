# SPDX-License-Identifier: MIT
"""
What a user notices of a turn that was cut off: that the answer takes longer, and little else.

The agent is tests/faults/rude_agent.py; what it is told stands in its log.
"""
import time

import pytest

import faults
import session as sessions

BEGUN = ["init:one", "replay"]
SAID = [*BEGUN, "text:<message to=\"casa\">on it</message>", "tool-use"]
HASTY = {"agentSilenceSeconds": 1, "agentInterruptSeconds": 1}
SILENCE = "given no sign of life for 1 second"


def prompts(session):
    return [line["text"] for line in faults.rude_log(session, "user")]


def starts(session):
    return len(faults.rude_log(session, "start"))


# What was sent already


def test_the_agent_is_told_what_was_sent(make_rude):
    session = make_rude({"turn": [*SAID, "kill:SIGKILL"]})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.texts() == ["on it", "echo: hello"]
    first, second = prompts(session)
    assert "<system>" not in first
    assert second.startswith("<system>Your work on what follows was broken off. This was already "
                             "sent: \"on it\" to \"casa\".")
    assert second.endswith(first)
    # The conversation goes on.
    assert len(session.lines("agent claude started, resuming one")) == 1


def test_what_it_repeats_word_for_word_is_not_sent_again(make_rude):
    session = make_rude({"turn": [*SAID, "kill:SIGKILL"]},
                        {"turn": [*SAID, "tool-result", "text", "result"]})
    session.start().wait_ack(session.add_chat("hello"))
    assert session.texts() == ["on it", "echo: hello"]


def test_a_killed_container_is_told_of_too(make_rude):
    session = make_rude({"turn": [*SAID, "hang"]})
    message = session.add_chat("hello")
    session.start().wait_answer("on it")
    session.kill()
    session.start().wait_ack(message)
    assert session.texts() == ["on it", "echo: hello"]
    assert "already sent: \"on it\"" in prompts(session)[1]


def test_a_container_that_was_stopped_is_told_of_too(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "hang"]}] * 4)
    message = session.add_chat("hello")
    # However often: an end in order is no fault of the message.
    for count in range(4):
        session.start()
        session.wait(lambda c=count: len(prompts(session)) > c, "the prompt")
        assert session.stop() == 0
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert all("Nothing of it had been sent" in p for p in prompts(session)[1:])


def says(words):
    return f"text:<message to=\"casa\">{words}</message>"


def test_an_answer_to_another_message_may_have_the_same_words(make_rude):
    """"Done." was sent for the first one before it was cut off; the second one wants its own."""
    session = make_rude({"turn": [*BEGUN, says("Done."), "tool-use", "kill:SIGKILL"]},
                        {"turns": [[*BEGUN, says("Done."), "result:empty"],
                                   [*BEGUN, says("Done."), "result:empty"]]})
    first = session.add_chat("one")
    session.start().wait_ack(first)
    assert session.texts() == ["Done."]
    session.wait_ack(session.add_chat("two"))
    assert session.texts() == ["Done.", "Done."]


def test_what_could_not_be_delivered_may_be_sent_again(make_rude):
    session = make_rude({"turn": [*SAID, "hang"]},
                        {"turn": [*SAID, "tool-result", "text", "result"]})
    message = session.add_chat("hello")
    lost = session.start().wait_answer("on it")
    session.kill()
    with session.inbound_transaction() as db:
        db.execute("INSERT INTO delivered VALUES (?, NULL, 'failed', '')", (lost.id,))
    session.start().wait_ack(message)
    assert session.texts() == ["on it", "on it", "echo: hello"]


def test_an_agent_that_has_nothing_to_add_is_left_alone(make_rude):
    session = make_rude({"turn": [*SAID, "kill:SIGKILL"]},
                        {"turn": [*BEGUN, "text:All of it was sent.", "result:empty"]})
    session.start().wait_ack(session.add_chat("hello"))
    assert session.texts() == ["on it"]
    assert len(prompts(session)) == 2


def test_a_message_that_is_parted_from_its_batch_knows_what_was_sent(make_rude):
    session = make_rude(*[{"turn": [*SAID, "kill:SIGKILL"]}] * 2,
                        {"turn": [*SAID, "tool-result", "text", "result"]})
    ids = session.add_chats(["one", "two"])
    session.start().wait_ack(ids)
    assert session.texts() == ["on it", "echo: one", "echo: two"], session.explain()
    assert all("already sent: \"on it\"" in p for p in prompts(session)[1:])


def test_what_is_for_the_start_of_a_container_is_tried_again_in_it(make_rude):
    session = make_rude({"turn": [*BEGUN, "kill:SIGKILL"]})
    message = session.add_chat("wake up", on_wake=1)
    session.start().wait_ack(message)
    assert session.texts() == ["echo: wake up"]
    # A later one waits for the next container all the same.
    later = session.add_chat("and again", on_wake=1)
    faults.goes_on(session)
    assert later not in session.acks()


# The message that breaks the agent


def test_context_is_not_what_breaks_the_agent(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "kill:SIGKILL"]}] * 4)
    session.add_chat("by the way", trigger=0)
    first = session.add_chat("one")
    session.start().wait_ack(first, "failed")
    # The context came with each attempt; the next message has all of its own.
    session.wait_ack(session.add_chat("two"))
    assert session.texts()[-1] == "echo: two"


def test_what_is_given_up_is_told_to_somebody(make_rude):
    """A task may have no address of its own."""
    session = make_rude(*[{"turn": [*BEGUN, "hang"]}] * 3)
    task = session.add_task("look", channel_type=None, platform_id=None)
    for count in range(3):
        session.start()
        session.wait(lambda c=count: len(prompts(session)) > c, "the prompt")
        session.kill()
    session.start().wait_ack(task, "failed")
    error, = session.answers()
    assert error.route == (sessions.CHANNEL, sessions.PLACE, None)
    assert error.in_reply_to == task


def test_a_host_that_clears_claims_before_it_stops_the_container(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "hang"]}] * 4)
    message = session.add_chat("hello")
    for count in range(4):
        session.start()
        session.wait(lambda c=count: len(prompts(session)) > c, "the prompt")
        session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
        assert session.stop() == 0
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_a_start_that_fails_in_passing(make_rude):
    """One that has worked before is not missing."""
    session = make_rude({"turn": [*BEGUN, "kill:SIGKILL"]}, {"start": ["exit:1"]})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_a_message_that_breaks_the_agent_takes_no_other_with_it(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "kill-on:poison", "text", "result"]}] * 8)
    ids = session.add_chats(["one", "poison", "two"])
    session.start()
    faults.wait_settled(session, ids)
    assert session.acks() == dict(zip(ids, ["completed", "failed", "completed"])), session.explain()
    one, error, two = session.answers()
    assert (one.text, two.text) == ("echo: one", "echo: two")
    assert "broke off while it worked" in error.text and error.in_reply_to == ids[1]
    # Together twice, then each by itself.
    assert ["poison" in p for p in prompts(session)] == [True, True, False, True, False]
    faults.goes_on(session)


def test_a_message_that_breaks_the_container_is_left(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "hang"]}] * 3)
    message = session.add_chat("poison")
    for count in range(3):
        session.start()
        session.wait(lambda c=count: len(prompts(session)) > c, "the prompt")
        session.kill()
    behind = session.add_chat("hello")
    session.start().wait_ack(behind)
    assert session.acks()[message] == "failed"
    error, answer = session.answers()
    assert error.in_reply_to == message and "each time my work was broken off" in error.text
    assert answer.text == "echo: hello"
    assert len(session.lines(f"message {message}: 3 attempts at it broke off")) == 1
    assert session.read("SELECT * FROM attempts") == []


def test_a_script_that_woke_the_agent_does_not_run_again(make_rude):
    session = make_rude({"turn": [*BEGUN, "kill:SIGKILL"]}, {"turn": [*BEGUN, "hang"]})
    script = "echo x >> ran; echo '{\"wakeAgent\": true, \"data\": {\"found\": 7}}'"
    task = session.add_task("look", script=script)
    session.start()
    session.wait(lambda: len(prompts(session)) == 2, "the second prompt")
    session.kill()
    session.start().wait_ack(task)
    assert (session.workspace / "agent/ran").read_text() == "x\n"
    assert len(prompts(session)) == 3
    assert all("&quot;found&quot;: 7" in p for p in prompts(session))


# An agent that hangs


@pytest.mark.parametrize("plan", [
    {"turns": [[*BEGUN]]},
    {"turns": [[*BEGUN, "hang"]]},
    {"turns": [[*BEGUN, "ignore:SIGTERM", "hang"]]},
    {"turns": [[*BEGUN, "kill:SIGSTOP"]]},
    {"initialize": []},
    {"turns": [[*BEGUN]], "interrupt": ["kill:SIGSEGV"]},
    {"turns": [[*BEGUN]], "interrupt": []},
    {"turns": [[*BEGUN]], "interrupt": ["answer", "interrupted", "sleep:0.05", "text", "result"]},
], ids=["heeds an interrupt", "reads nothing", "ignores SIGTERM", "stopped", "never ready",
        "dies of the interrupt", "ignores the interrupt", "answers behind it"])
def test_an_agent_that_hangs_is_stopped_and_asked_again(make_rude, plan):
    session = make_rude(plan, config=HASTY)
    before = time.monotonic()
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    notice, answer = session.texts()
    assert SILENCE in notice and answer == "echo: hello"
    assert starts(session) == 2
    assert len(session.lines("the agent hangs")) == 1
    # A second of silence, a second for the interrupt, a second for SIGTERM.
    assert 1 <= time.monotonic() - before < 8
    faults.goes_on(session)


def test_an_agent_that_hangs_for_good_is_given_up(make_rude):
    session = make_rude(*[{"turn": [*BEGUN, "hang"]}] * 3, config=HASTY)
    message = session.add_chat("hello")
    session.start().wait_ack(message, "failed")
    assert [SILENCE in t for t in session.texts()] == [True, True, False]
    assert "it gave no sign of life for 1 s" in session.texts()[2]
    faults.goes_on(session)


def test_an_agent_that_shows_life_may_take_its_time(make_rude):
    session = make_rude({"turns": [[*BEGUN, *["sleep:0.4", "noise:10000"] * 6, "text", "result"]]},
                        config=HASTY)
    session.start().wait_ack(session.add_chat("hello"))
    assert session.texts() == ["echo: hello"]
    assert not session.lines("the agent hangs")


def test_a_tool_may_take_the_time_that_it_declared(make_rude):
    session = make_rude({"turns": [[*BEGUN, "tool-use", "sleep:2.5", "tool-result", "text",
                                    "result"]]}, config=HASTY)
    session.start().wait_ack(session.add_chat("hello"))
    assert session.texts() == ["echo: hello"]


def test_others_are_no_sign_of_life_of_the_agent(make_rude):
    session = make_rude({"turns": [[*BEGUN, "hang"]]}, config=HASTY)
    message = session.add_chat("hello")
    session.start().wait_turn(message)
    deadline = time.monotonic() + 5
    while not session.lines("the agent hangs"):
        assert time.monotonic() < deadline, session.explain()
        session.add_task("look", script="echo '{\"wakeAgent\": false}'")
        time.sleep(0.3)
    session.wait_ack(message)


def test_the_watchdog_can_be_turned_off(make_rude):
    session = make_rude({"turn": [*BEGUN, "hang"]}, config={"agentSilenceSeconds": 0})
    message = session.add_chat("hello")
    session.start().wait_turn(message)
    assert sessions.stays(lambda: session.texts() == [], 2.5)
    stop = session.add_chat("/stop")
    session.wait_ack([message, stop], timeout=15)


def test_stop_while_an_agent_is_being_woken(make_rude):
    """The user is quicker than the bound: what was stopped is not tried again."""
    session = make_rude({"turns": [[*BEGUN]], "interrupt": []},
                        config={"agentSilenceSeconds": 1, "agentInterruptSeconds": 3})
    message = session.add_chat("hello")
    session.start().wait_stderr("the agent hangs")
    session.wait_ack([session.add_chat("/stop"), message], timeout=15)
    assert not [t for t in session.texts() if t.startswith("echo")]
    faults.goes_on(session)
