# SPDX-License-Identifier: MIT
"""Slash commands: which words are ones, their place in the order, what they do."""
import time

import pytest

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}
DEBUG = {"AGENT_LOG_LEVEL": "debug"}


# /clear


def test_clear_forgets_the_conversation_and_says_so(session):
    session.start().wait_ack(session.add_chat("hello"))
    before = session.state()["continuation:mock"]
    clear = session.add_chat("/clear", thread_id="t1")
    session.wait_ack(clear)
    answer = session.answers()[-1]
    assert answer.text == "Session cleared." and answer.in_reply_to == clear
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, "t1")
    assert "continuation:mock" not in session.state()
    session.wait_ack(session.add_chat("anew"))
    assert session.state()["continuation:mock"] != before


def test_clear_keeps_its_place_in_the_order(session):
    ids = session.add_chats(["before", "/clear", "after"])
    session.start(DEBUG).wait_ack(ids)
    assert session.texts() == ["echo: before", "Session cleared.", "echo: after"]
    # A turn, a clear, a turn: in two conversations.
    assert len(session.prompts()) == 2
    assert len(session.lines("new conversation")) == 2


def test_several_clears(session):
    ids = session.add_chats(["/clear", "/clear", "one", "/clear", "two", "/clear"])
    session.start().wait_ack(ids)
    cleared = "Session cleared."
    assert session.texts() == [cleared, cleared, "echo: one", cleared, "echo: two", cleared]
    assert "continuation:mock" not in session.state()


def test_clear_waits_for_the_running_turn(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "500"})
    first = session.add_chat("first")
    session.start().wait_turn(first)
    clear, last = session.add_chats(["/clear", "last"])
    session.wait_ack([first, clear, last])
    assert session.texts() == ["echo: first", "Session cleared.", "echo: last"]


@pytest.mark.parametrize("text", ["  /clear\n", "/CLEAR", "/clear please"])
def test_the_first_word_of_the_trimmed_text_counts(session, text):
    message = session.add_chat(text)
    session.start().wait_ack(message)
    assert session.texts() == ["Session cleared."]


@pytest.mark.parametrize("text", [
    "/clearly not", "/etc/hosts is broken", "/", "/unknown word", "please /clear", "/clear,"])
def test_any_other_text_is_chat(session, text):
    first = session.add_chat("hello")
    session.start().wait_ack(first)
    kept = session.state()["continuation:mock"]
    session.wait_ack(session.add_chat(text))
    assert session.texts()[-1] == f"echo: {text}"
    assert session.state()["continuation:mock"] == kept


def test_only_chat_has_commands(session):
    hook = session.add({"text": "/clear"}, kind="webhook")
    context = session.add_chat("/clear", trigger=0)
    message = session.add_chat("hello")
    session.start().wait_ack([hook, context, message])
    assert "Session cleared." not in session.texts()


def test_chat_sdk_has_them_too(session):
    message = session.add_chat("/clear", kind="chat-sdk")
    session.start().wait_ack(message)
    assert session.texts() == ["Session cleared."]


# Commands of the agent


@pytest.mark.parametrize("word", ["/compact", "/context", "/cost", "/files", "/remote-control"])
def test_a_command_of_the_agent_goes_raw_and_alone(session, word):
    ids = session.add_chats(["before", f" {word} the rest ", "after"])
    session.start(DEBUG).wait_ack(ids)
    before, command, after = session.prompts()
    assert "before" in before and "after" in after
    assert command == f"{word} the rest"


def test_words_that_the_agent_announced_are_commands(session):
    """The mock announces /mock; at the start nobody knows that yet."""
    ids = session.add_chats(["before", "/mock now", "/mocking is chat"])
    session.start(DEBUG).wait_ack(ids)
    prompts = session.prompts()
    assert prompts[1] == "/mock now" and len(prompts) == 3
    assert "/mocking is chat" in prompts[2]


def test_the_answer_to_a_command_goes_to_who_gave_it(session):
    message = session.add_chat("/cost", thread_id="t1")
    session.start().wait_ack(message)
    answer, = session.answers()
    assert answer.text == "echo: /cost" and answer.in_reply_to == message
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, "t1")


# /stop


def test_stop_interrupts_the_turn(session):
    first = session.add_chat("a long story")
    session.start(SLOW).wait_turn(first)
    session.wait_stderr("agent mock started")
    stop = session.add_chat("/stop", thread_id="t1")
    before = time.monotonic()
    session.wait_ack([first, stop])
    assert time.monotonic() - before < 2
    answer, = session.answers()
    assert answer.text == "Stopped." and answer.in_reply_to == stop
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, "t1")


def test_stop_ends_the_follow_ups_too(session):
    first = session.add_chat("first")
    session.start(SLOW).wait_turn(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    stop = session.add_chat("/stop")
    session.wait_ack([first, second, stop])
    assert session.texts() == ["Stopped."]


def test_after_a_stop_the_session_goes_on(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "1000"})
    first = session.add_chat("first")
    session.start().wait_turn(first)
    kept = session.add_chats(["/stop", "next"])
    session.wait_ack([first, *kept])
    assert session.texts() == ["Stopped.", "echo: next"]


def test_stop_ends_what_came_in_the_same_moment(session):
    """In one commit, the message first: it is stopped with the rest, and not answered later."""
    first = session.add_chat("first")
    session.start(SLOW).wait_turn(first)
    session.wait_stderr("agent mock started")
    rest = session.add_chats(["second", "/stop"])
    session.wait_ack([first, *rest])
    assert session.texts() == ["Stopped."]


def test_a_word_that_may_be_a_command_is_answered_without_an_agent(session):
    """An agent that cannot be started announces no commands: they are not waited for."""
    word = session.add_chat("/foo")
    session.start({"AGENT_MOCK_DELAY_MS": "soon"}).wait_ack(word, "failed")
    answer, = session.texts()
    assert answer.startswith("I cannot work")
    assert len(session.lines("AGENT_MOCK_DELAY_MS")) < 5


def test_stop_keeps_what_was_finished(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "500"})
    first = session.add_chat("first")
    session.start().wait_ack(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    session.wait_ack([second, session.add_chat("/stop")])
    assert session.texts() == ["echo: first", "Stopped."]


def test_stop_is_chat_when_nothing_runs(session):
    message = session.add_chat("/stop")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: /stop"]


def test_stop_ends_the_wait_for_a_retry(session):
    first = session.add_chat("first")
    session.start({"AGENT_MOCK_ERROR": "transient", "AGENT_RETRY_MS": "3600000"})
    session.wait_stderr("trying again in")
    stop = session.add_chat("/stop")
    session.wait_ack([first, stop])
    assert session.texts() == ["Stopped."]


def test_stop_overtakes_what_waits_behind_a_command(session):
    """A /clear waits for the turn to end; the /stop behind it must not wait with it."""
    first = session.add_chat("first")
    session.start(SLOW).wait_turn(first)
    session.wait_stderr("agent mock started")
    clear, stop = session.add_chats(["/clear", "/stop"])
    session.wait_ack([first, clear, stop])
    assert session.texts() == ["Stopped.", "Session cleared."]
