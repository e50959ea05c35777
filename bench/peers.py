# SPDX-License-Identifier: MIT
"""
Whom agent-runner is compared with: the inits that are installed, and another runner of session
folders, if PEER_RUNNER has its command. {workspace} in it stands for the session folder, which is
in its variable WORKSPACE, too.
"""
import contextlib
import os
import pathlib
import platform
import shlex
import shutil
import subprocess
import time

import session as sessions
from programs import UID, output, program
from table import NotHere

INITS = ["tini", "dumb-init", "catatonit"]


def inits():
    """name -> words before a command."""
    return {name: [shutil.which(name)] for name in INITS if shutil.which(name)}


def told(figures):
    """The cell of a table: figures is name -> text of those that are here."""
    return ", ".join(f"{name} {figures[name]}" if name in figures else f"{name}: not here"
                     for name in INITS)


class Runner:
    """Who serves a session: agent-runner, or the peer."""

    def __init__(self, words=None):
        self.words = words

    def command(self, session):
        if self.words is None:
            return session.command()
        return [word.replace("{workspace}", str(session.workspace)) for word in self.words]

    def environment(self, session):
        return {**session.env, **({"WORKSPACE": str(session.workspace)} if self.words else {})}

    def start(self, session):
        session.start(command=self.command(session), env=self.environment(session))

    def times(self, session, message):
        """Nanoseconds from its start to the claim and to the answer, and how many commits."""
        return output("host", "start", session.workspace, message, UID, *self.command(session),
                      env=self.environment(session), cwd="/")[0]


OURS = Runner()


def peer():
    """None: PEER_RUNNER is not set."""
    words = shlex.split(os.environ.get("PEER_RUNNER", ""))
    return Runner(words) if words else None


def peer_figure(measure, *arguments):
    """The cell of a table: what measure(peer, …) says of it."""
    runner = peer()
    if runner is None:
        return "not here (PEER_RUNNER)"
    try:
        return f"PEER_RUNNER {measure(runner, *arguments)}"
    except (NotHere, AssertionError, OSError) as error:
        return f"PEER_RUNNER: {str(error).splitlines()[0]}"


# The machine


def processor():
    """Its model's name."""
    text = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return next((row.split(":", 1)[1].strip() for row in text.splitlines()
                 if row.startswith("model name")), platform.machine())


def _cpu_times():
    """Ticks of all processors together: idle, and in all."""
    words = pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:9]
    ticks = [int(word) for word in words]
    return ticks[3] + ticks[4], sum(ticks)


def busy_share(seconds=1.0):
    """What others do at present, in percent of all processors; /proc/loadavg remembers for minutes."""
    idle, total = _cpu_times()
    time.sleep(seconds)
    idle_now, total_now = _cpu_times()
    return 100 * (1 - (idle_now - idle) / (total_now - total))


# Processes


def pss_kib(*pids):
    try:
        texts = [pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
                 for pid in pids]
    except PermissionError:
        raise NotHere("only root can read it") from None
    return sum(int(line.split()[1]) for text in texts for line in text.splitlines()
               if line.startswith("Pss:"))


def status(pid, name):
    """A number of /proc/PID/status."""
    text = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name}:"))


def cpu_and_wakes(pids):
    """Nanoseconds on a processor, and how often they fell asleep, of all together, thread by thread."""
    tasks = [f"{pid}/task/{task}" for pid in pids for task in os.listdir(f"/proc/{pid}/task")]
    nanoseconds = sum(int(pathlib.Path(f"/proc/{task}/schedstat").read_text().split()[0])
                      for task in tasks)
    return nanoseconds, sum(status(task, "voluntary_ctxt_switches") for task in tasks)


def tree(session):
    """PID 1 of the session and all below."""
    return [session.process.pid, *sessions.descendants(session.process.pid)]


@contextlib.contextmanager
def idle_inits(chosen=None):
    """
    A program that waits, alone, and as the child of each init that is here, or of those that are
    chosen: name -> pid.
    """
    identity = {"user": UID, "group": UID, "extra_groups": []} if os.getuid() == 0 else {}
    started = {name: subprocess.Popen([*words, program("empty"), "wait"], cwd="/",
                                      stderr=subprocess.DEVNULL, **identity)
               for name, words in {"alone": [], **(inits() if chosen is None else chosen)}.items()}
    try:
        for name, process in started.items():
            sessions.wait_until(lambda p=process, n=name: n == "alone" or
                                sessions.descendants(p.pid), f"the child of {name}")
        yield {name: process.pid for name, process in started.items()}
    finally:
        for process in started.values():
            sessions.kill_all([*sessions.descendants(process.pid), process.pid])
            process.wait()
