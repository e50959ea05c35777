# SPDX-License-Identifier: MIT
"""The end: what was finished stays, every claim is given back, and the host does not wait."""
import os
import signal
import sqlite3

import pytest

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}

# `docker stop -t 1` leaves a second. Ours takes 200 ms at most where nothing else runs; a test
# machine may be busy, so the best of a few counts.
ATTEMPTS = 5
LIMIT = 0.2


def quick_stop(session, prepare):
    """Starts, prepares and stops the session until one stop was quick enough."""
    times = []
    for _ in range(ATTEMPTS):
        prepare()
        assert session.stop() == 0, session.explain()
        times.append(session.stop_seconds)
        if times[-1] < LIMIT:
            return
    raise AssertionError(f"a stop takes {times} s\n{session.explain()}")


def test_an_idle_session(session):
    quick_stop(session, lambda: session.start().wait_ack(session.add_chat("hello")))


def test_in_a_turn(session):
    message = session.add_chat("hello")

    def prepare():
        session.start(SLOW).wait_turn(message)
    quick_stop(session, prepare)
    assert session.acks() == {} and session.answers() == []
    # The next container takes it up at once.
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_in_a_turn_with_follow_ups(session):
    first = session.add_chat("first")
    session.start(SLOW).wait_turn(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    assert session.stop() == 0
    assert session.acks() == {}
    session.start().wait_ack([first, second])
    assert session.texts() == ["echo: first", "echo: second"]


def test_what_was_finished_stays(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "300"})
    first = session.add_chat("first")
    session.start().wait_ack(first)
    second = session.add_chat("second")
    session.wait_turn(second)
    assert session.stop() == 0
    assert session.acks() == {first: "completed"}
    assert session.texts() == ["echo: first"]
    assert session.state()["continuation:mock"]


def test_between_retries(session):
    message = session.add_chat("hello")

    def prepare():
        session.start({"AGENT_MOCK_ERROR": "transient", "AGENT_RETRY_MS": "3600000"})
        session.wait_stderr("trying again in")
    quick_stop(session, prepare)
    assert session.acks() == {} and session.answers() == []
    session.start().wait_ack(message)


def test_while_inbound_is_missing(session):
    session.inbound.unlink()

    def prepare():
        session.start().wait_stderr("missing")
    quick_stop(session, prepare)


def test_right_after_the_start(session):
    """Whatever it was about to do: it ends, cleanly, and keeps no claim."""
    session.add_chats([f"{i}" for i in range(100)])
    for _ in range(10):
        session.start()
        code = session.stop()
        # Before its first instruction SIGTERM is still what ends it.
        assert code in (0, 128 + signal.SIGTERM, -signal.SIGTERM), session.explain()
        assert "processing" not in session.acks().values()


def test_while_answers_are_written(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "50"})
    ids = session.add_chats([f"{i}" for i in range(300)])
    for _ in range(3):
        # A moment later some more are written; thirty times as many are left.
        session.start().wait_answers(len(session.answers()) + 1)
        assert session.stop() == 0
        assert "processing" not in session.acks().values()
        assert len(session.answers()) == len(session.acks())
    session.start().wait_ack(ids)
    assert session.texts() == [f"echo: {i}" for i in range(300)]


@pytest.mark.parametrize("signo", [signal.SIGINT, signal.SIGTERM])
def test_either_signal(session, signo):
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    assert session.stop(signo) == 0
    assert session.acks() == {}
    line, = session.lines("ending on signal")
    assert f"signal {int(signo)}" in line


def test_one_after_the_other(session):
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    session.process.send_signal(signal.SIGTERM)
    session.process.send_signal(signal.SIGINT)
    assert session.stop() == 0
    assert session.acks() == {}


def test_while_the_host_reads_outbound(session):
    """A reader's lock keeps a commit waiting; the claim is given back as soon as it is gone, or by
    the next start."""
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    with sqlite3.connect(f"file:{session.outbound}?mode=ro", uri=True, isolation_level=None) as db:
        db.execute("BEGIN")
        db.execute("SELECT * FROM processing_ack").fetchall()
        assert session.stop() == 0
        assert session.stop_seconds < 1
        db.execute("COMMIT")
    db.close()
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_a_killed_loop_is_started_again_and_takes_its_message_up(session):
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_DELAY_MS": "700"}).wait_turn(message)
    os.kill(session.loop_pid(), signal.SIGKILL)
    session.wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert session.stop() == 0


def test_nothing_is_left_in_the_folder(session):
    message = session.add_chat("hello")
    before = {p.name for p in session.workspace.iterdir()}
    session.start().wait_ack(message)
    assert session.stop() == 0
    # Where the host will put attachments is made beforehand: an agent sees what is there at its start.
    assert {p.name for p in session.workspace.iterdir()} - before == {".heartbeat", "inbox"}


def test_the_next_container_may_come_at_once(session):
    before = sessions.descendants(os.getpid())
    for i in range(10):
        message = session.add_chat(f"{i}")
        session.start().wait_ack(message)
        assert session.stop() == 0
    assert session.texts() == [f"echo: {i}" for i in range(10)]
    assert set(sessions.descendants(os.getpid())) <= set(before)
