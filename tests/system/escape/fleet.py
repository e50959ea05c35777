# SPDX-License-Identifier: MIT
"""
Containers in the settings of settings.py, each with a hostile agent in it (agent.c), and what came
of its attempts.
"""
import dataclasses
import functools
import json
import os
import pathlib
import shutil
import sqlite3
import struct
import subprocess
import tempfile

import session as sessions
from containers import IMAGE, Container, podman
from settings import BARE, SETTINGS, UNCONFINED

HERE = pathlib.Path(__file__).parent
PLACE = "/escape"
AGENT = f"{PLACE}/agent"
# An answer holds a line for each: so many at a time.
AT_ONCE = 50
# A file capability in the kernel's form: version 2, effective; CAP_CHOWN and CAP_SYS_ADMIN.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 0 | 1 << 21, 0, 0, 0)


@functools.cache
def build():
    """A folder to be mounted as PLACE: the agent, and copies of it that have further rights."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-escape-"))
    folder.chmod(0o755)
    agent = folder / "agent"
    subprocess.run(
        ["cc", "-static", "-no-pie", "-O1", "-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra",
         "-Werror", f"-I{sessions.ROOT}", "-o", agent, *sorted(HERE.glob("*.c")), "-ljansson"],
        check=True)
    if os.getuid() == 0:
        shutil.copy(agent, folder / "agent-setuid")
        (folder / "agent-setuid").chmod(0o4755)
        shutil.copy(agent, folder / "agent-capable")
        os.setxattr(folder / "agent-capable", "security.capability", CAPABILITY)
    return folder


def forget():
    if build.cache_info().currsize:
        shutil.rmtree(build())
        build.cache_clear()


@functools.cache
def attempts():
    """name -> what it tries, as the attacker knows it."""
    listed = subprocess.run([build() / "agent", "--list"], capture_output=True, text=True,
                            check=True).stdout
    return {row["name"]: row["what"] for row in map(json.loads, listed.splitlines())}


def make_session(setting):
    """A session's folder with all that hosts and loops put there."""
    session = sessions.Session(provider="claude", config=setting.config)
    for name in ("inbox", "outbox"):
        (session.workspace / name).mkdir()
    session.own()
    if setting.owner is not None:
        for path in [session.workspace, *session.workspace.rglob("*")]:
            os.chown(path, setting.owner, setting.owner)
    return session


def mounts(session):
    # suid: else no program there would have more rights than who starts it, whatever we do.
    return ["-v", f"{session.workspace}:/workspace", "-v", f"{build()}:{PLACE}:ro,suid",
            "--network=none"]


class Attack:
    """A session container with the hostile agent, which is asked by messages as users ask."""

    def __init__(self, session, setting, options=()):
        self.session = session
        self.watched = None  # a process whose pace is kept
        if setting.is_config_hosts:
            config = session.base / "container.json"
            shutil.copy(session.workspace / "agent/container.json", config)
            config.chmod(0o644)
            options = [*options, "-v", f"{config}:/workspace/agent/container.json:ro"]
        self.container = Container(*setting.arguments, options=[
            *mounts(session), "-e", f"AGENT_CLAUDE_PATH={AGENT}", "-e", "AGENT_RETRY_MS=10",
            *setting.options, *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.__exit__()

    def explain(self):
        return f"{self.container.log()}\n{self.session.explain()}"

    def ask(self, text, timeout=sessions.PATIENCE):
        """The last thing that the user is told before the message counts as done; None: nothing."""
        before = len(self.session.answers())
        message = self.session.add_chat(text)

        def probe():
            self.keep_pace()
            try:
                return self.session.acks().get(message) in ("completed", "failed")
            except sqlite3.DatabaseError:
                # Where nothing is protected, an attempt damages it for a moment.
                return False
        sessions.wait_until(probe, f"the answer to {text[:40]!r}", timeout,
                            self.explain)
        new = self.session.texts()[before:]
        return new[-1] if new else None

    def keep_pace(self):
        """An attempt that succeeds may have the loop wait for everybody else on a busy machine."""
        if self.watched and os.sched_getscheduler(self.watched) == os.SCHED_IDLE:
            os.sched_setscheduler(self.watched, os.SCHED_OTHER, os.sched_param(0))

    def attempt(self, names):
        """name -> what the attacker says of it."""
        rows = {}
        for start in range(0, len(names), AT_ONCE):
            answer = self.ask("attempts: " + " ".join(names[start:start + AT_ONCE]), 60)
            for line in (answer or "").splitlines():
                row = json.loads(line)
                rows[row["name"]] = row
        missing = set(names) - set(rows)
        assert not missing, f"no word of {sorted(missing)}\n{self.explain()}"
        return rows

    def still_answers(self):
        assert self.ask("hello") == "still here", self.explain()

    def loop(self):
        return self.container.find("agent-session")

    def agents(self):
        """The pids of the agent's processes, as this machine counts."""
        return [pid for pid, name in self.container.processes().items()
                if name == "agent" and sessions.is_alive(pid)]

    def listen(self):
        """Beside the agent, and none of it: where it should not get."""
        started = self.container.exec(AGENT, "--listen")
        assert started.returncode == 0, started.stderr


def database_rows(path):
    """All that a database holds, if it is whole. Read from a copy, to leave no trace there."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(shutil.copy(path, folder))
        try:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = [row[0] for row in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            return {table: sorted(map(repr, db.execute(f"SELECT * FROM {table}")))
                    for table in tables}
        finally:
            db.close()


@dataclasses.dataclass
class Seen:
    """What came of all attempts in one setting, and what was there before and after."""
    rows: dict = dataclasses.field(default_factory=dict)
    pids: list = dataclasses.field(default_factory=list)
    inbound: list = dataclasses.field(default_factory=list)
    outbound: list = dataclasses.field(default_factory=list)
    names: list = dataclasses.field(default_factory=list)
    answer: str = None
    exit_code: int = None


def _look(seen, attack):
    session = attack.session
    attack.watched = attack.loop()
    seen.pids.append((attack.container.pid(), attack.watched))
    seen.inbound.append(database_rows(session.inbound))
    seen.outbound.append(database_rows(session.outbound))
    seen.names.append(sorted(path.name for path in session.workspace.iterdir()))


def _attack(setting):
    seen = Seen()
    session = make_session(setting)
    try:
        with Attack(session, setting) as attack:
            attack.still_answers()
            attack.listen()
            # It comes after the agent's start.
            (session.workspace / "escape.db-journal").write_bytes(b"\0" * 512)
            os.chmod(session.workspace / "escape.db-journal", 0o666)
            _look(seen, attack)
            seen.rows = attack.attempt(list(attempts()))
            _look(seen, attack)
            seen.answer = attack.ask("hello")
            seen.exit_code = attack.container.stop(5)
    finally:
        session.close()
    return seen


def _unconfined():
    """Without agent-runner, as root; what needs more than a container, on this machine."""
    session = make_session(BARE)
    try:
        done = podman("run", "--rm", *mounts(session), *UNCONFINED, "--entrypoint", AGENT, IMAGE,
                      "--attempt", *attempts())
    finally:
        session.close()
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


@functools.cache
def _outcome(name):
    try:
        if name == "unconfined":
            return _unconfined()
        return _attack(BARE if name == "bare" else SETTINGS[name])
    except (AssertionError, OSError, RuntimeError, ValueError, subprocess.SubprocessError) as error:
        return error


def seen(name):
    """Of a setting, run once; what went wrong then is said to everybody who asks."""
    outcome = _outcome(name)
    if isinstance(outcome, Exception):
        raise AssertionError(f"setting {name}: {outcome}") from outcome
    return outcome


# With a loop, and with less in the way than where attempts are to be denied.
PLACES = ["off", "bare"]


def works(name):
    """Was it seen to succeed anywhere?"""
    rows = [*(seen(place).rows[name] for place in PLACES), seen("unconfined")[name]]
    return any(row["verdict"] == "succeeded" for row in rows)


def is_absent(name):
    """There is no such thing in this kernel, or on this machine: root finds none."""
    # Where agent-runner is not, there is no loop either.
    return (not name.startswith("loop-") and not works(name) and
            seen("unconfined")[name]["verdict"] == "absent")
