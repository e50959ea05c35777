#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Measures agent-runner and prints the table that README shows: bench.py [--quick] [NAME…]

The host's half is played as in the tests. A commit of the runner is seen by inotify: its journal
is deleted. (Reading the file over and over instead costs the runner a core, and makes it five times
slower on two cores.) Each figure stands beside a floor taken in the same run, since what a machine
can do at all differs from hour to hour.
"""
import argparse
import contextlib
import ctypes
import json
import os
import pathlib
import platform
import random
import select
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
os.environ.setdefault("AGENT_RUNNER", str(ROOT / "build-bench/agent-runner"))
sys.path.insert(0, str(ROOT / "tests/system"))

import session as sessions  # noqa: E402

Session = sessions.Session
TICK = os.sysconf("SC_CLK_TCK")


def ms(seconds, digits=1):
    return f"{seconds * 1000:.{digits}f} ms"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Watcher:
    """Sees rows of outbound.db when they are committed: when the journal is gone."""

    IN_DELETE = 0x200

    def __init__(self, session):
        self.path = session.outbound
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.fd = self.libc.inotify_init1(os.O_CLOEXEC)
        if self.fd < 0 or self.libc.inotify_add_watch(
                self.fd, os.fsencode(self.path.parent), self.IN_DELETE) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.fd)

    def wait(self, query, parameters=(), timeout=60.0):
        """Until the query gives a row; the time at which the commit that holds it was seen."""
        deadline, now = time.monotonic() + timeout, time.monotonic()
        while not self._find(query, parameters):
            events = b""
            while b"outbound.db-journal" not in events:
                if not select.select([self.fd], [], [], max(0, deadline - time.monotonic()))[0]:
                    raise SystemExit(f"bench: in vain for {timeout} s: {query}")
                now = time.monotonic()
                events = os.read(self.fd, 65536)
        return now

    def _find(self, query, parameters):
        # Immutable: no locks. A reader's lock at the wrong time makes a writer sleep.
        while True:
            try:
                with contextlib.closing(sqlite3.connect(f"file:{self.path}?immutable=1",
                                                        uri=True)) as db:
                    return db.execute(query, parameters).fetchone()
            except sqlite3.DatabaseError:
                pass  # half of a commit was read


CLAIMED = "SELECT 1 FROM processing_ack WHERE message_id = ?"
COMPLETED = "SELECT 1 FROM processing_ack WHERE message_id = ? AND status = 'completed'"


# Floors


def floor_commit():
    """Seconds of an SQLite commit that is on disk, median."""
    with tempfile.TemporaryDirectory() as folder:
        db = sqlite3.connect(f"{folder}/floor.db", isolation_level=None)
        db.executescript("PRAGMA journal_mode=DELETE; PRAGMA synchronous=FULL; CREATE TABLE t(x)")
        times = []
        for i in range(60):
            before = time.monotonic()
            db.execute("INSERT INTO t VALUES (?)", (i,))
            times.append(time.monotonic() - before)
        db.close()
    return statistics.median(times)


def floor_start():
    """Seconds until /bin/true, started as the runner is started here, has ended, median."""
    identity = {"user": sessions.UID, "group": sessions.GID, "extra_groups": []}
    times = []
    for _ in range(30):
        before = time.monotonic()
        subprocess.run(["/bin/true"], check=True, cwd="/", **(identity if os.getuid() == 0 else {}))
        times.append(time.monotonic() - before)
    return statistics.median(times)


# What is measured. Each yields rows: (figure, ours, target, floor, peer as the issue quotes it).


def measure_start(rounds):
    claims, answers = [], []
    for _ in range(rounds):
        with Session() as session:
            message = session.add_chat("hello")
            with Watcher(session) as watcher:
                before = time.monotonic()
                session.start()
                claims.append(watcher.wait(CLAIMED, (message,)) - before)
                answers.append(watcher.wait(COMPLETED, (message,)) - before)
    commit, start = floor_commit(), floor_start()
    floor = f"start of /bin/true {ms(start)}, one commit {ms(commit)}"
    yield "start to claim, median", ms(statistics.median(claims)), "< 10 ms", floor, "90 ms"
    yield "start to completed answer, median", ms(statistics.median(answers)), "", "", "96 ms"


def measure_pickup(rounds):
    claims, answers = [], []
    with Session() as session, Watcher(session) as watcher:
        session.start()
        watcher.wait(COMPLETED, (session.add_chat("warm-up"),))
        for _ in range(rounds):
            # At any phase of whatever timer there might be.
            time.sleep(random.uniform(0.05, 0.15))
            message = session.add_chat("hello")
            before = time.monotonic()
            claims.append(watcher.wait(CLAIMED, (message,)) - before)
            answers.append(watcher.wait(COMPLETED, (message,)) - before)
    floor = f"one commit {ms(floor_commit(), 2)}"
    yield ("host's commit to claim, idle loop, p50", ms(statistics.median(claims), 2), "< 3 ms",
           floor, "130 ms")
    yield "host's commit to claim, idle loop, p99", ms(percentile(claims, 0.99), 2), "", "", ""
    yield "host's commit to completed answer, p50", ms(statistics.median(answers), 2), "", "", ""


def runner_pids(session):
    return {"PID 1": session.process.pid, "loop": session.loop_pid()}


def pss_kib(pid):
    rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def measure_memory(_rounds):
    with Session() as session:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        try:
            sizes = {name: pss_kib(pid) for name, pid in runner_pids(session).items()}
        except PermissionError:
            yield "PID 1 and loop, PSS", "only root can read it", "< 6 MB", "", "76 MB"
            return
    parts = ", ".join(f"{name} {size / 1000:.2f}" for name, size in sizes.items())
    yield ("PID 1 and loop, PSS after an answer", f"{sum(sizes.values()) / 1000:.2f} MB ({parts})",
           "< 6 MB", "", "76 MB (RSS), and 80 MB for its MCP server")


def cpu_of(pid):
    """Ticks of user and system time, and how often it was woken up."""
    stat = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    switches = sum(
        int(line.split()[1])
        for line in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        if "ctxt_switches" in line)
    nanoseconds = int(pathlib.Path(f"/proc/{pid}/schedstat").read_text(encoding="ascii").split()[0])
    return int(stat[11]) + int(stat[12]), nanoseconds, switches


def measure_idle(rounds):
    seconds = max(20, min(60, rounds))
    with Session() as session:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        pids = runner_pids(session).values()
        time.sleep(1)
        before, start = [cpu_of(pid) for pid in pids], time.monotonic()
        time.sleep(seconds)
        elapsed, after = time.monotonic() - start, [cpu_of(pid) for pid in pids]
    ticks, nanoseconds, switches = (
        sum(a[i] - b[i] for a, b in zip(after, before)) for i in range(3))
    yield (f"CPU, idle for {elapsed:.0f} s",
           f"{nanoseconds / 1e7 / elapsed:.4f} % ({ticks} ticks of {1000 // TICK} ms)", "< 0.05 %",
           "", "0.9 %")
    yield "context switches a second, idle", f"{switches / elapsed:.2f}", "", "", ""


def measure_backlog(rounds):
    count = 1000 if rounds > 5 else 100
    texts = [f"message {i}" for i in range(count)]
    with Session() as session:
        ids = session.add_chats(texts)
        before = time.monotonic()
        session.start()
        with Watcher(session) as watcher:
            watcher.wait(COMPLETED, (ids[-1],), timeout=300)
        elapsed = time.monotonic() - before
        session.wait_ack(ids)
        in_order = session.texts() == [f"echo: {text}" for text in texts]
    yield (f"{count:,} pending messages",
           f"all answered, {'in order' if in_order else 'NOT IN ORDER'}, {elapsed:.2f} s",
           "all, in order", f"one commit {ms(floor_commit())}", "25 pending: 10 answered")


def measure_stop(rounds):
    for what, env in (("idle", {}), ("in a turn", {"AGENT_MOCK_DELAY_MS": "60000"})):
        times = []
        for _ in range(rounds):
            with Session(env=env) as session:
                session.start()
                session.wait_ack(session.add_chat("hello"),
                                 "processing" if env else "completed")
                before = time.monotonic()
                session.process.send_signal(signal.SIGTERM)
                # Blocking: with a timeout Python looks again every now and then only.
                if session.process.wait() != 0:
                    raise SystemExit(f"bench: it did not end well\n{session.stderr()}")
                times.append(time.monotonic() - before)
        yield (f"SIGTERM to exit, {what}, median (worst)",
               f"{ms(statistics.median(times))} ({ms(max(times))})", "< 200 ms", "",
               "ignored as PID 1")


PEERS = {"tini": ["tini"], "dumb-init": ["dumb-init"], "catatonit": ["catatonit"]}


def measure_command(rounds):
    """The overhead of an init over the command alone, each as PID 1 of a PID namespace."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        folder.chmod(0o755)
        (folder / "true.c").write_text("int main(void) { return 0; }\n", encoding="ascii")
        subprocess.run(["cc", "-O2", "-static", "-o", folder / "true", folder / "true.c"], check=True)
        subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", "-o", folder / "spawn",
                        ROOT / "bench/spawn.c"], check=True)
        inits = {"alone": [], "agent-runner": [str(sessions.runner_path())], **PEERS}
        words = []
        for init in inits.values():
            words += [*init, str(folder / "true"), "--"]
        spawn = subprocess.run(
            [folder / "spawn", str(rounds * 10), str(sessions.UID), *words[:-1]],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    columns = zip(*([int(n) / 1e9 for n in line.split()] for line in spawn.stdout.splitlines()))
    times = dict(zip(inits, map(list, columns)))
    alone = statistics.median(times["alone"])
    for init in list(inits)[1:]:
        ratio = statistics.median(a / b for a, b in zip(times[init], times["alone"]))
        yield (f"command mode: `{init} true`, median" if init == "agent-runner"
               else f"the same with {init}, this run",
               f"{ms(statistics.median(times[init]), 2)}, {ratio:.2f} × alone", "",
               f"`true` alone {ms(alone, 2)}", "")


class Relay:
    """`agent-runner mcp` as an agent CLI starts it, for requests one after another."""

    INITIALIZE = {"protocolVersion": "2025-11-25", "capabilities": {},
                  "clientInfo": {"name": "bench", "version": "1"}}

    def __init__(self, session):
        identity = {"user": sessions.UID, "group": sessions.GID, "extra_groups": []}
        self.process = subprocess.Popen(
            [str(sessions.runner_path()), f"--workspace={session.workspace}", "mcp"], cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=session.env,
            **(identity if os.getuid() == 0 else {}))
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()

    def request(self, method, params):
        self.count += 1
        line = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params}
        self.process.stdin.write(json.dumps(line).encode() + b"\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if answer.get("id") != self.count or "result" not in answer:
            raise SystemExit(f"bench: an odd answer: {answer}")
        return answer["result"]


def measure_mcp(rounds):
    with Session() as session:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        starts, calls = [], []
        for _ in range(rounds):
            before = time.monotonic()
            with Relay(session) as relay:
                relay.request("initialize", Relay.INITIALIZE)
                relay.request("tools/list", {})
                starts.append(time.monotonic() - before)
        with Relay(session) as relay:
            relay.request("initialize", Relay.INITIALIZE)
            for i in range(rounds * 2):
                before = time.monotonic()
                relay.request("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}})
                calls.append(time.monotonic() - before)
            try:
                size = f"{pss_kib(relay.process.pid) / 1000:.2f} MB"
            except PermissionError:
                size = "only root can read it"
    commit = f"one commit {ms(floor_commit(), 2)}"
    yield ("MCP relay: start to tools/list answered, median", ms(statistics.median(starts)),
           "< 10 ms", f"start of /bin/true {ms(floor_start())}", "150 ms")
    yield "MCP relay, PSS", size, "< 1 MB", "", "80 MB"
    yield ("send_message by a tool, on disk and answered, p50", ms(statistics.median(calls), 2),
           "< 2 ms and a commit", commit, "")


QUOTED = """The last column is quoted, not measured here: the Bun runner of NanoClaw 2.0.64 with its mock
provider, on a machine of this kind."""

MEASURES = {
    "start": measure_start,
    "pickup": measure_pickup,
    "memory": measure_memory,
    "idle": measure_idle,
    "backlog": measure_backlog,
    "mcp": measure_mcp,
    "stop": measure_stop,
    "command": measure_command,
}


def machine():
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo", encoding="utf-8")
                if line.startswith("model name")), platform.machine())
    return (f"{os.cpu_count()} × {cpu}, Linux {platform.release().split('-')[0]}, "
            f"load {os.getloadavg()[0]:.1f} at the start")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work at all?")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASURES)
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}")
    print(f"{machine()}\n")
    print("| figure | here | target | floor in the same run | peer, quoted |")
    print("| --- | --- | --- | --- | --- |", flush=True)
    for name in options.names or MEASURES:
        for row in MEASURES[name](5 if options.quick else 100):
            print(f"| {' | '.join(row)} |", flush=True)
    print(f"\n{QUOTED}")


main()
