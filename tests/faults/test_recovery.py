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


# The message that breaks the agent


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


@pytest.mark.parametrize("plan, processes", [
    ({"turns": [[*BEGUN]]}, 1),
    ({"turns": [[*BEGUN, "hang"]]}, 2),
    ({"turns": [[*BEGUN, "ignore:SIGTERM", "hang"]]}, 2),
    ({"turns": [[*BEGUN, "kill:SIGSTOP"]]}, 2),
    ({"initialize": []}, 2),
    ({"turns": [[*BEGUN]], "interrupt": ["kill:SIGSEGV"]}, 2),
    ({"turns": [[*BEGUN]], "interrupt": []}, 2),
], ids=["heeds an interrupt", "reads nothing", "ignores SIGTERM", "stopped", "never ready",
        "dies of the interrupt", "ignores the interrupt"])
def test_an_agent_that_hangs_is_stopped_and_asked_again(make_rude, plan, processes):
    session = make_rude(plan, config=HASTY)
    before = time.monotonic()
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    notice, answer = session.texts()
    assert SILENCE in notice and answer == "echo: hello"
    assert starts(session) == processes
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
