# SPDX-License-Identifier: MIT
"""
An agent that speaks ACP, fake_acp.py, answers the messages of a session folder; and what becomes of
them when it is rude.
"""
import json
import pathlib
import shutil

import pytest

import session as sessions
from test_healthcheck import probe

FAKE = pathlib.Path(__file__).parent / "fake_acp.py"
PATIENCE = 30.0


@pytest.fixture
def acp(make_session):
    """Makes sessions with the fake agent under a provider's name; arguments are the agent's."""
    def make(*arguments, provider="acp", env=None, **options):
        session = make_session(provider=provider, env={"AGENT_RETRY_MS": "10", **(env or {})},
                               **options)
        # Where the runner's user can read it, wherever the checkout is.
        agent = session.base / "fake_acp.py"
        shutil.copy(FAKE, agent)
        session.env.setdefault("AGENT_ACP_COMMAND", " ".join([str(agent), *arguments]))
        return session
    return make


def log(session):
    """What the agent was given, in all its lives."""
    path = session.home / "acp.log"
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().splitlines()]


def calls(session, method):
    return [m["params"] for m in log(session) if m.get("method") == method]


def prompts(session):
    return [c["prompt"][0]["text"] for c in calls(session, "session/prompt")]


def lives(session):
    return sum("pid" in m for m in log(session))


def answer(session, words, *texts):
    before = len(session.texts())
    message = session.add_chat(words)
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts()[before:] == list(texts)
    return message


# The first trip


def test_first_answer(acp):
    session = acp()
    message = answer(session.start(), "hello", "echo: hello")
    assert session.answers()[0].in_reply_to == message
    hello, = calls(session, "initialize")
    assert hello["protocolVersion"] == 1 and hello["clientCapabilities"]["terminal"] is False
    opened, = calls(session, "session/new")
    assert opened["cwd"] == str(session.workspace / "agent")
    server, = opened["mcpServers"]
    assert server["name"] == "nanoclaw" and server["args"] and "type" not in server
    assert all(set(pair) == {"name", "value"} for pair in server["env"])
    assert session.state()["continuation:acp"] == "session-1"
    assert session.stop() == 0
    assert lives(session) == 1


def test_instructions_stand_in_the_first_prompt_alone(acp):
    session = acp().start()
    answer(session, "one", "echo: one")
    answer(session, "two", "echo: two")
    first, second = prompts(session)
    assert first.startswith("<system>\n") and '<message to="casa">' in first
    assert "</system>\n\n" in first and "<system>" not in second


def test_instructions_as_a_system_prompt(acp):
    session = acp("--system-prompt").start()
    answer(session, "one", "echo: one")
    assert "<system>" not in prompts(session)[0]
    given = calls(session, "session/new")[0]["systemPrompt"]
    assert given["mode"] == "append" and '<message to="casa">' in given["content"][0]["text"]


def test_one_prompt_at_a_time(acp):
    session = acp().start()
    first = session.add_chat("use a tool")
    session.wait_answer("before", timeout=PATIENCE)
    session.wait(lambda: (session.container_state() or {}).get("current_tool") == "execute",
                 "a tool in flight", PATIENCE)
    second = session.add_chat("another")
    session.wait_ack(second, "processing")
    assert sessions.stays(lambda: len(prompts(session)) == 1, 0.2)
    (session.home / "go").touch()
    session.wait_ack([first, second], timeout=PATIENCE)
    assert session.texts() == ["before", "after", "echo: another"]
    assert session.container_state()["current_tool"] is None
    assert lives(session) == 1


def test_command_of_the_agent(acp):
    session = acp().start()
    message = session.add_chat("/frobnicate it")
    session.wait_ack(message, timeout=PATIENCE)
    assert prompts(session) == ["/frobnicate it"]


def test_command_line_of_the_configuration(acp):
    session = acp(env={"AGENT_ACP_COMMAND": ""})
    session.write_config({"provider": "acp", "agentCommand": [
        str(session.base / "fake_acp.py"), "--a word"]})
    session.own()
    answer(session.start(), "hello", "echo: hello")
    assert log(session)[0]["arguments"] == ["--a word"]


# What it says


@pytest.mark.parametrize("words, texts", [
    ("many messages", ["second"]),
    ("in pieces", ["mended ü"]),
    ("ask me", ["yes-3 -32601"]),
    ("a long line", ["it fitted"]),
])
def test_turn(acp, words, texts):
    session = acp().start()
    answer(session, words, *texts)
    assert lives(session) == 1


def test_noise_is_ignored(acp):
    session = acp("--noise").start()
    answer(session, "hello", "echo: hello")


# Its conversation


@pytest.mark.parametrize("able, method", [("--resume", "session/resume"),
                                          ("--load", "session/load")])
def test_conversation_goes_on_after_a_restart(acp, able, method):
    session = acp(able).start()
    answer(session, "one", "echo: one")
    assert session.stop() == 0
    session.start()
    answer(session, "two", "echo: two")
    assert [c["sessionId"] for c in calls(session, method)] == ["session-1"]
    assert len(calls(session, "session/new")) == 1
    assert session.state()["continuation:acp"] == "session-1"


def test_late_replay_is_no_answer(acp):
    session = acp("--load", "--late-replay", "--mode=yolo", provider="gemini").start()
    answer(session, "one", "echo: one")
    assert session.stop() == 0
    session.start()
    answer(session, "two", "echo: two")
    assert session.texts() == ["echo: one", "echo: two"]
    assert [c["modeId"] for c in calls(session, "session/set_mode")] == ["yolo", "yolo"]


@pytest.mark.parametrize("able", ["--resume", "--load"])
def test_unknown_conversation_becomes_a_new_one(acp, able):
    session = acp(able).start()
    answer(session, "one", "echo: one")
    assert session.stop() == 0
    (session.home / "acp-sessions").write_text("session-of-another\n")
    session.own()
    session.start()
    answer(session, "two", "echo: two")
    assert session.state()["continuation:acp"] == "session-2"


def test_agent_that_cannot_go_back_begins_anew(acp):
    session = acp().start()
    answer(session, "one", "echo: one")
    assert session.stop() == 0
    session.start()
    answer(session, "two", "echo: two")
    assert session.state()["continuation:acp"] == "session-2"
    assert lives(session) == 2


# Its end, and its failures


def test_death_in_a_turn_is_tried_again_then_told(acp):
    session = acp("--resume").start()
    message = session.add_chat("please die")
    session.wait_ack(message, "failed", timeout=PATIENCE)
    assert lives(session) >= 3
    assert "never" not in session.texts()
    answer(session, "hello", "echo: hello")


def test_cancelled_by_itself_is_tried_again(acp):
    session = acp().start()
    answer(session, "give up", "echo: give up")
    assert len(prompts(session)) == 2 and lives(session) == 1


@pytest.mark.parametrize("provider, words", [("acp", "please fail"), ("copilot", "say an error")])
def test_wrong_key_is_told(acp, provider, words):
    session = acp(provider=provider).start()
    message = session.add_chat(words)
    session.wait(lambda: session.acks().get(message) in ("completed", "failed"), "the end",
                 PATIENCE)
    assert session.lines("auth")
    assert len(prompts(session)) == 1
    assert not [t for t in session.texts() if t.startswith("echo")]
    assert session.texts()


def test_key_is_handed_over_where_it_is_asked_for(acp):
    session = acp("--auth", provider="gemini", env={"GEMINI_API_KEY": "k"}).start()
    answer(session, "hello", "echo: hello")
    assert calls(session, "authenticate") == [{"methodId": "gemini-api-key"}]


def test_missing_key_is_told(acp):
    session = acp("--auth", provider="gemini").start()
    message = session.add_chat("hello")
    session.wait(lambda: session.acks().get(message) in ("completed", "failed"), "the end",
                 PATIENCE)
    assert session.lines("there is no key")


def test_one_that_does_not_start_is_told(acp):
    session = acp("--die-at-start").start()
    message = session.add_chat("hello")
    session.wait_ack(message, "failed", timeout=PATIENCE)
    assert session.lines("no libfoo")


# Interrupts


def test_stop_ends_the_turn_and_keeps_the_agent(acp):
    session = acp().start()
    message = session.add_chat("please sleep")
    session.wait(lambda: (session.container_state() or {}).get("current_tool"), "a tool", PATIENCE)
    session.add_chat("/stop")
    session.wait_ack(message, timeout=PATIENCE)
    assert calls(session, "session/cancel") == [{"sessionId": "session-1"}]
    answer(session, "hello", "echo: hello")
    assert lives(session) == 1


def test_sigterm_in_a_turn(acp):
    session = acp().start()
    session.add_chat("please sleep")
    session.wait(lambda: (session.container_state() or {}).get("current_tool"), "a tool", PATIENCE)
    assert session.stop() == 0
    assert calls(session, "session/cancel") and session.stop_seconds < 10


# Health and keys


def test_healthcheck_names_it(acp):
    session = acp().start()
    answer(session, "hello", "echo: hello")
    code, checks = probe(session)
    assert code == 0, checks
    assert checks["agent"][1] == f"the ACP agent is {session.base / 'fake_acp.py'}"


def test_missing_agent_is_named(make_session):
    session = make_session(provider="opencode", env={"PATH": "/nonexistent"}).start()
    message = session.add_chat("hello")
    session.wait_ack(message, "failed", timeout=PATIENCE)
    assert session.lines("npm install -g opencode-ai")
