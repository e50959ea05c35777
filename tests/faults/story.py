# SPDX-License-Identifier: MIT
"""
A session of two containers as a host drives it, whatever goes wrong meanwhile: rows that come before
the start, a tool, an early block, a follow-up, tasks, /clear, SIGTERM in a turn, a clean end.

The host's half never gives up early: it adds what comes next once the messages before are
acknowledged, starts a container again when one ended, and ends a session in which nothing happens
for SILENCE seconds: that silence is what the user would see.
"""
import dataclasses
import hashlib
import os
import signal
import sqlite3
import time

import session as sessions

SILENCE = 30.0
TICK = 0.001
# From the fault on, until a disk has room again.
OUTAGE = 0.3
# Starts of one session; a host would go on, but something is wrong.
STARTS_MAX = 40
# On a busy machine the kernel may take seconds to take an inotify descriptor back, and a process
# that waits for it cannot even be killed.
STOP_SECONDS = 20.0
PLACE = (sessions.CHANNEL, sessions.PLACE)

WAKING = "echo '{\"wakeAgent\": true, \"data\": 1}'"
NOT_WAKING = "echo '{\"wakeAgent\": false}'"


@dataclasses.dataclass(frozen=True)
class Message:
    """What was sent, and what is due for it."""
    id: str
    token: str
    texts: tuple            # each is one row, if the message is completed
    status: str = "completed"


@dataclasses.dataclass
class Container:
    """One that ended."""
    code: int
    stopped: bool           # by us
    left: list              # processes that outlived it
    stderr: str


class Silence(Exception):
    """Nothing happens any more."""


class Story:
    """folder: of the programs; env: of the runner, LD_PRELOAD among it."""

    def __init__(self, watch_maker, env_maker, on_tick=None):
        self.session = sessions.Session(provider="claude")
        self.messages = []
        self.containers = []
        self.notes = []
        self.by_script = set()  # texts that a script decides about
        self.on_tick = on_tick
        self.stopped_words = "slow"     # the message in whose turn SIGTERM comes
        self.watch = watch_maker(self.session.base / "fault")
        self.session.env.update(env_maker(self.session.base / "fault"))
        self.steps = 0          # how often the host has added something, or will in a moment
        self._acks = {}
        self._seen = None
        self._seen_at = 0.0
        self._wants_container = False
        self._stopping = False
        self._starts = 0
        self._fired_at = None
        self._news_at = time.monotonic()
        (self.session.workspace / "agent/note.txt").write_text("a note\n")
        self.session.own()
        self._inbound = self._inbound_digest()

    # What the host does

    def _inbound_digest(self):
        return hashlib.sha256(self.session.inbound.read_bytes()).hexdigest()

    def check_inbound(self):
        if self._inbound_digest() != self._inbound:
            self.notes.append("inbound.db is not what the host wrote")

    def _add(self, rows):
        """One commit of the host's, tried again while the disk refuses it."""
        self.check_inbound()
        self.steps += 1
        while True:
            try:
                ids = self.session.add_rows(rows)
                break
            except sqlite3.OperationalError:
                yield
        self._inbound = self._inbound_digest()
        self._news_at = time.monotonic()
        return ids

    def _say(self, *words, **columns):
        """Chat messages in one commit; each gets a token behind its words. Returns their ids."""
        rows, made = [], []
        for text in words:
            token = f"tok-{len(self.messages) + len(made) + 1:03}"
            made.append((token, text))
            rows.append({"content": {"text": f"{text} {token}", "sender": "Ann"}, **columns})
        ids = yield from self._add(rows)
        for message_id, (token, text) in zip(ids, made):
            texts = [f"re {token}"]
            for word, answer in (("say-first", "first"), ("use-tool", "tool"), ("send-file", "file")):
                if word in text:
                    texts.insert(0, f"{answer} {token}")
            self.messages.append(Message(message_id, token, tuple(texts)))
        return ids

    def _add_others(self, *others):
        """Rows beside chat: (row without its token, texts due, status due)."""
        made = [(f"tok-{len(self.messages) + i + 1:03}", *other) for i, other in enumerate(others)]
        rows = [{**row, "content": {k: v.replace("{}", token) for k, v in row["content"].items()}}
                for token, row, _, _ in made]
        ids = yield from self._add(rows)
        for message_id, (token, row, texts, status) in zip(ids, made):
            message = Message(message_id, token, tuple(t.replace("{}", token) for t in texts), status)
            self.messages.append(message)
            if row["kind"] == "task":
                self.by_script.update(message.texts)
        return ids

    def _context(self):
        yield from self._add([{"content": {"text": "by the way", "sender": "Bob"}, "trigger": 0}])

    def _done(self, ids):
        while not all(self._acks.get(i) in ("completed", "failed") for i in ids):
            yield

    def _begun(self, ids):
        while not all(i in self._acks for i in ids):
            yield

    def _stop(self):
        self._stopping = True
        if self.session.process.poll() is None:
            self.session.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.session.process.poll() is None:
            if time.monotonic() > deadline:
                self.notes.append(f"it does not end on SIGTERM within {STOP_SECONDS} s")
                self.session.process.kill()
                self.session.process.wait()
            yield
        self._bury(stopped=True)
        self._stopping = False

    # The session

    def _script(self):
        yield from self._context()
        ids = yield from self._say("hello", "and hello")
        self._start()
        yield from self._done(ids)
        yield from self._done((yield from self._say("use-tool")))
        yield from self._done((yield from self._say("say-first")))
        first = yield from self._say("slow")
        yield from self._begun(first)
        second = yield from self._say("follow-up")
        yield from self._done(first + second)
        yield from self._done((yield from self._say("send-file")))
        task = {"kind": "task"}
        yield from self._done((yield from self._add_others(
            ({**task, "content": {"prompt": "task {}", "script": WAKING}}, ("re {}",), "completed"),
            ({**task, "content": {"prompt": "task {}", "script": NOT_WAKING}}, (), "completed"))))
        yield from self._done((yield from self._add_others(
            ({"kind": "odd", "content": {"text": "odd {}"}}, (), "failed"))))
        yield from self._done((yield from self._add_others(
            ({"kind": "chat", "content": {"text": "/clear"}}, ("Session cleared.",), "completed"))))
        yield from self._done((yield from self._say("again")))
        ids = yield from self._say(self.stopped_words)
        yield from self._begun(ids)
        # Late enough for what is said first, early enough for the turn not to be over.
        yield from self._pause(0.02)
        yield from self._stop()
        self._start()
        yield from self._done(ids)
        yield from self._done((yield from self._say("say-first bye")))
        yield from self._stop()
        # What a fault at the very end left behind is the next container's to put in order.
        while self._is_unsettled() and self._starts < STARTS_MAX:
            self.watch.mend()
            self._start()
            yield from self._settle()
            yield from self._stop()

    @staticmethod
    def _pause(seconds):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            yield

    def _is_unsettled(self):
        """Did the last container end before it could do all that was to be done?"""
        was_mended = self.watch.state.mended or not self.watch.state.failed
        last = self.containers[-1]
        return last.code != 0 or "ending on signal" not in last.stderr or not was_mended

    def _settle(self):
        """Until it has looked at what is due."""
        yield from self._pause(0.2)

    # Containers

    def _start(self):
        self._wants_container = True
        self._starts += 1
        self.session.start()

    def _bury(self, stopped):
        """The container has ended: what it left dies with it, as the kernel sees to."""
        left = sessions.descendants(os.getpid())
        names = [sessions.process_name(pid) for pid in left if sessions.is_alive(pid)]
        # One of them may wait in the kernel.
        deadline = time.monotonic() + STOP_SECONDS
        while left and time.monotonic() < deadline:
            sessions.kill_all(left)
            self._reap()
            left = sessions.descendants(os.getpid())
        self.containers.append(Container(self.session.process.returncode, stopped, names,
                                         self.session.stderr()))

    @staticmethod
    def _reap():
        try:
            while os.waitpid(-1, os.WNOHANG)[0] > 0:
                pass
        except ChildProcessError:
            pass

    def _keep_alive(self):
        if not self._wants_container or self._stopping or self.session.process.poll() is None:
            return
        self._bury(stopped=False)
        if self._starts >= STARTS_MAX:
            raise Silence("it ends again and again")
        if self.containers[-1].code > 0:
            # As a host does it, which waits a little.
            time.sleep(0.05)
        self._start()

    # What the host sees

    def _look(self):
        """Reads the acknowledgements if outbound.db changed."""
        try:
            found = self.session.outbound.stat()
        except FileNotFoundError:
            return
        stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
        # Clocks of file systems may be coarse.
        if stamp == self._seen and time.monotonic() < self._seen_at + 0.25:
            return
        self._seen_at = time.monotonic()
        try:
            acks = self._query("SELECT message_id, status FROM processing_ack")
        except sqlite3.OperationalError:
            return
        if dict(acks) != self._acks:
            self._news_at = time.monotonic()
        self._acks = dict(acks)
        self._seen = stamp

    def _query(self, text):
        db = sqlite3.connect(f"file:{self.session.outbound}?mode=ro", uri=True, timeout=0.1)
        try:
            return db.execute(text).fetchall()
        finally:
            db.close()

    def _tick(self):
        now = time.monotonic()
        self._look()
        self._keep_alive()
        if self.watch.fired and self._fired_at is None:
            self._fired_at = now
        if self._fired_at and now > self._fired_at + OUTAGE:
            self.watch.mend()
        if self.on_tick:
            self.on_tick(self)
        if now > self._news_at + SILENCE:
            raise Silence(f"nothing for {SILENCE} s")

    def run(self):
        """Plays it to its end; what was odd stands in notes."""
        script = self._script()
        try:
            while True:
                next(script)
                self._tick()
                time.sleep(TICK)
        except StopIteration:
            pass
        except Silence as reason:
            self.notes.append(f"silence: {reason}; acks {self._acks}")
            if self.session.process and self.session.process.poll() is None:
                self.session.process.kill()
                self.session.process.wait()
            self._bury(stopped=True)
        self.watch.mend()
        return self

    def stop(self):
        """Whatever happened: no process stays."""
        if self.session.process and self.session.process.poll() is None:
            self.session.process.kill()
            self.session.process.wait()
            self._bury(stopped=True)


