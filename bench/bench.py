#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Measures agent-runner and prints the table that README shows: bench.py [--quick] [NAME…]

Each figure stands beside a floor, what this machine can do at all, and beside peers, both taken in
the same run, round by round where that can be: what a machine gives differs from hour to hour, so
the ratios count. Where a process more would show, the host's half is played by programs in C (host.c
and its neighbours). For all rows: as root.

The binary is AGENT_RUNNER, else build-bench-static/agent-runner, else build-bench/agent-runner.
PEER_RUNNER: the command of another runner of session folders, {workspace} in it is the folder; it
runs as the same user, with WORKSPACE in its environment.
"""
import argparse
import dataclasses
import os
import pathlib
import platform
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/system"))

import builds  # noqa: E402
import command  # noqa: E402
import peers  # noqa: E402
import serving  # noqa: E402
import table  # noqa: E402
import waking  # noqa: E402

QUOTED = """The last column is quoted, not measured here: the Bun runner of NanoClaw 2.0.64 with its
mock provider, on a machine of this kind."""

MEASURES = {
    "start": waking.measure_start,
    "pickup": waking.measure_pickup,
    "poll": waking.measure_poll,
    "idle": waking.measure_idle,
    "memory": serving.measure_memory,
    "backlog": serving.measure_backlog,
    "burst": serving.measure_burst,
    "mcp": serving.measure_mcp,
    "stop": serving.measure_stop,
    "command": command.measure_command,
    "orphans": command.measure_orphans,
    "forward": command.measure_forward,
}


@dataclasses.dataclass(frozen=True)
class Pace:
    """How much is measured."""
    rounds: int
    rests: int
    poll_seconds: float
    idle_seconds: float
    backlog: int
    bursts: tuple
    orphans: int
    orphan_rounds: int


FULL = Pace(rounds=100, rests=12, poll_seconds=4, idle_seconds=30, backlog=2000, bursts=(1000, 10_000),
            orphans=20_000, orphan_rounds=8)
QUICK = Pace(rounds=5, rests=1, poll_seconds=0.5, idle_seconds=2, backlog=100, bursts=(100, 1000),
             orphans=300, orphan_rounds=1)


def machine():
    return (f"{os.cpu_count()} × {peers.processor()}, Linux {platform.release().split('-')[0]}, "
            f"{peers.busy_share():.0f} % busy before the start")


def measured(name, pace, failures):
    """Its rows; one that says why, where this machine cannot take them, or they failed."""
    try:
        yield from MEASURES[name](pace)
    except table.NotHere as error:
        yield table.Row(name, f"not here: {error}")
    except AssertionError as error:
        failures.append(f"{name}: {error}")
        yield table.Row(name, f"failed: {str(error).splitlines()[0]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few rounds: does it work at all?")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*MEASURES, "builds"]))
    options = parser.parse_args()
    unknown = set(options.names) - set(MEASURES) - {"builds"}
    if unknown:
        parser.error(f"there is no {', '.join(unknown)}; there are {', '.join(MEASURES)}, builds")
    try:
        found = builds.found()
    except OSError as error:
        parser.error(f"AGENT_RUNNER: {error}")
    if not found:
        parser.error("there is no agent-runner to measure: make bench builds it")
    first = next(iter(found))
    pace = QUICK if options.quick else FULL
    names = options.names or [*MEASURES, "builds"]
    failures = []
    builds.use(found[first])
    print(f"{machine()}; the {first} build\n")
    if "static" not in found:
        print("There is no static build here: build-bench-static/meson-logs says why.\n")
    if set(names) - {"builds"}:
        print(table.head(table.COLUMNS), flush=True)
    for name in names:
        for row in measured(name, pace, failures) if name != "builds" else ():
            print(row, flush=True)
    if "builds" in names:
        print(f"\n{table.head(builds.COLUMNS)}", flush=True)
        for row in builds.rows(found, pace.rounds // 2):
            print(row, flush=True)
    print(f"\n{QUOTED}")
    for text in failures:
        print(f"bench: {text}", file=sys.stderr)
    return 1 if failures else 0


sys.exit(main())
