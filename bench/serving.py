# SPDX-License-Identifier: MIT
"""Memory, many messages, the agent's tools, the end: what a session costs while it serves."""
import contextlib
import json
import os
import signal
import sqlite3
import statistics
import subprocess
import time

import peers
import session as sessions
from programs import file_system, floor, program
from session import Session
from table import Goal, NotHere, Row, kb, ms, ratio_of, times, us

# Rows in one prompt.
BATCH = 10
# A second after its start PID 1 gives back what only that needed, and a second after a turn the loop
# what the turn took.
AWAKE_SECONDS = 0.3
# By then it takes the file for one that rests, too, and has polled it: all that waiting needs is there.
REST_SECONDS = 3.5
# 300 KB and 2.5 MB, in the kernel's kB.
SMALL_KIB = 300 / 1.024
LOOP_KIB = 2500 / 1.024


def pss_after_answer(runner):
    with Session() as session:
        runner.start(session)
        session.wait_ack(session.add_chat("hello"))
        time.sleep(REST_SECONDS)
        return peers.pss_kib(*peers.tree(session))


def measure_memory(_pace):
    # By itself: it would share its pages with the others' children.
    with peers.idle_inits({}) as alone:
        time.sleep(AWAKE_SECONDS)
        empty = peers.pss_kib(alone["alone"])
    with Session() as session, peers.idle_inits() as inits:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        time.sleep(REST_SECONDS)
        # As from the second message on: nothing of it is shared with a PID 1 that has just started.
        session.wait_ack(session.add_chat("hello"))
        time.sleep(AWAKE_SECONDS)
        awake = peers.pss_kib(session.loop_pid())
        time.sleep(REST_SECONDS - AWAKE_SECONDS)
        first, loop = (peers.pss_kib(pid) for pid in (session.process.pid, session.loop_pid()))
        with Relay(session) as relay:
            relay.request("initialize", Relay.INITIALIZE)
            relay.request("tools/list", {})
            relay.request("tools/call", {"name": "send_message", "arguments": {"text": "hello"}})
            time.sleep(REST_SECONDS)
            carried = peers.pss_kib(relay.process.pid)
        others = {name: peers.pss_kib(pid) for name, pid in inits.items()}
    said = f"an empty static program {kb(empty)}"
    whole = peers.peer_figure(lambda runner: kb(pss_after_answer(runner)))
    yield Row(f"PSS of PID 1, {REST_SECONDS} s after an answer", kb(first), first / empty,
              Goal("≤ 300 KB", first, SMALL_KIB, kb), said,
              peers.told({name: kb(size) for name, size in others.items()}))
    yield Row(f"PSS of the loop, {REST_SECONDS} s after an answer", kb(loop), loop / empty,
              Goal("≤ 2.5 MB", loop, LOOP_KIB, kb), said, f"all its processes: {whole}",
              "76 MB (RSS)")
    yield Row(f"PSS of the loop, {AWAKE_SECONDS} s after an answer, before it rests", kb(awake),
              awake / empty, "", said)
    yield Row(f"PSS of the MCP relay, {REST_SECONDS} s after a call", kb(carried), carried / empty,
              Goal("≤ 300 KB", carried, SMALL_KIB, kb), said, "", "80 MB")


def serve_backlog(runner, texts):
    """
    Nanoseconds from the start until the last of them is acknowledged; how many of all are; is each
    answered, in order; and how many answers there are.
    """
    with Session(config={"maxMessagesPerPrompt": BATCH}) as session:
        ids = session.add_chats(texts)
        _, elapsed, _ = runner.times(session, ids[-1])
        acks = session.acks()
        completed = sum(acks.get(i) == "completed" for i in ids)
        whole = (completed == len(ids) and
                 session.texts() == [f"echo: {text}" for text in texts])
        sent = len(session.texts())
    return elapsed, completed, whole, sent


def peer_backlog(runner, texts):
    elapsed, completed, _, sent = serve_backlog(runner, texts)
    return (f"{completed / elapsed * 1e9:,.0f} acknowledged a second, {completed:,} of {len(texts):,}; "
            f"{sent:,} answers")


def measure_backlog(pace):
    texts = [f"message {i}" for i in range(pace.backlog)]
    before = floor("again", 20)
    elapsed, answered, whole, _ = serve_backlog(peers.OURS, texts)
    commit = (before + floor("again", 20)) / 2
    rate = answered / elapsed * 1e9
    # A batch is a claim and an answer.
    batch = elapsed / len(texts) * BATCH
    yield Row(f"answered messages a second, {len(texts):,} pending, {BATCH} in a prompt",
              f"{rate:,.0f}, {file_system()}", batch / (2 * commit),
              Goal("≥ 500", rate, 500, lambda by: f"{by:.0f}", at_least=True),
              f"two commits by an open connection a batch of {ms(batch)}, {ms(commit)} each",
              peers.peer_figure(peer_backlog, texts), "25 pending: 10 answered")
    left_out = 0 if whole else 1
    yield Row(f"{len(texts):,} pending messages", "all, in order" if whole else "NOT all, in order",
              None, Goal("all, in order", left_out, 0, lambda by: "some"))


def wait_completed(session, message, timeout=120):
    """Looks now and then without a lock, which would make the writer wait."""
    def probe():
        with contextlib.suppress(sqlite3.DatabaseError), contextlib.closing(
                sqlite3.connect(f"file:{session.outbound}?immutable=1", uri=True)) as db:
            return db.execute("SELECT 1 FROM processing_ack WHERE message_id = ? "
                              "AND status = 'completed'", (message,)).fetchone()
        return None
    deadline = time.monotonic() + timeout
    while not probe():
        if time.monotonic() > deadline:
            raise NotHere(f"a burst was not answered within {timeout} s")
        time.sleep(0.05)


def measure_burst(pace):
    small, large = pace.bursts
    with Session() as session:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        loop = session.loop_pid()
        peaks = [peers.status(loop, "VmHWM")]
        for count in pace.bursts:
            wait_completed(session, session.add_chats(["a burst"] * count)[-1])
            peaks.append(peers.status(loop, "VmHWM"))
        after = peers.status(loop, "VmRSS")
    ratio = peaks[2] / peaks[1]
    yield Row(f"a burst of {large:,} rows: peak RSS of the loop",
              f"{kb(peaks[2])}; {kb(after)} at its end", ratio,
              Goal("flat: ≤ 1.10 × floor", ratio, 1.10, times),
              f"its peak after a burst of {small:,}: {kb(peaks[1])}; {kb(peaks[0])} before")


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


def measure_mcp(pace):
    starts, execs, calls, commits, pings, pipes = [], [], [], [], [], []
    with Session() as session:
        session.start()
        session.wait_ack(session.add_chat("hello"))
        for _ in range(pace.rounds):
            before = time.monotonic_ns()
            with Relay(session) as relay:
                relay.request("initialize", Relay.INITIALIZE)
                relay.request("tools/list", {})
                starts.append(time.monotonic_ns() - before)
            execs.append(floor("exec"))
        with Relay(session) as relay:
            relay.request("initialize", Relay.INITIALIZE)
            for i in range(pace.rounds):
                before = time.monotonic_ns()
                relay.request("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}})
                calls.append(time.monotonic_ns() - before)
                commits.append(floor("again"))
            for _ in range(pace.rounds):
                before = time.monotonic_ns()
                relay.request("ping", {})
                pings.append(time.monotonic_ns() - before)
                pipes.append(2 * floor("pipe", 10))
    start = statistics.median(starts)
    yield Row("MCP relay: start to tools/list answered, median", ms(start), ratio_of(starts, execs),
              Goal("≤ 10 ms", start, 10e6, ms),
              f"exec of an empty static program {ms(statistics.median(execs))}", "", "150 ms")
    above = statistics.median(call - commit for call, commit in zip(calls, commits))
    yield Row("send_message by a tool, on disk and answered, p50", ms(statistics.median(calls)),
              ratio_of(calls, commits), Goal("≤ 2 ms above a commit", above, 2e6, ms),
              f"one commit by an open connection {ms(statistics.median(commits))}")
    yield Row("a request by the relay that writes nothing, p50", us(statistics.median(pings)),
              ratio_of(pings, pipes), "",
              f"two round trips of a byte by pipes {us(statistics.median(pipes))}")


def end_of_empty():
    """Nanoseconds from SIGTERM until a program that does nothing about it is collected."""
    with subprocess.Popen([program("empty"), "wait"]) as process:
        # Asleep by then.
        time.sleep(0.01)
        before = time.monotonic_ns()
        process.send_signal(signal.SIGTERM)
        process.wait()
        return time.monotonic_ns() - before


def measure_stop(pace):
    for what, env in (("idle", {}), ("in a turn", {"AGENT_MOCK_DELAY_MS": "60000"})):
        taken, floors = [], []
        for _ in range(pace.rounds // 2 + 1):
            with Session(env=env) as session:
                session.start()
                session.wait_ack(session.add_chat("hello"),
                                 "processing" if env else "completed")
                before = time.monotonic_ns()
                session.process.send_signal(signal.SIGTERM)
                # Blocking: with a timeout Python looks again every now and then only.
                if session.process.wait() != 0:
                    raise SystemExit(f"bench: it did not end well\n{session.stderr()}")
                taken.append(time.monotonic_ns() - before)
            floors.append(end_of_empty())
        yield Row(f"SIGTERM to exit, {what}, median (worst)",
                  f"{ms(statistics.median(taken))} ({ms(max(taken))})", ratio_of(taken, floors),
                  Goal("≤ 200 ms", max(taken), 200e6, ms),
                  f"an empty program dies of it {ms(statistics.median(floors))}", "",
                  "ignored as PID 1")
