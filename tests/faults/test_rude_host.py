# SPDX-License-Identifier: MIT
"""
A host that locks, replaces, truncates, deletes and scribbles: what it must see all the same.

Where waiting dominates, sessions stand side by side in one test. The agent is the mock, which
echoes: a message that is answered twice shows.
"""
import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import faults
import session as sessions

TURN_MS = "700"


def complaints(session):
    return session.lines("agent-runner: warning:") + session.lines("agent-runner: error:")


def serve(make_session, env=None, **options):
    """A session that has answered its first message."""
    session = make_session(env={**faults.FAST, **(env or {})}, **options)
    session.first = session.add_chat("first")
    session.start().wait_ack(session.first)
    return session


def in_turn(make_session, env=None):
    """A session with a message at its agent, and that message."""
    session = serve(make_session, {"AGENT_MOCK_DELAY_MS": TURN_MS, **(env or {})})
    message = session.add_chat("hello")
    session.wait_turn(message)
    return session, message


def check_one_complaint(session, *words, at_most=2):
    """It is said once, or twice if it looked different at first, and names the file."""
    found = complaints(session)
    assert 1 <= len(found) <= at_most, session.explain()
    assert all(any(word in line for line in found) for word in words), session.explain()


# Locks

SECONDS = 6


class Lock:
    """What another connection holds."""

    def __init__(self, path, kind):
        self.connections = []
        db = self.connect(path)
        if kind in ("shared", "pending"):
            db.execute("BEGIN")
            db.execute("SELECT count(*) FROM sqlite_master").fetchall()
        if kind == "pending":
            # A writer that waits for the reader: nobody else gets in.
            db = self.connect(path)
            db.execute("BEGIN IMMEDIATE")
            db.execute("CREATE TABLE pending (x)")
            db.execute("PRAGMA busy_timeout = 0")
            with contextlib.suppress(sqlite3.OperationalError):
                db.execute("COMMIT")
        elif kind in ("immediate", "exclusive"):
            db.execute(f"BEGIN {kind}")

    def connect(self, path):
        self.connections.append(sqlite3.connect(path, timeout=5, isolation_level=None))
        return self.connections[-1]

    def release(self):
        for db in reversed(self.connections):
            if db.in_transaction:
                db.execute("ROLLBACK")
            db.close()


LOCKS = [("inbound", "shared"), ("inbound", "immediate"), ("inbound", "pending"),
         ("inbound", "exclusive"), ("outbound", "exclusive"), ("outbound", "shared"),
         ("outbound", "pending")]


def locked(make_session, when):
    """Sessions, each with a lock and a message: [(name, session, lock, message)]."""
    rows = []
    for database, kind in LOCKS:
        session = make_session(env={**faults.FAST, "AGENT_MOCK_DELAY_MS": "300"})
        rows.append((f"{kind} on {database}.db {when}", session))
        if when != "at the start":
            session.start().wait_ack(session.add_chat("first"))
    found = []
    for (name, session), (database, kind) in zip(rows, LOCKS):
        message = None
        if when != "idle":
            message = session.add_chat("hello")
        if when == "in a turn":
            session.wait_turn(message)
        lock = Lock(getattr(session, database), kind)
        if when == "at the start":
            session.start()
        found.append((name, session, lock, message))
    return found


WHENS = ["idle", "in a turn", "at the start"]


def test_locks_that_are_held_long(make_session):
    """In two thirds of the rows a message waits meanwhile; it is answered when the lock is gone."""
    rows = [row for when in WHENS for row in locked(make_session, when)]
    time.sleep(SECONDS)
    for name, session, lock, _ in rows:
        assert session.process.poll() is None, f"{name}\n{session.explain()}"
        lock.release()
    for name, session, _, message in rows:
        messages = {message: "hello"} if message else {}
        outcome = faults.check_outcome(session, messages)
        assert all(o == ("completed", 1, 0) for o in outcome.values()), \
            f"{name}: {outcome}\n{session.explain()}"
        found = complaints(session)
        assert len(found) <= 2, f"{name}\n{session.explain()}"
        assert all("inbound.db" in line or "outbound.db" in line for line in found), name
    for _, session, _, _ in rows:
        faults.goes_on(session)


def test_a_stop_while_a_lock_is_held(make_session):
    rows = [row for when in WHENS for row in locked(make_session, when)]
    time.sleep(0.5)
    for name, session, lock, _ in rows:
        assert session.stop() == 0, f"{name}\n{session.explain()}"
        assert session.stop_seconds < 1, f"{name}: {session.stop_seconds}\n{session.explain()}"
        lock.release()
    for name, session, _, message in rows:
        session.start()
        outcome = faults.check_outcome(session, {message: "hello"} if message else {})
        assert all(o == ("completed", 1, 0) for o in outcome.values()), \
            f"{name}: {outcome}\n{session.explain()}"


# inbound.db replaced


def copy_of(path, extra=None):
    """A copy beside it, with the statement done to it."""
    other = path.with_name("other.db")
    with contextlib.suppress(FileNotFoundError):
        other.unlink()
    source, target = sqlite3.connect(path), sqlite3.connect(other)
    source.backup(target)
    if extra:
        target.execute(*extra)
    target.commit()
    source.close()
    target.close()
    return other


def new_row(number):
    return ("INSERT INTO messages_in (id, seq, kind, timestamp, channel_type, platform_id, content)"
            " VALUES (?, ?, 'chat', '2026-02-04 13:30:00', ?, ?, ?)",
            (f"new-{number}", 1000 + 2 * number, sessions.CHANNEL, sessions.PLACE,
             f'{{"text": "new {number}"}}'))


@pytest.mark.parametrize("watch", ["", "poll"])
def test_inbound_replaced_again_and_again(make_session, watch):
    session = serve(make_session, {"AGENT_WATCH": watch, "AGENT_POLL_IDLE_MS": "5",
                                   "AGENT_POLL_ACTIVE_MS": "5"})
    messages = {}
    for number in range(100):
        os.replace(copy_of(session.inbound, new_row(number) if number % 2 else None),
                   session.inbound)
        if number % 2:
            messages[f"new-{number}"] = f"new {number}"
    outcome = faults.check_outcome(session, messages)
    assert set(outcome.values()) == {("completed", 1, 0)}
    faults.goes_on(session)
    assert len(complaints(session)) <= 2, session.explain()


def test_inbound_replaced_in_a_turn(make_session):
    session, message = in_turn(make_session)
    os.replace(copy_of(session.inbound, new_row(1)), session.inbound)
    outcome = faults.check_outcome(session, {message: "hello", "new-1": "new 1"})
    assert set(outcome.values()) == {("completed", 1, 0)}
    faults.goes_on(session)


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a turn"])
def test_inbound_truncated_and_brought_back(make_session, busy):
    rows = []
    for size in (0, 20, 2048, 4096, 4096 + 2048):
        session, message = in_turn(make_session) if busy else (serve(make_session), None)
        good = session.inbound.read_bytes()
        os.truncate(session.inbound, size)
        rows.append((session, message, good))
    time.sleep(1)
    for session, message, good in rows:
        assert session.process.poll() is None, session.explain()
        session.inbound.write_bytes(good)
    for session, message, _ in rows:
        faults.check_outcome(session, {message: "hello"} if message else {session.first: "first"})
        faults.goes_on(session)
        check_one_complaint(session, "inbound.db")


def hot_journal(path, table, cut=None):
    """A writer that dies in a commit; cut: of its journal only that many bytes are left."""
    writer = subprocess.Popen([sys.executable, "-c", """if True:
        import sqlite3, sys, os, signal
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN")
        db.execute(f"UPDATE {sys.argv[2]} SET content = '{{\\"text\\": \\"half done\\"}}'")
        os.kill(os.getpid(), signal.SIGKILL)""", str(path), table])
    assert writer.wait() == -signal.SIGKILL
    journal = path.with_name(path.name + "-journal")
    assert journal.stat().st_size > 512
    if cut is not None:
        os.truncate(journal, cut)
    return journal


def fill_inbound(session):
    session.add_chats([f"{i}" * 500 for i in range(200)], status="completed")


def fill_outbound(session):
    session.outbound_execute("".join(
        f"INSERT INTO messages_out (id, timestamp, kind, content) VALUES ('old-{i}', "
        f"datetime('now'), 'chat', '{{\"text\": \"{i} {'x' * 500}\"}}');" for i in range(200)))
    return {f"old-{i}" for i in range(200)}


def test_a_hot_journal_of_inbound_while_it_runs(make_session):
    session, message = in_turn(make_session)
    fill_inbound(session)
    journal = hot_journal(session.inbound, "messages_in")
    session.wait_ack(message)
    session.wait(lambda: complaints(session), "a complaint")
    assert sessions.stays(lambda: journal.exists() and session.process.poll() is None, 1.0)
    # The host comes back, and mends it.
    faults.goes_on(session)
    assert session.texts() == ["echo: first", "echo: hello", "echo: and on"]
    check_one_complaint(session, "inbound.db")


def test_a_hot_journal_of_inbound_that_nobody_mends(make_session):
    session = serve(make_session)
    fill_inbound(session)
    hot_journal(session.inbound, "messages_in")
    session.wait(lambda: complaints(session), "a complaint")
    assert sessions.stays(lambda: session.process.poll() is None, 1.0)
    assert session.stop() == 0 and session.stop_seconds < 1
    check_one_complaint(session, "inbound.db")


def test_a_hot_journal_of_outbound_while_it_runs(make_session):
    session = make_session(env={**faults.FAST, "AGENT_MOCK_DELAY_MS": TURN_MS})
    foreign = fill_outbound(session)
    session.start()
    message = session.add_chat("hello")
    session.wait_turn(message)
    hot_journal(session.outbound, "messages_out")
    session.own()
    faults.wait_settled(session, [message])
    session.wait_answer("echo: hello")
    assert not [t for t in session.texts() if t == "half done"]
    faults.check_rows(session, foreign)
    faults.check_databases(session)
    faults.goes_on(session)


def test_wal_in_the_midst(make_session):
    """On inbound.db: refused, in words. On outbound.db: set back, since it is ours."""
    session, message = in_turn(make_session)
    db = sqlite3.connect(session.outbound, timeout=5)
    db.execute("PRAGMA journal_mode = WAL")
    db.close()
    session.wait_ack(message)
    faults.goes_on(session)
    assert session.stop() == 0
    assert session.outbound.read_bytes()[18:20] == b"\x01\x01"
    assert not session.outbound.with_name("outbound.db-wal").exists()


# Writers


WRITER = """if True:
    import json, sqlite3, sys
    path, offset = sys.argv[1], int(sys.argv[2])
    for i in range(1000):
        if i % 5 == 0:
            db = sqlite3.connect(path, timeout=30)
        db.execute("INSERT INTO messages_in (id, seq, kind, timestamp, channel_type, platform_id, "
                   "content) VALUES (?, ?, 'chat', '2026-02-04 13:30:00', ?, ?, ?)",
                   (f"w{offset}-{i}", 100 + 4 * i + offset, "whatsapp", "casa@g.us",
                    json.dumps({"text": f"w{offset}-{i}"})))
        if i % 5 == 4:
            db.commit()
            db.close()
"""


def test_two_writers_in_a_tight_loop(make_session):
    session = make_session(env=faults.FAST).start()
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(session.inbound), offset])
               for offset in ("0", "2")]
    ids = {f"w{offset}-{i}": f"w{offset}-{i}" for offset in (0, 2) for i in range(1000)}
    outcome = faults.check_outcome(session, ids, 90)
    assert [w.wait() for w in writers] == [0, 0]
    assert set(outcome.values()) == {("completed", 1, 0)}
    assert len(complaints(session)) <= 2, session.explain()


# Claims and rows of others


def test_claims_cleared_in_a_turn(make_session):
    """The message is in good hands: it is not taken up a second time."""
    session, message = in_turn(make_session)
    second = session.add_chat("second")
    session.wait_turn(second)
    session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
    third = session.add_chat("third")
    outcome = faults.check_outcome(session, {message: "hello", second: "second", third: "third"})
    assert set(outcome.values()) == {("completed", 1, 0)}
    faults.goes_on(session)


def test_claims_of_a_task_cleared_while_its_script_runs(make_session):
    session = serve(make_session)
    task = session.add_task("look", script="echo x >> runs; sleep 0.7; echo '{\"wakeAgent\": false}'")
    session.wait_turn(task)
    session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
    third = session.add_chat("third")
    session.wait_ack([task, third])
    assert (session.workspace / "agent/runs").read_text() == "x\n"
    faults.goes_on(session)


def test_claims_cleared_between_retries(make_session):
    session = make_session(env={**faults.FAST, "AGENT_MOCK_ERROR": "transient",
                                "AGENT_RETRY_MS": "60"})
    message = session.add_chat("hello")
    session.start()
    session.wait_stderr("trying again in")
    session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
    outcome = faults.check_outcome(session, {message: "hello"})
    assert set(outcome.values()) == {("failed", 0, 1)}
    assert sessions.stays(lambda: len(session.answers()) == 1, 0.5)


def test_claims_cleared_while_no_container_runs(make_session):
    session, message = in_turn(make_session)
    session.kill()
    session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
    session.start()
    outcome = faults.check_outcome(session, {message: "hello"})
    assert set(outcome.values()) == {("completed", 1, 0)}


SEQS = {"even": 1000, "odd": 1001, "2^53": 2 ** 53, "2^53-1": 2 ** 53 - 1, "the largest": 2 ** 63 - 1,
        "negative": -7, "NULL": None, "text": "many", "real": 3.5, "blob": b"\x00"}


@pytest.mark.parametrize("seq", SEQS)
def test_rows_of_the_host_in_outbound(make_session, seq):
    session, message = in_turn(make_session)
    db = sqlite3.connect(session.outbound, timeout=10)
    db.execute("INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES "
               "('theirs', ?, datetime('now'), 'chat', '{\"text\": \"theirs\"}')", (SEQS[seq],))
    db.commit()
    db.close()
    session.wait_ack(message)
    faults.goes_on(session)
    faults.check_rows(session, {"theirs"})
    faults.check_databases(session)
    rows = session.read("SELECT seq FROM messages_out WHERE id <> 'theirs' ORDER BY rowid")
    assert all(row["seq"] < 2 ** 53 for row in rows) or seq.startswith("2^53"), rows


def test_rows_that_collide(make_session):
    """The very numbers that come next."""
    session, message = in_turn(make_session)
    top = session.read("SELECT max(seq) AS top FROM messages_out")[0]["top"]
    foreign = set()
    for i in range(1, 12):
        session.outbound_execute(
            f"INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES ('theirs-{i}', "
            f"{top + i}, datetime('now'), 'chat', '{{\"text\": \"theirs\"}}')")
        foreign.add(f"theirs-{i}")
    session.wait_ack(message)
    faults.goes_on(session)
    faults.check_rows(session, foreign)


# outbound.db taken away


def old_copy(session):
    """outbound.db as it was before the message."""
    old = session.base / "old.db"
    shutil.copy(session.outbound, old)
    return old


def replace_outbound(session, old):
    os.replace(old, session.outbound)
    session.own()


OUTBOUND_FAULTS = {
    "deleted": lambda s, old: s.outbound.unlink(),
    "replaced by an older copy": replace_outbound,
    "no messages_out": lambda s, old: s.outbound_execute("DROP TABLE messages_out"),
    "no processing_ack": lambda s, old: s.outbound_execute("DROP TABLE processing_ack"),
    "no session_state": lambda s, old: s.outbound_execute("DROP TABLE session_state"),
    "no container_state": lambda s, old: s.outbound_execute("DROP TABLE container_state"),
    "read-only": lambda s, old: s.outbound.chmod(0o444),
    "without its rows": lambda s, old: s.outbound_execute(
        "DELETE FROM messages_out; DELETE FROM processing_ack; DELETE FROM session_state"),
}


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a turn"])
@pytest.mark.parametrize("fault", OUTBOUND_FAULTS)
def test_outbound_taken_away(make_session, fault, busy):
    """The message that is being worked on, and the next, are answered all the same."""
    session = serve(make_session, {"AGENT_MOCK_DELAY_MS": TURN_MS} if busy else {})
    # A host marks what was acknowledged; else it would be due again with the acknowledgement gone.
    session.inbound_execute("UPDATE messages_in SET status = 'completed'")
    old = old_copy(session)
    message = session.add_chat("hello") if busy else None
    if busy:
        session.wait_turn(message)
    OUTBOUND_FAULTS[fault](session, old)
    second = session.add_chat("second")

    def answered():
        try:
            rows = session.read("SELECT content FROM messages_out")
        except (AssertionError, sqlite3.DatabaseError):
            return False
        texts = [row["content"] for row in rows]
        return all(any(w in t for t in texts) for w in (["hello"] if busy else []) + ["second"])
    session.wait(lambda: session.outbound.exists() and answered(), "the answers", 10)
    messages = {second: "second", **({message: "hello"} if busy else {})}
    outcome = faults.check_outcome(session, messages)
    assert set(outcome.values()) == {("completed", 1, 0)}, session.explain()
    faults.goes_on(session)
    assert len(complaints(session)) <= 3, session.explain()
    assert all("outbound.db" in line or "session loop" in line for line in complaints(session))


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "in a turn"])
def test_outbound_damaged(make_session, busy):
    """What we cannot mend ends the container, in words, instead of keeping silent for ever."""
    session = serve(make_session, {"AGENT_MOCK_DELAY_MS": TURN_MS} if busy else {})
    if busy:
        session.wait_turn(session.add_chat("hello"))
    with open(session.outbound, "r+b") as file:
        file.seek(27)
        file.write(b"\x63")
        file.seek(4096)
        file.write(b"\xff" * (session.outbound.stat().st_size - 4096))
    session.add_chat("second")
    assert session.wait_exit() in (70, 73), session.stderr()
    assert "outbound.db" in session.lines("error:")[0] and len(complaints(session)) <= 20


# Other files

HEARTBEATS = {
    "deleted": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "a link": lambda path: (path.unlink(), path.symlink_to(path.with_name("elsewhere"))),
    "a link to itself": lambda path: (path.unlink(), path.symlink_to(path)),
    "a FIFO": lambda path: (path.unlink(), os.mkfifo(path)),
}


@pytest.mark.parametrize("heartbeat", HEARTBEATS)
def test_heartbeat(make_session, heartbeat):
    session, message = in_turn(make_session)
    HEARTBEATS[heartbeat](session.workspace / ".heartbeat")
    if os.getuid() == 0:
        os.chown(session.workspace / ".heartbeat", sessions.UID, sessions.GID,
                 follow_symlinks=False) if heartbeat != "deleted" else None
    session.wait_ack(message)
    before = time.time() - 1
    faults.goes_on(session)
    found = complaints(session)
    if "link" in heartbeat:
        assert len(found) == 1 and ".heartbeat" in found[0], session.explain()
    else:
        assert not found and session.heartbeat() > before, session.explain()
    assert not (session.workspace / "elsewhere").exists()


def test_the_agent_s_folder_is_removed(make_rude):
    session = make_rude({}, {"turns": [["kill:SIGKILL"]]})
    session.start().wait_ack(session.add_chat("first"))
    away = session.base / "away"
    os.rename(session.workspace / "agent", away)
    session.wait_ack(session.add_chat("second"))
    # Its process is gone, and none can be started.
    sessions.kill_all([line["pid"] for line in faults.rude_log(session, "start")])
    third = session.add_chat("third")
    outcome = faults.check_outcome(session, {third: "third"})
    assert set(outcome.values()) == {("failed", 0, 1)}, session.explain()
    os.rename(away, session.workspace / "agent")
    faults.goes_on(session)


def test_rows_that_are_worked_on_are_deleted(make_session):
    session, message = in_turn(make_session)
    session.inbound_execute(f"DELETE FROM messages_in WHERE id = '{message}'")
    outcome = faults.check_outcome(session, {message: "hello"})
    assert set(outcome.values()) == {("completed", 1, 0)}
    faults.goes_on(session)


def test_rows_that_are_worked_on_are_edited(make_session):
    session, message = in_turn(make_session)
    session.inbound_execute(f"""UPDATE messages_in SET content = '{{"text": "edited"}}',
        kind = 'nonsense', seq = NULL, platform_id = 'nowhere' WHERE id = '{message}'""")
    outcome = faults.check_outcome(session, {message: "hello"})
    assert set(outcome.values()) == {("completed", 1, 0)}
    assert session.answers()[-1].platform_id == sessions.PLACE
    faults.goes_on(session)


def test_rows_that_fail_are_deleted(make_session):
    """The error still finds its way."""
    session = make_session(env={**faults.FAST, "AGENT_MOCK_ERROR": "transient"})
    message = session.add_chat("hello", thread_id="t1")
    session.start()
    session.wait_stderr("trying again in")
    session.inbound_execute("DELETE FROM messages_in")
    outcome = faults.check_outcome(session, {message: "hello"})
    assert set(outcome.values()) == {("failed", 0, 1)}
    assert session.answers()[0].route == (sessions.CHANNEL, sessions.PLACE, "t1")


def test_rows_that_wait_for_another_attempt_are_deleted(make_session):
    """What broke off is in the inbox only: the host has withdrawn it."""
    session = make_session(env=faults.FAST)
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_DELAY_MS": "60000"}).wait_turn(message)
    session.kill()
    session.inbound_execute("DELETE FROM messages_in")
    session.start()
    faults.goes_on(session)
    assert session.texts() == ["echo: and on"]


def test_an_end_that_comes_with_everything_at_once(make_session):
    """A lock, a replaced inbox, cleared claims, and then SIGTERM."""
    session, message = in_turn(make_session)
    session.outbound_execute("DELETE FROM processing_ack WHERE status = 'processing'")
    os.replace(copy_of(session.inbound, new_row(1)), session.inbound)
    lock = Lock(session.outbound, "exclusive")
    assert session.stop() == 0 and session.stop_seconds < 1
    lock.release()
    session.start()
    outcome = faults.check_outcome(session, {message: "hello", "new-1": "new 1"})
    assert set(outcome.values()) == {("completed", 1, 0)}
