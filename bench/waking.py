# SPDX-License-Identifier: MIT
"""Start, pickup and the cost of waiting: what happens around one message."""
import contextlib
import itertools
import random
import statistics
import subprocess
import time

import peers
from programs import floor, output, program
from session import Session
from table import Goal, NotHere, Row, ms, percentile, ratio_of, times, us

POLL_HISTORY = 100_000
# The default pace of polls, and one that does not come within a measurement.
POLL_MS = 1000
NEVER_MS = 3_600_000
# By then the loop has given back what its last look took, and takes the file for one that rests.
SETTLE_S = 3.5

_numbers = itertools.count(1)


def start_times(runner):
    with Session() as session:
        return runner.times(session, session.add_chat("hello"))


def peer_start(runner, pace):
    claims, answers, _ = zip(*(start_times(runner) for _ in range(pace.rounds // 4 + 1)))
    return f"claim {ms(statistics.median(claims))}, answer {ms(statistics.median(answers))}"


def measure_start(pace):
    rows, floors = [], []
    for _ in range(pace.rounds):
        rows.append(start_times(peers.OURS))
        floors.append([floor(name) for name in ("exec", "fork", "read", "commit", "again")])
    claims, answers, _ = zip(*rows)
    sums = [sum(parts[:-1]) for parts in floors]
    execution, fork, read, commit, again = map(statistics.median, zip(*floors))
    ratio = ratio_of(claims, sums)
    yield Row("start to claim, median", ms(statistics.median(claims)), ratio,
              Goal("≤ 2 × floor", ratio, 2, times),
              f"{ms(statistics.median(sums))}: exec of an empty static program, and its end, "
              f"{ms(execution)}, fork of the loop, and its end, {ms(fork)}, open of one database and "
              f"a row of it {ms(read)}, "
              f"open of another and one commit {ms(commit)}",
              peers.peer_figure(peer_start, pace), "90 ms")
    ratio = ratio_of(answers, [total + parts[-1] for total, parts in zip(sums, floors)])
    yield Row("start to completed answer, median", ms(statistics.median(answers)), ratio, "",
              f"the same and one commit more, {ms(again)}", "", "96 ms")


def pickups(runner, rounds, pause=(0.02, 0.08)):
    """
    A row a message: claim, answer, commits of the runner, floors of a commit and a wake-up. pause: in
    seconds, between two: at any phase of whatever timer there might be.
    """
    rows = []
    with Session() as session:
        runner.start(session)
        session.wait_ack(session.add_chat("warm-up"))
        # A user has so many inotify instances, whoever else of theirs holds them.
        without = session.lines("with inotify")
        if without:
            raise NotHere(without[0])
        for _ in range(rounds):
            time.sleep(random.uniform(*pause))
            _, claim, answer, commits = output("host", "message", session.workspace,
                                               f"bench-{next(_numbers)}")[0]
            rows.append((claim, answer, commits, floor("again"), floor("wake")))
    return list(zip(*rows))


def peer_pickup(runner, pace):
    claims, _, commits, _, _ = pickups(runner, pace.rounds)
    return (f"p50 {ms(statistics.median(claims))}, p99 {ms(percentile(claims, 0.99))}, "
            f"{max(commits)} transactions")


def rest_row(pace):
    """When the loop has given back its memory: what hosts with hours between two messages meet."""
    claims, _, _, commit_floors, wake_floors = pickups(peers.OURS, pace.rests,
                                                       (SETTLE_S + 0.5, SETTLE_S + 1.5))
    floors = [sum(parts) for parts in zip(commit_floors, wake_floors)]
    above = statistics.median(claim - commit for claim, commit in zip(claims, commit_floors))
    return Row("host's commit to claim, nothing done for 4 s, p50",
               f"{ms(statistics.median(claims))}, {ms(above)} above a commit",
               ratio_of(claims, floors), Goal("≤ 1 ms above a commit", above, 1e6, ms), "the same")


def measure_pickup(pace):
    claims, answers, commits, commit_floors, wake_floors = pickups(peers.OURS, pace.rounds * 2)
    floors = [sum(parts) for parts in zip(commit_floors, wake_floors)]
    above = [claim - commit for claim, commit in zip(claims, commit_floors)]
    said = (f"one commit by an open connection {ms(statistics.median(commit_floors))} and an inotify "
            f"wake-up {ms(statistics.median(wake_floors), 3)}")
    p50, p99 = statistics.median(above), percentile(above, 0.99)
    yield Row("host's commit to claim, idle loop, p50",
              f"{ms(statistics.median(claims))}, {ms(p50)} above a commit",
              ratio_of(claims, floors), Goal("≤ 1 ms above a commit", p50, 1e6, ms), said,
              peers.peer_figure(peer_pickup, pace), "130 ms")
    yield Row("host's commit to claim, idle loop, p99",
              f"{ms(percentile(claims, 0.99))}, {ms(p99)} above a commit",
              percentile(claims, 0.99) / percentile(floors, 0.99),
              Goal("≤ 5 ms above a commit", p99, 5e6, ms),
              f"p99 of the same {ms(percentile(floors, 0.99))}")
    yield rest_row(pace)
    yield Row("host's commit to completed answer, p50", ms(statistics.median(answers)),
              ratio_of(answers, [a + b for a, b in zip(commit_floors, floors)]),
              "", "two commits and a wake-up")
    yield Row("transactions from message to committed answer", f"{max(commits)}", max(commits) / 2,
              Goal("≤ 3", max(commits), 3, str), "2: a claim, an answer")


def add_history(session, count):
    """Messages that were answered long ago."""
    numbers = ("WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
               f"WHERE i < {count}) ")
    session.inbound_execute(
        "INSERT INTO messages_in (id, seq, kind, timestamp, status, channel_type, platform_id, "
        f"content) {numbers} SELECT 'old-' || i, 2 * i, 'chat', '2026-02-04T13:30:00.000Z', "
        "'completed', channel_type, platform_id, '{\"text\": \"an old one\"}' "
        "FROM n, session_routing")
    session.outbound_execute("INSERT INTO processing_ack (message_id, status, status_changed) "
                             f"{numbers} SELECT 'old-' || i, 'completed', '2026-02-04 13:30:00' "
                             "FROM n")
    session.own()


def cost_of_each(pids, seconds):
    """Nanoseconds of CPU for each time that these processes fell asleep."""
    before = peers.cpu_and_wakes(pids)
    time.sleep(seconds)
    cpu, wakes = (b - a for a, b in zip(before, peers.cpu_and_wakes(pids)))
    return cpu / wakes


@contextlib.contextmanager
def timer(milliseconds):
    """The pid of a program that waits so long, again and again, and does nothing else."""
    with subprocess.Popen([program("floor"), "timer", "100000", str(milliseconds)],
                          stdout=subprocess.DEVNULL) as process:
        yield process.pid
        process.kill()


def poll_cost(history, seconds):
    """The same of a loop that polls without inotify, each millisecond."""
    with Session(env={"AGENT_WATCH": "poll", "AGENT_POLL_IDLE_MS": "1"}) as session:
        if history:
            add_history(session, history)
        session.start()
        session.wait_ack(session.add_chat("hello"))
        loop = [session.loop_pid()]
        time.sleep(SETTLE_S)
        return cost_of_each(loop, seconds)


def measure_poll(pace):
    costs = {history: poll_cost(history, pace.poll_seconds) for history in (0, POLL_HISTORY)}
    with timer(1) as pid:
        time.sleep(0.1)
        wake = cost_of_each([pid], pace.poll_seconds)
    here = costs[POLL_HISTORY]
    yield Row("CPU of a poll without inotify of a file at rest, each ms, "
              f"{POLL_HISTORY:,} rows of history",
              f"{us(here)} ({us(costs[0])} with none)", here / wake,
              Goal("≤ 20 µs", here, 20e3, us),
              f"a wait for a millisecond that does nothing {us(wake)}")


def peer_idle(runner, pace):
    with Session() as session:
        runner.start(session)
        session.wait_ack(session.add_chat("hello"))
        time.sleep(SETTLE_S)
        pids, start = peers.tree(session), time.monotonic()
        before = peers.cpu_and_wakes(pids)
        time.sleep(pace.idle_seconds)
        cpu, wakes = (b - a for a, b in zip(before, peers.cpu_and_wakes(pids)))
        elapsed = time.monotonic() - start
    return f"{cpu / 1e7 / elapsed:.4f} %, {wakes / elapsed:.1f} wake-ups a second"


def measure_idle(pace):
    """Two sessions at once: as usual, and one that never polls: each wake-up of it is too much."""
    with Session() as usual, Session(env={"AGENT_POLL_IDLE_MS": str(NEVER_MS)}) as still, \
            peers.idle_inits() as inits, timer(POLL_MS) as wait:
        for session in (usual, still):
            session.start()
            session.wait_ack(session.add_chat("hello"))
        watched = {"usual": peers.tree(usual), "still": peers.tree(still), "timer": [wait],
                   **{name: [pid] for name, pid in inits.items()}}
        time.sleep(SETTLE_S)
        before = {name: peers.cpu_and_wakes(pids) for name, pids in watched.items()}
        start = time.monotonic()
        time.sleep(pace.idle_seconds)
        elapsed = time.monotonic() - start
        used = {n: [b - a for a, b in zip(before[n], peers.cpu_and_wakes(p))]
                for n, p in watched.items()}
    share = used["usual"][0] / 1e7 / elapsed
    each, wake = (used[name][0] / max(1, used[name][1]) for name in ("usual", "timer"))
    yield Row(f"CPU of PID 1 and loop, idle for {elapsed:.0f} s, default poll, each s",
              f"{share:.4f} %, {us(each)} a poll", each / wake,
              Goal("≤ 0.02 %", share, 0.02, lambda by: f"{by:.4f} %"),
              f"a wait for a second that does nothing {us(wake)}",
              peers.peer_figure(peer_idle, pace), "0.9 %")
    beyond = used["still"][1]
    yield Row(f"wake-ups beyond the poll timer in {elapsed:.0f} s, idle",
              f"{beyond} ({used['usual'][1] / elapsed:.2f} a second with it)", None,
              Goal("0", beyond, 0, str), f"{used['alone'][1]}: an empty program",
              peers.told({n: str(used[n][1]) for n in used}))
