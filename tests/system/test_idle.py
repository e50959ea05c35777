# SPDX-License-Identifier: MIT
"""An agent, and a container, that have had nothing to do for a while: agentIdleSeconds, idleExitSeconds."""
import pathlib
import shutil
import time

import pytest

import session as sessions
from mcp_client import QUESTION, answer_question, wait_question

FAKE = pathlib.Path(__file__).parent / "fake_claude.sh"


@pytest.fixture
def make(make_session):
    """Makes sessions, not started, with an agent that is a process of its own."""
    def made(config):
        session = make_session(provider="claude", config=config, env={"ANTHROPIC_API_KEY": "key"})
        place = session.base / "cli"
        place.mkdir(mode=0o755)
        session.env["AGENT_CLAUDE_PATH"] = shutil.copy(FAKE, place / "claude")
        return session
    return made


def has_agent(session):
    return any(sessions.process_name(pid) == "claude"
               for pid in sessions.descendants(session.process.pid))


def ask(session):
    message = session.add_chat("hello")
    session.wait_ack(message)


def test_an_idle_agent_ends_and_comes_back(make):
    session = make({"agentIdleSeconds": 1}).start()
    for _ in range(2):
        ask(session)
        assert has_agent(session)
        sessions.wait_until(lambda: not has_agent(session), "the end of the agent")
    ask(session)
    assert len(session.answers()) == 3
    assert len(session.lines("nothing to do for 1 s: the agent ends")) == 2
    assert session.lines("resuming fake-1")
    assert not session.lines("warning:")
    assert session.stop() == 0


def test_an_agent_with_work_stays(make):
    """Each message begins the time anew, and one that is not answered yet is work."""
    session = make({"agentIdleSeconds": 2}).start()
    for _ in range(4):
        ask(session)
        assert sessions.stays(lambda: has_agent(session), 1)
    assert not session.lines("nothing to do")


def test_without_a_word_it_stays(make):
    session = make({}).start()
    ask(session)
    assert sessions.stays(lambda: has_agent(session), 2)


def test_an_idle_container_ends(make):
    session = make({"idleExitSeconds": 1}).start()
    ask(session)
    before = time.monotonic()
    assert session.wait_exit() == 0
    assert time.monotonic() - before < 3
    assert session.lines("nothing to do for 1 s: ending")
    assert not session.lines("warning:")
    # The next one takes up what comes, in the same conversation.
    ask(session.start())
    assert session.lines("resuming fake-1")


def test_a_container_that_never_had_work_ends(make):
    assert make({"idleExitSeconds": 1}).start().wait_exit() == 0


def test_no_message_is_left_behind(make):
    """Whatever comes while it ends: it is answered, or waits for the next container, unclaimed."""
    session = make({"idleExitSeconds": 1})
    ids, waiting = [], 0
    for _ in range(4):
        # What waits is answered first: two at once would be one prompt with one answer.
        session.start().wait_ack(ids)
        ids.append(session.add_chat("hello"))
        session.wait_ack(ids)
        # A hair before, at and after the end, as seen by the host.
        time.sleep(0.97 + 0.03 * len(ids))
        if session.process.poll() is None:
            ids.append(session.add_chat("late"))
        assert session.wait_exit() == 0
        assert set(session.acks().values()) <= {"completed"}
        waiting += len(ids) - len(session.acks())
    if waiting:
        session.start().wait_ack(ids)
    assert len(session.answers()) == len(ids)


def test_what_comes_at_the_last_moment_starts_it_anew(make):
    """The agent is asked to end, and takes a while: the host sees a container that lives."""
    session = make({"idleExitSeconds": 1})
    cli = pathlib.Path(session.env["AGENT_CLAUDE_PATH"])
    cli.write_text(cli.read_text(encoding="utf-8") + "sleep 0.5\n", encoding="utf-8")
    ask(session.start())
    assert sessions.stays(lambda: session.process.poll() is None, 1.2)
    ask(session)
    assert len(session.answers()) == 2
    assert session.wait_exit() == 0


def test_a_task_that_wakes_nobody_is_followed_by_rest(make):
    """Its script ends when nobody looks at the inbox any more."""
    session = make({"idleExitSeconds": 1})
    task = session.add_task("look", script="sleep 0.5; echo '{\"wakeAgent\": false}'")
    assert session.start().wait_exit() == 0
    assert session.acks() == {task: "completed"}


def test_a_forgotten_agent_that_takes_long_to_end(make):
    """The time is up while /clear still waits for it: no other one takes its place."""
    session = make({"idleExitSeconds": 1})
    cli = pathlib.Path(session.env["AGENT_CLAUDE_PATH"])
    text = cli.read_text(encoding="utf-8")
    cli.write_text(text.replace("\n", "\ntrap '' TERM\n", 1) + "sleep 1.5\n", encoding="utf-8")
    ask(session.start())
    session.wait_ack(session.add_chat("/clear"))
    assert session.wait_exit() == 0


def test_a_question_without_a_turn_is_waited_for(make, connect):
    session = make({"idleExitSeconds": 1})
    question = connect(session.start()).start_call("ask_user_question", QUESTION)
    asked = wait_question(session)
    assert sessions.stays(lambda: session.process.poll() is None, 2.5)
    answer_question(session, asked["questionId"], "Yes")
    question.wait()
    assert session.wait_exit() == 0
