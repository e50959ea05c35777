#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Breaks a session at every instant and looks whether the promise holds: every message ends in an
answer or in one error that its sender sees, nothing is written twice, nothing is lost.

run.py                                every point: some tens of minutes
run.py --bounded                      a sample, the same one each time: at most four minutes
run.py --one ROLE MODE [FAMILY ERRNO] N [--keep]
                                      one point, with all that it said; --keep: and its folder
run.py --only ROLE[/MODE]             only these rows of the report

The last lines are the report: a row for each kind of fault, with the points at which it happened
and how many of them broke the promise.
"""
import argparse
import collections
import ctypes
import json
import multiprocessing
import os
import pathlib
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

PR_SET_CHILD_SUBREAPER = 36
WORKERS = int(os.environ.get("FAULT_WORKERS", "2"))
MEMORY = pathlib.Path("/dev/shm")
# Points of a row of the sample.
BOUNDED = 24

import disk  # noqa: E402
from check import check  # noqa: E402
from fault import FAMILIES, Fault, Parts, Watch  # noqa: E402
from story import Story  # noqa: E402
import session as sessions  # noqa: E402

ERRORS = ("EIO", "ENOSPC", "EDQUOT", "EROFS", "EMFILE", "ENOMEM")
# Which failures each family of calls can meet.
ERRORS_OF = {
    "open": ("EIO", "ENOSPC", "EROFS", "EMFILE", "ENOMEM"),
    "write": ("EIO", "ENOSPC", "EDQUOT", "ENOMEM"),
    "send": ("EIO", "ENOMEM"),
    "sync": ("EIO", "ENOSPC", "EDQUOT"),
    "truncate": ("EIO", "EROFS"),
    "rename": ("EIO", "ENOSPC"),
    "link": ("EIO",),
    "unlink": ("EIO", "EROFS"),
    "mkdir": ("EIO", "ENOSPC", "EROFS"),
    "lock": ("EIO", "ENOMEM"),
    "proc": ("EMFILE",),
}
KILLS = (("loop", "kill"), ("loop", "kill-container"), ("init", "kill"), ("agent", "kill"),
         ("relay", "kill"), ("confine", "kill"))
# Beyond the last call that was counted: of some sessions it is a few more.
SLACK = 1.05

_parts = None


def prepare(build):
    """The programs, in a folder that any user may look into."""
    global _parts
    os.environ["AGENT_RUNNER"] = str(HERE.parents[1] / build / "agent-runner")
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        tempfile.tempdir = str(MEMORY)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-faults-"))
    folder.chmod(0o755)
    _parts = Parts(build, folder)
    sessions.runner_path()
    return folder


def become_reaper():
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def play(fault, keep=False):
    """One session. (fault, fired, what was wrong, more)"""
    story = Story(lambda path: Watch(fault, path), _parts.environment)
    before = time.monotonic()
    small = None
    try:
        if fault.role == "disk":
            small = disk.Disk(fault.mode, story.session)
            step, delay = divmod(fault.nth, len(disk.DELAYS))
            story.on_tick = disk.Outage(small, step, disk.DELAYS[delay])
        story.run()
        wrong = check(story, fault)
        more = {
            "call": story.watch.call,
            "counts": story.watch.counts(),
            "seconds": time.monotonic() - before,
            "stderr": "".join(f"-- exit code {c.code}\n{c.stderr}" for c in story.containers),
        }
        if keep:
            more["folder"] = str(story.session.base)
        fired = story.on_tick.happened if small else story.watch.fired
        return fault, fired, wrong, more
    finally:
        story.stop()
        if small:
            small.close()
        if not keep:
            story.session.close()


def try_to_play(fault):
    try:
        return play(fault)
    except Exception:  # pylint: disable=broad-except
        return fault, True, [("driver", traceback.format_exc())], {"call": "", "stderr": ""}


# Which points there are


def count_calls():
    """Role -> family -> calls of a session in which nothing happens."""
    counts = collections.defaultdict(collections.Counter)
    for _ in range(3):
        _, _, wrong, more = play(Fault())
        if wrong:
            raise SystemExit(f"a session without any fault: {wrong}\n{more['stderr']}")
        for role, families in more["counts"].items():
            for family, number in families.items():
                counts[role][family] = max(counts[role][family], number)
    return counts


def kill_points(counts):
    for role, mode in KILLS:
        calls = sum(n for family, n in counts[role].items() if family != "proc")
        last = int(calls * SLACK)
        yield [Fault(role, mode, n) for n in range(1, last + 1)]


def error_points(counts):
    """Each call fails once; of a disk that is full for a while, each first call that it refuses."""
    for role, every in (("loop", 1), ("init", 1), ("relay", 3), ("agent", 6)):
        for family in FAMILIES:
            last = counts[role][family]
            for i, error in enumerate(ERRORS_OF[family]):
                # The first error at each call, the others at some.
                step = every * (1 if i == 0 else 3) * (8 if family == "proc" else 1)
                row = [Fault(role, "error", n, family, error) for n in range(1, last + 1, step)]
                if row:
                    yield row
    for error, step in (("ENOSPC", 2), ("EIO", 6), ("EROFS", 6), ("EDQUOT", 12)):
        last = sum(counts["loop"][f] for f in ("write", "sync", "open")) * 2 // 3
        yield [Fault("loop", "errors", n, "disk", error) for n in range(1, last + 1, step)]
    for family in ("sync", "lock", "unlink", "open"):
        last = counts["loop"][family]
        yield [Fault("loop", "errors", n, family, "EIO") for n in range(1, last + 1, 4)]
    yield [Fault("loop", "errors", n, "open", "EMFILE")
           for n in range(1, counts["loop"]["open"] + 1, 4)]


def disk_points():
    """A full disk at each step of the story, and a moment after each."""
    for kind in disk.kinds():
        yield [Fault("disk", kind, n) for n in range(len(disk.DELAYS), 15 * len(disk.DELAYS))]


def sample(row, number):
    """So many of a row, evenly spread."""
    if len(row) <= number:
        return row
    return [row[i * len(row) // number] for i in range(number)]


# The report


def repeat(fault):
    return f"tests/faults/run.py --one {' '.join(fault.words)} --keep"


class Report:
    def __init__(self):
        self.rows = collections.OrderedDict()
        self.violations = []

    def add(self, fault, fired, wrong, more):
        row = self.rows.setdefault(fault.row, {"points": 0, "missed": 0, "violations": 0,
                                               "seconds": 0.0})
        row["seconds"] += more.get("seconds", 0)
        row["points" if fired else "missed"] += 1
        if not wrong:
            return
        row["violations"] += 1
        self.violations.append({"fault": fault.row, "nth": fault.nth, "call": more["call"],
                                "wrong": wrong, "repeat": repeat(fault),
                                "stderr": more["stderr"]})

    def print(self, seconds):
        for v in self.violations:
            print(f"{v['repeat']}    # {v['call']}")
            for kind, words in v["wrong"]:
                print(f"    {kind}: {words[:300]}")
        classes = collections.Counter(kind for v in self.violations
                                      for kind in {w[0] for w in v["wrong"]})
        print("\npoints  not reached  violations  seconds  fault")
        for name, row in self.rows.items():
            print(f"{row['points']:6}  {row['missed']:11}  {row['violations']:10}  "
                  f"{row['seconds']:7.1f}  {name}")
        points = sum(row["points"] for row in self.rows.values())
        print(f"{points:6}  {'':11}  {len(self.violations):10}  {seconds:7.1f}  all of them")
        for kind, number in classes.most_common():
            print(f"        {number:5} times: {kind}")


def run(points, report, json_path):
    before = time.monotonic()
    with multiprocessing.Pool(WORKERS, initializer=become_reaper) as pool:
        for i, result in enumerate(pool.imap_unordered(try_to_play, points)):
            report.add(*result)
            if i % 200 == 199:
                print(f"… {i + 1} of {len(points)} points, {len(report.violations)} violations, "
                      f"{time.monotonic() - before:.0f} s", flush=True)
    report.print(time.monotonic() - before)
    if json_path:
        pathlib.Path(json_path).write_text(json.dumps(
            {"rows": report.rows, "violations": report.violations}, indent=1))


def show_one(words, keep):
    become_reaper()
    fault, fired, wrong, more = play(Fault.parse(words), keep)
    print(more["stderr"])
    print(f"fired: {fired} at {more['call']!r}, {more['seconds']:.2f} s")
    print(json.dumps(more["counts"]))
    if keep:
        print(f"kept: {more['folder']}")
    for kind, text in wrong:
        print(f"{kind}: {text}")
    return 1 if wrong else 0


def chosen(rows, only):
    """only: ROLE or ROLE/MODE or ROLE/MODE/FAMILY"""
    if not only:
        return rows
    words = only.split("/")
    return [row for row in rows if row and all(
        w == have for w, have in zip(words, (row[0].role, row[0].mode, row[0].family)))]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bounded", action="store_true")
    parser.add_argument("--build", default="build")
    parser.add_argument("--one", nargs="+", metavar="WORD")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only")
    parser.add_argument("--sample", type=int, help="at most so many points of a row")
    parser.add_argument("--json", metavar="FILE")
    options = parser.parse_args()
    if not disk.can_mount():
        command = disk.namespace_command([sys.executable, *sys.argv])
        if command:
            os.execvpe(command[0], command, {**os.environ, "FAULT_NAMESPACE": "1"})
        print("disks that are full: left out, nothing can be mounted here", flush=True)
    prepare(options.build)
    if options.one:
        return show_one(options.one, options.keep)
    become_reaper()
    counts = count_calls()
    for role, families in counts.items():
        print(f"{role}: {sum(families.values())} calls ({dict(families)})")
    disks = disk_points() if disk.can_mount() else []
    rows = chosen([*kill_points(counts), *error_points(counts), *disks], options.only)
    number = options.sample or (BOUNDED if options.bounded else None)
    if number:
        rows = [sample(row, number) for row in rows]
    report = Report()
    run([fault for row in rows for fault in row], report, options.json)
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
