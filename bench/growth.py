#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Measures how latency, CPU time and memory grow, and puts tables and plots into docs/performance.md:
growth.py [--quick] [--page FILE] [NAME…]

The sizes of a curve of messages take turns, message by message, so that a busy moment of the machine
falls on all of them. The host's half is played as in the tests; a commit of the runner is seen by
inotify.
"""
import argparse
import contextlib
import os
import pathlib
import random
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/system"))

import builds  # noqa: E402
import claude_cli  # noqa: E402
import growth_page as page  # noqa: E402
import model_server  # noqa: E402
import programs  # noqa: E402
import session as sessions  # noqa: E402
from growth_probe import (  # noqa: E402
    CLAIMED, COMPLETED, Watcher, cpu_seconds, machine, peak_rss_mb, pids_of, pss_mb, rest, rss_mb,
    settle, tree_of)

Session = sessions.Session

BINARIES = {name: folder / "agent-runner" for name, folder in builds.FOLDERS.items()}
MEASURED = pathlib.Path(os.environ.get("AGENT_RUNNER") or next(
    (path for path in BINARIES.values() if path.exists()), BINARIES["dynamic"]))


class Case:
    """One size of a curve: a session at work, and what was seen of it."""

    def __init__(self, stack, size, count, config=None, prepare=None, warm_up=1):
        self.session = stack.enter_context(Session(config=config))
        if prepare:
            prepare(self.session, size)
        self.size, self.count = size, count  # count: of messages in a commit
        self.watcher = stack.enter_context(Watcher(self.session))
        first, before = self.session.add_chat("warm-up"), time.monotonic()
        self.session.start()
        self.start_claim = self.watcher.wait({self.session: first}, CLAIMED)[0] - before
        self.watcher.wait({self.session: first}, COMPLETED)
        self.pids = pids_of(self.session)
        self.claims, self.answers = [], []
        for _ in range(warm_up):
            self.send(["warm-up"])
        self.claims, self.answers = [], []
        settle(self.pids)
        self.cpu_before = cpu_seconds(self.pids)

    def send(self, texts):
        """One commit; until all of it is answered."""
        last = self.session.add_chats(texts)[-1]
        before = time.monotonic()
        for times, query in ((self.claims, CLAIMED), (self.answers, COMPLETED)):
            times.append(self.watcher.wait({self.session: last}, query)[0] - before)
        # Before the session gives back its memory, which it does a second later.
        self.rss = rss_mb(self.pids[1])

    def times(self):
        """What all curves have in common."""
        settle(self.pids)
        messages = len(self.answers) * self.count
        return {
            "size": self.size,
            "start": self.start_claim * 1000,
            "claim": statistics.median(self.claims) * 1000,
            "answer": statistics.median(self.answers) * 1000,
            "cpu": (cpu_seconds(self.pids) - self.cpu_before) / messages * 1000,
            "rss_loop": self.rss,
            "peak": peak_rss_mb(self.pids[1]),
        }

    def memory(self):
        """And when the session rests."""
        return {"pss_pid1": pss_mb(self.pids[:1]), "pss_loop": pss_mb(self.pids[1:])}


def take_turns(cases, rounds, texts, quick):
    """texts(case): what is sent to it in each round. Returns the rows."""
    for _ in range(rounds):
        for case in cases:
            # At any phase of whatever timer there might be.
            time.sleep(random.uniform(0.01, 0.05))
            case.send(texts(case))
    rows = [case.times() for case in cases]
    rest([pid for case in cases for pid in case.pids], quick)
    return [{**row, **case.memory()} for case, row in zip(cases, rows)]


HISTORY = """
PRAGMA synchronous = OFF;
BEGIN;
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows})
INSERT INTO {insert};
COMMIT;
"""
# What a host and a runner leave behind for a message that was answered and delivered.
HISTORY_IN = ("""messages_in (id, seq, kind, timestamp, status, channel_type, platform_id, content)
SELECT printf('history-%08d', i), 2 * i, 'chat', '2026-02-04T13:30:00.000Z', 'completed', 'whatsapp',
  'casa@g.us', printf('{{"text":"message %d, about as long as what people write","sender":"Ann"}}', i)
FROM n""", """delivered (message_out_id, platform_message_id, delivered_at)
SELECT printf('answer-%08d', i), printf('3EB0%016X', i), '2026-02-04 13:30:01' FROM n""")
HISTORY_OUT = ("""messages_out
(id, seq, in_reply_to, timestamp, kind, channel_type, platform_id, content)
SELECT printf('answer-%08d', i), 2 * i + 1, printf('history-%08d', i), '2026-02-04 13:30:01', 'chat',
  'whatsapp', 'casa@g.us', printf('{{"text":"the answer to message %d, somewhat longer"}}', i)
FROM n""", """processing_ack (message_id, status, status_changed)
SELECT printf('history-%08d', i), 'completed', '2026-02-04 13:30:01' FROM n""")


def add_history(session, rows):
    if rows == 0:
        return
    for execute, inserts in ((session.inbound_execute, HISTORY_IN),
                             (session.outbound_execute, HISTORY_OUT)):
        for insert in inserts:
            execute(HISTORY.format(rows=rows, insert=insert.format()))


# The curves. Each returns a list of rows, dicts of columns that growth_page.py shows.


def measure_history(quick):
    sizes = (0, 1000) if quick else (0, 1000, 10_000, 100_000, 1_000_000)
    # A history is settled little by little, in looks that have nothing else to do (settled.h).
    warm_up = {100_000: 50, 1_000_000: 70}
    with contextlib.ExitStack() as stack:
        cases = [Case(stack, size, 1, prepare=add_history, warm_up=warm_up.get(size, 2))
                 for size in sizes]
        return take_turns(cases, 2 if quick else 30, lambda _: ["hello"], quick)


def measure_batch(quick):
    sizes = (1, 10) if quick else (1, 10, 100, 1000)
    with contextlib.ExitStack() as stack:
        cases = [Case(stack, size, size, config={"maxMessagesPerPrompt": size}) for size in sizes]
        return take_turns(cases, 2 if quick else 20,
                          lambda case: [f"message {i}" for i in range(case.size)], quick)


def measure_burst(quick):
    """Commits that are larger than a batch: the rest waits its turn."""
    sizes = (10, 30) if quick else (10, 100, 1000, 10_000)
    with contextlib.ExitStack() as stack:
        cases = [Case(stack, size, size) for size in sizes]
        rows = take_turns(cases, 1 if quick else 3,
                          lambda case: [f"message {i}" for i in range(case.size)], quick)
    return [{**row, "rate": row["size"] / row["answer"] * 1000} for row in rows]


def measure_size(quick):
    # The large ones by themselves: a session that waits for them rests, and its next message is late.
    groups = [(1, 1000)] if quick else [tuple(10 ** n for n in range(6)), (10 ** 6, 10 ** 7)]
    rows = []
    for sizes in groups:
        with contextlib.ExitStack() as stack:
            cases = [Case(stack, size, 1) for size in sizes]
            rows += take_turns(cases, 2 if quick else 10, lambda case: ["x" * case.size], quick)
    return rows


def measure_sessions(quick):
    return [_many_sessions(count, quick)
            for count in ((1, 3) if quick else (1, 10, 50, 100, 200))]


def _many_sessions(count, quick):
    with contextlib.ExitStack() as stack:
        some = [stack.enter_context(Session()) for _ in range(count)]
        watcher = stack.enter_context(Watcher(*some))
        for session in some:
            session.start()
        watcher.wait({session: session.add_chat("warm-up") for session in some}, COMPLETED)
        pids = [pid for session in some for pid in pids_of(session)]
        rest(pids, quick)
        row = {"size": count, "pss": pss_mb(pids), "pss_each": pss_mb(pids) / count,
               "polling": sum(bool(session.lines("with inotify")) for session in some)}
        cpu_before, before = cpu_seconds(pids), time.monotonic()
        time.sleep(0.5 if quick else 5)
        row["idle"] = (cpu_seconds(pids) - cpu_before) / (time.monotonic() - before) * 100
        cpu_before, before, wanted, sent = cpu_seconds(pids), time.monotonic(), {}, {}
        for session in some:
            wanted[session] = session.add_chat("hello")
            sent[session] = time.monotonic()
        last, seen = watcher.wait(wanted, COMPLETED)
        settle(pids)
        times = [seen[session] - sent[session] for session in some]
        return {**row, "answer": statistics.median(times) * 1000, "worst": max(times) * 1000,
                "all": (last - before) * 1000,
                "cpu": (cpu_seconds(pids) - cpu_before) / count * 1000}


# What an idle session holds, and what ending its agent or its container gives back.

# Started at once, so that what they share is seen; more of an agent's own processes find no room.
COPIES = {"mock": 100, "claude": 3}


def measure_idle(quick):
    rows = _idle_rows("mock", {}, quick)
    if quick:
        return rows
    try:
        cli = claude_cli.ensure(claude_cli.versions()[-1])
    except RuntimeError as error:
        print(f"growth: idle: the rows of Claude Code are missing: {error}", file=sys.stderr)
        return rows
    with model_server.ModelServer() as model:
        env = {"AGENT_CLAUDE_PATH": str(cli), **model_server.environment(model.url, "")}
        del env["HOME"], env["IS_SANDBOX"]
        return rows + _idle_rows("claude", env, quick)


def _idle_rows(provider, env, quick):
    """A row for each state; only an agent that is a process has the one in the middle."""
    rounds = 1 if quick else 5
    states = [({}, "agent idle", None)]
    if provider != "mock":
        states.append(({"agentIdleSeconds": 1}, "agent ended by `agentIdleSeconds`", "agent ends"))
    rows = []
    for config, name, line in states:
        with contextlib.ExitStack() as stack:
            some = [stack.enter_context(Session(provider=provider, env=env, config=config))
                    for _ in range(1 if quick else COPIES[provider])]
            memory = [_idle_memory(some[:count], line, quick) for count in (1, len(some))]
            times = [_ask(some[0], line, quick) for _ in range(rounds)]
            rows.append({"agent": provider, "state": name, "one": memory[0],
                         "hundred": memory[0] + 99 * (
                             (memory[1] - memory[0]) / (len(some) - 1) if some[1:] else memory[0]),
                         "resume": statistics.median(times) * 1000})
    with Session(provider=provider, env=env, config={"idleExitSeconds": 1}) as session:
        _wake(session)
        times = [_ask_ended(session) for _ in range(rounds)]
    rows.append({"agent": provider, "state": "container ended by `idleExitSeconds`", "one": 0.0,
                 "hundred": 0.0, "resume": statistics.median(times) * 1000})
    return rows


def _wake(session):
    session.start()
    session.wait_ack(session.add_chat("hello"), timeout=60)


def _idle_memory(some, line, quick):
    """PSS of all of these when they have nothing to do; line: what the log says by then."""
    for session in some:
        if session.process is None:
            _wake(session)
    for session in some:
        if line:
            session.wait_stderr(line)
    rest([pid for session in some for pid in tree_of(session)], quick)
    return sum(pss_mb(tree_of(session)) for session in some)


def _answer_seconds(session, start):
    message = session.add_chat("hello again")
    before = time.monotonic()
    if start:
        session.start()
    with Watcher(session) as watcher:
        return watcher.wait({session: message}, COMPLETED)[0] - before


def _ask(session, line, quick):
    """A message to a session that is idle, or whose agent ended."""
    if line:
        session.wait(lambda: len(tree_of(session)) == 2, "the end of the agent")
    rest(tree_of(session), quick)
    return _answer_seconds(session, start=False)


def _ask_ended(session):
    """The host starts the container anew, with the message in its inbox."""
    if session.wait_exit() != 0:
        raise SystemExit(f"growth: it did not end well\n{session.stderr()}")
    return _answer_seconds(session, start=True)


MEASURES = {
    "history": measure_history,
    "batch": measure_batch,
    "burst": measure_burst,
    "size": measure_size,
    "sessions": measure_sessions,
    "idle": measure_idle,
}


def build():
    """What is measured: images carry the static one."""
    return next((name for name, path in BINARIES.items() if path == MEASURED), MEASURED.name)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="smallest sizes: does it work at all?")
    parser.add_argument("--page", type=pathlib.Path, default=ROOT / "docs/performance.md",
                        help="whose tables are replaced; plots go to the folder beside it")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(MEASURES))
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASURES)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}; there are {', '.join(MEASURES)}")
    if os.getuid() != 0:
        parser.error("the memory of a process that is not dumpable is shown to root only: run as root")
    if not MEASURED.exists():
        parser.error(f"there is no {MEASURED} to measure: make growth builds what it needs")
    os.environ["AGENT_RUNNER"] = str(programs.copied(MEASURED, "agent-runner-measured"))
    for name in options.names or MEASURES:
        about, before = machine(), time.monotonic()
        page.update(options.page, name, f"{about}; the {build()} build", MEASURES[name](options.quick))
        print(f"growth: {name}: {time.monotonic() - before:.0f} s", flush=True)


if __name__ == "__main__":
    main()
