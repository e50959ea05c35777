# SPDX-License-Identifier: MIT
"""
A session folder as a NanoClaw v2 host makes it, and agent-runner running on it.

    with Session() as session:              # provider mock
        session.start()
        message = session.add_chat("hello")
        assert session.wait_answer().text == "echo: hello"
        session.wait_ack(message, "completed")
        assert session.stop() == 0

The host's half is played as hosts play it: inbound.db is written through a connection of its own
for each commit, outbound.db is only read. Every wait polls with a deadline; a wait in vain fails
with what the databases hold and what the runner said.

Refuses to be dangerous: the folder is always a fresh private one, and when the tests run as root
the runner is started as an ordinary user, unless a test asks for something else.
"""
import atexit
import dataclasses
import itertools
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import stat
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
UID = 1000 if os.getuid() == 0 else os.getuid()
GID = 1000 if os.getuid() == 0 else os.getgid()

# Far more than anything takes; only a failing test waits so long.
PATIENCE = 20.0
POLL = 0.002

CHANNEL = "whatsapp"
PLACE = "casa@g.us"
NAME = "casa"

_numbers = itertools.count(1)


def wait_until(probe, what, timeout=PATIENCE, explain=None):
    """Polls until probe() is true and returns what it returned."""
    deadline = time.monotonic() + timeout
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {timeout} s" +
                                 (f"\n{explain()}" if explain else ""))
        time.sleep(POLL)


def stays(probe, seconds):
    """Is probe() true all the time for so long? For what must not happen."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not probe():
            return False
        time.sleep(POLL)
    return True


# Processes


def _stat_fields(pid):
    """comm, state, parent and start, in ticks since boot, of a process; None if it is gone."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    comm, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
    return comm, rest[0], int(rest[1]), int(rest[19])


def process_name(pid):
    fields = _stat_fields(pid)
    return fields[0] if fields else None


def process_state(pid):
    """A letter, as in ps; None if it is gone."""
    fields = _stat_fields(pid)
    return fields[1] if fields else None


def descendants(pid):
    """The pids below pid, parents first. Zombies count: they are somebody's to reap."""
    children = {}
    for entry in os.listdir("/proc"):
        fields = _stat_fields(entry) if entry.isdigit() else None
        if fields:
            children.setdefault(fields[2], []).append(int(entry))
    found, todo = [], [pid]
    while todo:
        below = children.get(todo.pop(0), [])
        found += below
        todo += below
    return found


def eldest_child(parent, pids):
    """Which of the pids is its first child: their numbers do not tell, since they wrap."""
    fields = {pid: _stat_fields(pid) for pid in pids}
    return min((f[3], pid) for pid, f in fields.items() if f and f[2] == parent)[1]


def is_alive(pid):
    fields = _stat_fields(pid)
    return fields is not None and fields[1] not in "ZX"


def signal_all(pids, signo):
    """Those that are gone already don't matter."""
    for pid in pids:
        try:
            os.kill(pid, signo)
        except ProcessLookupError:
            pass


def kill_all(pids):
    signal_all(pids, signal.SIGKILL)


# The binary under test


def _is_open_to_all(path):
    """Can any user execute it?"""
    return all(p.stat().st_mode & stat.S_IXOTH for p in [path, *path.parents])


def _find_runner():
    path = pathlib.Path(os.environ.get("AGENT_RUNNER", ROOT / "build/agent-runner")).resolve()
    if not path.exists():
        raise FileNotFoundError(f"{path}: build it first, or say in AGENT_RUNNER where it is")
    if os.getuid() != 0 or _is_open_to_all(path):
        return path
    # A checkout in a folder of root's: the ordinary user gets a copy.
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-binary-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    return pathlib.Path(shutil.copy(path, folder))


_runner = None


def runner_path():
    global _runner
    if _runner is None:
        _runner = _find_runner()
    return _runner


def forget_runner():
    """Another one stands in AGENT_RUNNER now."""
    global _runner
    _runner = None


def schema(name):
    return (ROOT / "schema" / f"{name}.sql").read_text()


@dataclasses.dataclass
class Answer:
    """A row of messages_out."""
    id: str
    seq: int
    in_reply_to: str
    timestamp: str
    deliver_after: str
    recurrence: str
    kind: str
    platform_id: str
    channel_type: str
    thread_id: str
    content: str

    @property
    def text(self):
        """None where it has none: a card, a question."""
        return json.loads(self.content).get("text")

    @property
    def route(self):
        return self.channel_type, self.platform_id, self.thread_id


class Session:
    """
    provider, config: go to container.json (provider None: no such file).
    env: the runner's variables besides a bare environment; outbound: does the host make that file?
    grace: for --grace, long by default, so that a busy machine is not taken for a loop that hangs.
    """

    def __init__(self, provider="mock", env=None, config=None, args=(), outbound=True,
                 grace="15s"):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-test-"))
        self.workspace = self.base / "workspace"
        self.home = self.base / "home"
        self.args = [f"--grace={grace}", *args]
        self.env = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": str(self.home),
            "TZ": "UTC",
            "TMPDIR": str(self.home),
            # Our processes cannot be traced, and LeakSanitizer works by tracing.
            "ASAN_OPTIONS": "detect_leaks=0",
            **(env or {}),
        }
        self.process = None
        self.stop_seconds = None
        self._errors = []
        self.base.chmod(0o755)
        for folder in (self.workspace, self.home, self.workspace / "agent"):
            folder.mkdir()
        self._make_inbound()
        if outbound:
            self.outbound_execute(schema("outbound"))
        if provider is not None:
            self.write_config({"provider": provider, **(config or {})})
        self.own()

    def own(self):
        """The folder belongs to the user whom the runner runs as, as after a host's chown."""
        if os.getuid() != 0:
            return
        for path in [self.workspace, self.home, *self.workspace.rglob("*")]:
            os.chown(path, UID, GID, follow_symlinks=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # The host's half

    @property
    def inbound(self):
        return self.workspace / "inbound.db"

    @property
    def outbound(self):
        return self.workspace / "outbound.db"

    def _make_inbound(self):
        self.inbound_execute(schema("inbound"))
        self.add_destination(NAME, "Casa", channel_type=CHANNEL, platform_id=PLACE)
        with self.inbound_transaction() as db:
            db.execute("INSERT INTO session_routing VALUES (1, ?, ?, NULL)", (CHANNEL, PLACE))

    def inbound_transaction(self):
        return _Transaction(self.inbound)

    def inbound_execute(self, script):
        with _Transaction(self.inbound) as db:
            db.executescript(script)

    def outbound_execute(self, script):
        """What a host does there only while no container runs."""
        with _Transaction(self.outbound) as db:
            db.executescript(script)

    def write_config(self, value):
        """container.json; a str or bytes is written as it is."""
        path = self.workspace / "agent/container.json"
        if isinstance(value, bytes):
            path.write_bytes(value)
        else:
            path.write_text(value if isinstance(value, str) else json.dumps(value))

    def add_destination(self, name, display_name=None, kind="channel", channel_type=None,
                        platform_id=None, agent_group_id=None):
        with self.inbound_transaction() as db:
            db.execute("INSERT OR REPLACE INTO destinations VALUES (?,?,?,?,?,?)",
                       (name, display_name, kind, channel_type, platform_id, agent_group_id))

    def remove_destination(self, name):
        with self.inbound_transaction() as db:
            db.execute("DELETE FROM destinations WHERE name = ?", (name,))

    def add_rows(self, rows):
        """
        Rows of messages_in in one commit, each a dict of columns; content may be anything that
        JSON has, or a str, or bytes (written as text, whatever they hold). Returns their ids.
        """
        ids = []
        with self.inbound_transaction() as db:
            seq = db.execute("SELECT coalesce(max(seq), 0) FROM messages_in "
                             "WHERE typeof(seq) = 'integer'").fetchone()[0]
            for row in rows:
                seq += 2
                row = {
                    "id": f"in-{next(_numbers)}", "seq": seq, "kind": "chat",
                    "timestamp": "2026-02-04T13:30:00.000Z", "channel_type": CHANNEL,
                    "platform_id": PLACE, **row,
                }
                if not isinstance(row["content"], (str, bytes)):
                    row["content"] = json.dumps(row["content"])
                marks = ["CAST(? AS TEXT)" if isinstance(v, bytes) else "?" for v in row.values()]
                names = ", ".join(row)
                db.execute(f"INSERT INTO messages_in ({names}) VALUES ({', '.join(marks)})",
                           tuple(row.values()))
                ids.append(row["id"])
        return ids

    def add(self, content, **columns):
        return self.add_rows([{"content": content, **columns}])[0]

    def add_chat(self, text, sender="Ann", **columns):
        """A chat message; columns: any of messages_in. Returns its id."""
        return self.add({"text": text, "sender": sender}, **columns)

    def add_chats(self, texts, **columns):
        """Many in one commit."""
        return self.add_rows([{"content": {"text": t, "sender": "Ann"}, **columns} for t in texts])

    def add_task(self, prompt, script=None, **columns):
        content = {"prompt": prompt, **({"script": script} if script is not None else {})}
        return self.add(content, kind="task", **columns)

    # What the host sees

    def read(self, query, parameters=()):
        """Rows of outbound.db as dicts, through a read-only connection of its own."""
        def attempt():
            try:
                db = sqlite3.connect(f"file:{self.outbound}?mode=ro", uri=True, timeout=5)
                try:
                    db.row_factory = sqlite3.Row
                    db.text_factory = lambda text: text.decode(errors="replace")
                    return True, [dict(row) for row in db.execute(query, parameters)]
                finally:
                    db.close()
            except sqlite3.OperationalError as error:
                # A journal in the middle of its commit; a host tries again, too.
                self._read_error = error
                return None
        self._read_error = None
        return wait_until(attempt, f"reading outbound.db ({query})",
                          explain=lambda: self._read_error)[1]

    def answers(self):
        """messages_out in the order written."""
        return [Answer(**row) for row in self.read("SELECT * FROM messages_out ORDER BY seq")]

    def texts(self):
        return [answer.text for answer in self.answers()]

    def acks(self):
        """processing_ack: id -> status."""
        return {row["message_id"]: row["status"] for row in self.read(
            "SELECT message_id, status FROM processing_ack")}

    def state(self):
        """session_state: key -> value."""
        return {row["key"]: row["value"] for row in self.read(
            "SELECT key, value FROM session_state")}

    def container_state(self):
        """Row 1 of container_state as a dict; None if there is none."""
        rows = self.read("SELECT * FROM container_state WHERE id = 1")
        return rows[0] if rows else None

    def heartbeat(self):
        """mtime in seconds; None: there is no such file."""
        try:
            return (self.workspace / ".heartbeat").stat().st_mtime
        except FileNotFoundError:
            return None

    # Waiting

    def explain(self):
        """All there is to say about a session in which something did not happen."""
        try:
            answers = self.answers()
            rows = "\n".join(f"  {answer}" for answer in answers[-10:])
            rows = f"  ({len(answers)}, the last ones:)\n{rows}"
            state = f"acks: {self.acks()}\nstate: {self.state()}\n"
        except AssertionError as error:
            rows, state = f"  {error}", ""
        code = None if self.process is None else self.process.poll()
        return f"answers:\n{rows}\n{state}exit status: {code}\nstderr:\n{self.stderr()}"

    def wait(self, probe, what, timeout=PATIENCE):
        return wait_until(probe, what, timeout, self.explain)

    def wait_answers(self, count, timeout=PATIENCE):
        """Waits for that many rows of messages_out and returns all there are."""
        def probe():
            answers = self.answers()
            return answers if len(answers) >= count else None
        return self.wait(probe, f"{count} answers", timeout)

    def wait_answer(self, text=None, timeout=PATIENCE):
        """The first answer, or the first with this text."""
        def probe():
            return next((a for a in self.answers() if text is None or a.text == text), None)
        return self.wait(probe, "an answer" if text is None else f"the answer {text!r}", timeout)

    def wait_ack(self, ids, status="completed", timeout=PATIENCE):
        """Waits until this message, or all of a list, have that status."""
        ids = [ids] if isinstance(ids, str) else ids

        def probe():
            acks = self.acks()
            return all(acks.get(i) == status for i in ids)
        self.wait(probe, f"{ids} {status}", timeout)

    def wait_turn(self, ids):
        """Waits until the agent works on these messages: they are claimed."""
        self.wait_ack(ids, "processing")

    def wait_stderr(self, text, timeout=PATIENCE):
        self.wait(lambda: text in self.stderr(), f"{text!r} on stderr", timeout)

    # The runner

    def command(self):
        return [str(runner_path()), "--workspace", str(self.workspace), *self.args]

    def start(self, env=None, user=None, command=None, stdin=subprocess.DEVNULL):
        """
        Starts the runner in session mode. user: (uid, gid) when the tests run as root; command:
        how it is called instead.
        """
        assert self.process is None or self.process.poll() is not None, "it runs already"
        uid, gid = user or (UID, GID)
        identity = {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}
        self._errors.append(self.base / f"stderr-{len(self._errors)}")
        with open(self._errors[-1], "wb") as stderr, \
                open(self.base / "stdout", "ab") as stdout:
            self.process = subprocess.Popen(
                command or self.command(), stdin=stdin, stdout=stdout, stderr=stderr,
                env={**self.env, **(env or {})}, cwd="/", **identity)
        return self

    def stderr(self):
        """What the runner said since it was started last."""
        return self._errors[-1].read_text(errors="replace") if self._errors else ""

    def lines(self, *words):
        """The lines of stderr that hold all these words."""
        return [line for line in self.stderr().splitlines() if all(w in line for w in words)]

    def prompts(self):
        """What the mock was given, from a log of level debug; a line break stands there as ?."""
        return [line.split("mock prompt: ", 1)[1] for line in self.lines("mock prompt: ")]

    def run(self, *arguments, stdin=None, env=None, timeout=PATIENCE):
        """Runs it to its end in another mode: with these arguments, or with text on its stdin."""
        command = [str(runner_path()), "--workspace", str(self.workspace), *self.args, *arguments]
        identity = {"user": UID, "group": GID, "extra_groups": []} if os.getuid() == 0 else {}
        source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
        return subprocess.run(command, **source, capture_output=True, text=True, cwd="/",
                              env={**self.env, **(env or {})}, timeout=timeout, check=False,
                              **identity)

    def stdout(self):
        path = self.base / "stdout"
        return path.read_text(errors="replace") if path.exists() else ""

    def loop_pid(self):
        """The session loop: PID 1's child of that name."""
        def probe():
            return next((pid for pid in descendants(self.process.pid)
                         if process_name(pid) == "agent-session"), None)
        return self.wait(probe, "a process agent-session")

    def wait_exit(self, timeout=PATIENCE):
        """Waits for the end of the runner by itself; its exit code, negative: a signal."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it does not end\n{self.explain()}") from None

    def stop(self, signo=signal.SIGTERM, timeout=PATIENCE):
        """Stops it as `docker stop` does, measures how long it takes, returns the exit code."""
        before = time.monotonic()
        self.process.send_signal(signo)
        code = self.wait_exit(timeout)
        self.stop_seconds = time.monotonic() - before
        return code

    def kill(self):
        """As the end of a container: nothing of it gets another instruction in."""
        if self.process is None:
            return
        # Stopped first, until no new one shows up: none may see another die and do something about
        # it, and a fork may be under way.
        pids, todo = [], [self.process.pid]
        while todo:
            signal_all(todo, signal.SIGSTOP)
            pids += todo
            todo = [pid for pid in descendants(self.process.pid) if pid not in pids]
        kill_all(pids)
        self.process.wait()
        wait_until(lambda: not any(is_alive(pid) for pid in pids), "the death of all processes")

    def close(self):
        """Whatever happened: no process and no file stays."""
        if self.process is not None and self.process.poll() is None:
            self.kill()
        for folder in (self.workspace, self.workspace / "agent"):
            if folder.is_dir() and not folder.is_symlink():
                folder.chmod(0o755)
        shutil.rmtree(self.base)


class _Transaction:
    """One commit through a connection of its own, as hosts do it."""

    def __init__(self, path):
        self.db = sqlite3.connect(path, timeout=10)
        self.db.execute("PRAGMA journal_mode = DELETE")

    def __enter__(self):
        return self.db

    def __exit__(self, kind, *_):
        if kind is None:
            self.db.commit()
        self.db.close()
