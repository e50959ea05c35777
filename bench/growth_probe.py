# SPDX-License-Identifier: MIT
"""What bench/growth.py looks with: when a commit was seen, what processes used, what machine this is."""
import contextlib
import ctypes
import os
import pathlib
import platform
import select
import sqlite3
import statistics
import tempfile
import time

import peers
import programs
import session as sessions

# The kernel's kB are KiB.
KIB_MB = 1024 / 1e6

CLAIMED = "SELECT 1 FROM processing_ack WHERE message_id = ?"
COMPLETED = "SELECT 1 FROM processing_ack WHERE message_id = ? AND status = 'completed'"


class Watcher:
    """Sees rows in the outbound.db of some sessions when they are committed: the journal is gone."""

    IN_DELETE = 0x200

    def __init__(self, *watched):
        libc = ctypes.CDLL(None, use_errno=True)
        self.fd = libc.inotify_init1(os.O_CLOEXEC)
        self.watched = {}
        for session in watched:
            number = libc.inotify_add_watch(self.fd, os.fsencode(session.workspace), self.IN_DELETE)
            if number < 0:
                raise OSError(ctypes.get_errno(), f"inotify: {session.workspace}")
            self.watched[number] = session

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def wait(self, wanted, query, timeout=120.0):
        """wanted: message by session. Until the query finds all; when the last was seen, and each."""
        deadline, seen, open_ = time.monotonic() + timeout, {}, dict(wanted)
        now, todo = time.monotonic(), list(wanted)
        while True:
            for session in todo:
                if session in open_ and self._find(session, query, open_[session]):
                    seen[session] = now
                    del open_[session]
            if not open_:
                return now, seen
            if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                raise SystemExit(f"growth: in vain for {timeout} s: {query}\n"
                                 f"{next(iter(open_)).explain()}")
            now = time.monotonic()
            todo = self._deleted_journals(os.read(self.fd, 65536))

    def _deleted_journals(self, events):
        """Of struct inotify_event: wd, mask, cookie, len, and len bytes of name."""
        found, at = [], 0
        while at < len(events):
            number, length = (int.from_bytes(events[at + i:at + i + 4], "little") for i in (0, 12))
            if events[at + 16:at + 16 + length].rstrip(b"\0") == b"outbound.db-journal":
                found.append(self.watched[number])
            at += 16 + length
        return found

    @staticmethod
    def _find(session, query, message):
        # Immutable: no locks. A reader's lock at the wrong time makes a writer sleep.
        while True:
            try:
                with contextlib.closing(sqlite3.connect(f"file:{session.outbound}?immutable=1",
                                                        uri=True)) as db:
                    return db.execute(query, (message,)).fetchone()
            except sqlite3.DatabaseError:
                pass  # half of a commit was read


def _cpu_nanoseconds(pid):
    try:
        text = pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii")
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended meanwhile
    return int(text.split()[0])


def cpu_seconds(pids):
    """User and system time of these processes."""
    return sum(map(_cpu_nanoseconds, pids)) / 1e9


def settle(pids, patience=10.0):
    """Waits until they have no more to do than to look at a clock now and then."""
    deadline, before, little = time.monotonic() + patience, -1.0, 0.0005 * max(1, len(pids) / 4)
    while (now := cpu_seconds(pids)) - before > little and time.monotonic() < deadline:
        before = now
        time.sleep(0.2)


def rest(pids, quick):
    """
    The same, and so long that a session has given back what its last look took, and takes its inbox
    for a file that rests.
    """
    settle(pids, patience=3)
    if not quick:
        time.sleep(3.5)


def _kib(pid, file, name):
    text = pathlib.Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def pss_mb(pids):
    """Memory with shared pages divided among those who share them."""
    return sum(_kib(pid, "smaps_rollup", "Pss") for pid in pids) * KIB_MB


def rss_mb(pid):
    return _kib(pid, "status", "VmRSS") * KIB_MB


def peak_rss_mb(pid):
    return _kib(pid, "status", "VmHWM") * KIB_MB


def commit_seconds():
    """A commit of SQLite's that is on disk, median: what no host and no runner can beat."""
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.closing(sqlite3.connect(f"{folder}/floor.db", isolation_level=None)) as db:
            db.executescript("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; CREATE TABLE t(x)")
            times = []
            for i in range(40):
                before = time.monotonic()
                db.execute("INSERT INTO t VALUES (?)", (i,))
                times.append(time.monotonic() - before)
    return statistics.median(times)


def machine():
    """One sentence about what the figures come from."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return (f"{os.cpu_count()} × {peers.processor()}, {memory:.0f} GB, "
            f"Linux {platform.release().split('-')[0]}, {programs.file_system()}; "
            f"{peers.busy_share():.0f} % busy before the start; "
            f"one commit of SQLite's alone {commit_seconds() * 1000:.2f} ms")


def pids_of(session):
    """PID 1 and the loop."""
    return [session.process.pid, session.loop_pid()]


def tree_of(session):
    """PID 1 and all below it, the agent too."""
    return [session.process.pid, *sessions.descendants(session.process.pid)]
