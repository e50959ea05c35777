# SPDX-License-Identifier: MIT
"""What the rows of outbound.db look like, and how two owners get along around it."""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import time

import pytest

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}


# Rows


def test_ids_times_and_content_of_an_answer(session):
    message = session.add_chat('quotes " and \\ and é')
    before = time.time()
    session.start().wait_ack(message)
    answer, = session.answers()
    prefix, milliseconds, suffix = answer.id.split("-")
    assert prefix == "msg" and re.fullmatch("[0-9a-z]{6}", suffix)
    assert before - 1 <= int(milliseconds) / 1000 <= time.time() + 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", answer.timestamp)
    row, = session.read("SELECT abs(strftime('%s', timestamp) - strftime('%s', 'now')) AS off "
                        "FROM messages_out")
    assert row["off"] < 60
    assert json.loads(answer.content) == {"text": 'echo: quotes " and \\ and é'}
    assert answer.deliver_after is None and answer.recurrence is None


def test_times_are_utc_whatever_the_zone(make_session):
    session = make_session(env={"TZ": "Asia/Tokyo"})
    session.start().wait_ack(session.add_chat("hello"))
    row, = session.read("SELECT abs(strftime('%s', timestamp) - strftime('%s', 'now')) AS off "
                        "FROM messages_out")
    assert row["off"] < 60


@pytest.mark.parametrize("highest", [2, 3, 1000, 2 ** 40])
def test_seq_is_the_next_odd_number_above_both_databases(session, highest):
    message = session.add_chat("hello", seq=highest)
    session.start().wait_ack(message)
    answer, = session.answers()
    assert answer.seq == (highest + 1) | 1
    session.wait_ack(session.add_chat("again", seq=highest + 2))
    assert session.answers()[1].seq == (highest + 3) | 1


def test_seq_goes_on_above_its_own_rows(session):
    session.outbound_execute("""INSERT INTO messages_out (id, seq, timestamp, kind, content)
        VALUES ('msg-of-old', 501, datetime('now'), 'chat', '{"text": "old"}')""")
    session.start().wait_ack(session.add_chat("hello"))
    assert [a.seq for a in session.answers()] == [501, 503]


def test_seqs_are_odd_unique_and_in_order(session):
    ids = session.add_chats([f"{i}" for i in range(60)])
    session.start().wait_ack(ids)
    seqs = [a.seq for a in session.answers()]
    assert all(seq % 2 == 1 for seq in seqs) and len(set(seqs)) == 60
    assert [a.text for a in session.answers()] == [f"echo: {i}" for i in range(60)]


def test_a_row_of_the_host_s_with_an_odd_number_is_no_obstacle(session):
    """Newer hosts write there, too, now and then."""
    session.start().wait_ack(session.add_chat("first"))
    with session.inbound_transaction() as db:
        top = db.execute("SELECT max(seq) FROM messages_in").fetchone()[0]
    session.outbound_execute(f"""INSERT INTO messages_out (id, seq, timestamp, kind, content)
        VALUES ('msg-of-host', {top + 3}, datetime('now'), 'chat', '{{"text": "theirs"}}')""")
    session.wait_ack(session.add_chat("second"))
    assert set(session.texts()) == {"echo: first", "theirs", "echo: second"}


# Two owners


def test_both_files_stay_in_delete_mode(session):
    session.start().wait_ack(session.add_chat("hello"))
    for path in (session.inbound, session.outbound):
        assert path.read_bytes()[18:20] == b"\x01\x01"
        assert not path.with_name(path.name + "-wal").exists()


def test_outbound_in_wal_mode_is_set_to_delete(session):
    with sqlite3.connect(session.outbound) as db:
        db.execute("PRAGMA journal_mode = WAL")
    db.close()
    # Nobody reads it meanwhile: a reader of WAL makes files of its own beside it.
    session.start().wait_stderr("agent mock started")
    session.wait_ack(session.add_chat("hello"))
    assert session.outbound.read_bytes()[18:20] == b"\x01\x01"


def test_no_lock_is_held_between_commits(session):
    """The host clears orphaned claims and, sometimes, adds rows: it must get the file at once."""
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    for path in (session.inbound, session.outbound):
        # The moment in which it reads may be now; a lock that is kept would outlast any wait.
        with sqlite3.connect(path, timeout=5, isolation_level=None) as db:
            db.execute("BEGIN EXCLUSIVE")
            db.execute("ROLLBACK")
        db.close()


def test_outbound_locked_by_the_host_for_a_while(make_session):
    session = make_session(env={"AGENT_MOCK_DELAY_MS": "300"})
    session.start().wait_ack(session.add_chat("first"))
    second = session.add_chat("second")
    session.wait_turn(second)
    with sqlite3.connect(session.outbound, isolation_level=None) as db:
        db.execute("BEGIN EXCLUSIVE")
        assert sessions.stays(lambda: session.process.poll() is None, 7)
        db.execute("ROLLBACK")
    db.close()
    session.wait_ack(second)
    assert session.texts() == ["echo: first", "echo: second"]
    assert len(session.lines("error:")) <= 1


def test_a_hot_journal_of_outbound_is_played_back_first_thing(session):
    """A container killed in a commit: until a writer opens the file the host cannot read it."""
    session.outbound_execute("".join(
        f"INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES "
        f"('msg-{i}', {2 * i + 1}, datetime('now'), 'chat', '{{\"text\": \"{'x' * 500}\"}}');"
        for i in range(200)))
    writer = subprocess.Popen([sys.executable, "-c", """if True:
        import sqlite3, sys, os, signal
        db = sqlite3.connect(sys.argv[1], isolation_level=None)
        db.execute("PRAGMA cache_size = 2")
        db.execute("BEGIN")
        db.execute("UPDATE messages_out SET content = '{\\"text\\": \\"half done\\"}'")
        os.kill(os.getpid(), signal.SIGKILL)""", str(session.outbound)])
    assert writer.wait() == -signal.SIGKILL
    journal = session.outbound.with_name("outbound.db-journal")
    assert journal.stat().st_size > 512
    session.own()
    # Without any work to do.
    session.start()
    session.wait(lambda: not journal.exists(), "the journal's end")
    assert {a.text for a in session.answers()} == {"x" * 500}


def test_idle_means_that_nothing_is_written(session):
    session.start().wait_ack(session.add_chat("hello"))
    session.loop_pid()
    before = session.outbound.stat().st_mtime_ns
    counter = session.outbound.read_bytes()[24:28]
    assert sessions.stays(lambda: session.outbound.stat().st_mtime_ns == before, 1.5)
    assert session.outbound.read_bytes()[24:28] == counter


def test_commits_are_few(session):
    """A claim, an answer: what each message costs the disk does not grow with the batch."""
    session.start().wait_ack(session.add_chat("first"))
    before = int.from_bytes(session.outbound.read_bytes()[24:28], "big")
    session.wait_ack(session.add_chats([f"{i}" for i in range(10)]))
    after = int.from_bytes(session.outbound.read_bytes()[24:28], "big")
    assert after - before <= 4


def test_what_the_loop_starts_inherits_no_database(session):
    task = session.add_task("look", script="ls -l /proc/self/fd > fds; echo '{\"wakeAgent\": false}'")
    session.start().wait_ack(task)
    listing = (session.workspace / "agent/fds").read_text()
    assert " 0 -> " in listing and ".db" not in listing


@pytest.mark.skipif(os.getuid() != 0, reason="only root sees the descriptors of our processes")
def test_inbound_is_opened_anew_for_each_look(session):
    session.start().wait_ack(session.add_chat("hello"))
    folder = pathlib.Path(f"/proc/{session.loop_pid()}/fd")

    def open_files():
        found = set()
        for link in folder.iterdir():
            try:
                found.add(os.readlink(link))
            except FileNotFoundError:
                pass
        return found
    # It may be looking just now; a connection that is kept would stay.
    session.wait(lambda: str(session.inbound) not in open_files(), "inbound.db closed")
    assert str(session.outbound) in open_files()
