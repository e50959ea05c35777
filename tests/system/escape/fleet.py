# SPDX-License-Identifier: MIT
"""
Containers in the settings of settings.py, each with a hostile agent in it (agent.c), and what came of
its attempts.
"""
import contextlib
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

HERE = pathlib.Path(__file__).parent
PLACE = "/escape"
AGENT = f"{PLACE}/agent"
# A message's answer is an attempt's line of JSON for each name: so many at a time.
AT_ONCE = 40
# v2 of a file capability, in little endian: effective, and CAP_CHOWN and CAP_SYS_ADMIN permitted.
CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 0 | 1 << 21, 0, 0, 0)


@functools.cache
def build():
    """A folder to be mounted as PLACE: the agent, and copies that have rights of their own."""
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


def attempts():
    """name -> what it tries, as the attacker knows it."""
    listed = subprocess.run([build() / "agent", "--list"], capture_output=True, text=True,
                            check=True).stdout
    return {row["name"]: row["what"] for row in map(json.loads, listed.splitlines())}


def mounts(session):
    # suid: else no program there would have more rights than who starts it, whatever we do.
    return ["-v", f"{session.workspace}:/workspace", "-v", f"{build()}:{PLACE}:ro,suid",
            "--network=none"]


class Attack:
    """A session container with the hostile agent, asked by messages as a user asks."""

    def __init__(self, session, options):
        self.session = session
        self.container = Container(
            options=[*mounts(session), "-e", f"AGENT_CLAUDE_PATH={AGENT}",
                     "-e", "AGENT_PROVIDER=claude", "-e", "AGENT_RETRY_MS=10", *options])

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.container.__exit__()

    def explain(self):
        return f"{self.container.log()}\n{self.session.explain()}"

    def ask(self, text, timeout=60):
        """What the agent answers; None: the message failed."""
        before = len(self.session.answers())
        message = self.session.add_chat(text)
        sessions.wait_until(lambda: self.session.acks().get(message) in ("completed", "failed"),
                            f"the answer to {text[:40]!r}", timeout, self.explain)
        new = self.session.texts()[before:]
        return new[-1] if new else None

    def attempt(self, names):
        """name -> row of the attacker."""
        rows = {}
        for start in range(0, len(names), AT_ONCE):
            part = names[start:start + AT_ONCE]
            answer = self.ask("attempts: " + " ".join(part))
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


def run_unconfined(session, names, options):
    """The attempts in a container without agent-runner: name -> row."""
    done = podman("run", "--rm", *mounts(session), *options, "--entrypoint", AGENT, IMAGE,
                  "--attempt", *names)
    assert done.returncode == 0, done.stderr
    return {row["name"]: row for row in map(json.loads, done.stdout.splitlines())}


@contextlib.contextmanager
def listener(container):
    """An abstract socket in the container that belongs to nobody below the loop."""
    started = podman("exec", "-d", container.id, AGENT, "--listen")
    assert started.returncode == 0, started.stderr
    yield


def database_rows(path):
    """All that a database holds, and that it is whole; through a copy, to leave no trace there."""
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copy(path, folder)
        db = sqlite3.connect(copy)
        try:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            tables = [row[0] for row in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")]
            return {table: db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()  # noqa: S608
                    for table in tables}
        finally:
            db.close()
