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
import atexit
import collections
import ctypes
import json
import multiprocessing
import os
import pathlib
import shutil
import sys
import tempfile
import time
import traceback

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent / "system")]

PR_SET_CHILD_SUBREAPER = 36
WORKERS = int(os.environ.get("FAULT_WORKERS", "2"))
MEMORY = pathlib.Path("/dev/shm")
# Points of each row, by the mode of its faults; the last number is for all others.
BOUNDED = {"kill": 40, "kill-container": 40, None: 8}
SANITIZED = {"kill": 60, "kill-container": 30, None: 6}
SANITIZED_BOUNDED = {"kill": 6, "kill-container": 6, None: 1}

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
BUILD = "build"
# With ASan and UBSan; a sample of the points is tried with it, if it is there.
BUILD_SANITIZED = "build-dev"
# Beyond the last call that was counted: of some sessions it is a few more.
SLACK = 1.05

_parts = None


def prepare(build):
    """The programs, in a folder that any user may look into."""
    global _parts
    sessions.forget_runner()
    os.environ["AGENT_RUNNER"] = str(HERE.parents[1] / build / "agent-runner")
    if MEMORY.is_dir() and os.access(MEMORY, os.W_OK):
        tempfile.tempdir = str(MEMORY)
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-faults-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    folder.chmod(0o755)
    _parts = Parts(build, folder)
    sessions.runner_path()


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
        if fault.role == "stop":
            story.stopped_words = f"slow {fault.mode}"
        story.run()
        if small:
            small.empty()
        wrong = check(story, fault)
        more = {
            "call": story.watch.call,
            "counts": story.watch.counts(),
            "seconds": time.monotonic() - before,
            "stderr": "".join(f"-- exit code {c.code}\n{c.stderr}" for c in story.containers),
        }
        if keep:
            more["folder"] = str(story.session.base)
        fired = story.on_tick.happened if small else story.watch.fired or fault.role == "stop"
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
            # How often PID 1 looks there at the end depends on what else runs.
            if (role, family) == ("init", "proc"):
                continue
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


def stop_points():
    """SIGTERM in a turn in which something was sent already."""
    for words in ("use-tool", "say-first", "send-file"):
        yield [Fault("stop", words, n) for n in range(1, 9)]


def sample(rows, numbers):
    """So many of each row, evenly spread."""
    for row in rows:
        number = numbers.get(row[0].mode, numbers[None]) if numbers else len(row)
        number = min(number, len(row))
        # In the middle of each part, so that samples of one are of something, too.
        yield [row[(2 * i + 1) * len(row) // (2 * number)] for i in range(number)]


# The report


def repeat(build, fault):
    more = "" if build == BUILD else f"--build {build} "
    return f"tests/faults/run.py {more}--one {' '.join(fault.words)} --keep"


class Report:
    def __init__(self):
        self.rows = collections.OrderedDict()
        self.violations = []

    def add(self, build, fault, fired, wrong, more):
        # Of a few points each one row is enough.
        name = f"{build}: {fault.role} {fault.mode}" if build == BUILD_SANITIZED else fault.row
        row = self.rows.setdefault(name, {"points": 0, "missed": 0, "violations": 0,
                                          "seconds": 0.0})
        row["seconds"] += more.get("seconds", 0)
        row["points" if fired else "missed"] += 1
        if not wrong:
            return
        row["violations"] += 1
        self.violations.append({"fault": name, "nth": fault.nth, "call": more["call"],
                                "wrong": wrong, "repeat": repeat(build, fault),
                                "stderr": more["stderr"]})

    def fired(self):
        return sum(row["points"] for row in self.rows.values())

    def planned(self):
        return self.fired() + sum(row["missed"] for row in self.rows.values())

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


def run(rows, report, build):
    """All points of these rows with this build."""
    prepare(build)
    points = [fault for row in rows for fault in row]
    before = time.monotonic()
    with multiprocessing.Pool(WORKERS, initializer=become_reaper) as pool:
        for i, result in enumerate(pool.imap_unordered(try_to_play, points)):
            report.add(build, *result)
            if i % 200 == 199:
                print(f"… {i + 1} of {len(points)} points, {len(report.violations)} violations, "
                      f"{time.monotonic() - before:.0f} s", flush=True)


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
    rows = [row for row in rows if row]
    if not only:
        return rows
    words = only.split("/")
    return [row for row in rows if all(
        w == have for w, have in zip(words, (row[0].role, row[0].mode, row[0].family)))]


def parse_options():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bounded", action="store_true")
    parser.add_argument("--build", default=BUILD)
    parser.add_argument("--one", nargs="+", metavar="WORD")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--only", metavar="ROLE[/MODE[/FAMILY]]")
    parser.add_argument("--sample", type=int, metavar="N", help="at most N points of a row")
    parser.add_argument("--json", metavar="FILE")
    return parser.parse_args()


def leave_out(what, why):
    """In CI nothing is left out in silence."""
    if os.environ.get("MUST_WORK") == "1":
        raise SystemExit(f"MUST_WORK=1, but {what}: left out, {why}")
    print(f"{what}: left out, {why}", flush=True)


def enter_namespace():
    """Where it may mount, if there is such a place."""
    if disk.can_mount():
        return
    command = disk.namespace_command([sys.executable, *sys.argv])
    if command:
        os.execvpe(command[0], command, {**os.environ, "FAULT_NAMESPACE": "1"})
    leave_out("disks that are full", "nothing can be mounted here")


def main():
    options = parse_options()
    enter_namespace()
    prepare(options.build)
    if options.one:
        return show_one(options.one, options.keep)
    become_reaper()
    before = time.monotonic()
    counts = count_calls()
    for role, families in counts.items():
        print(f"{role}: {sum(families.values())} calls ({dict(families)})")
    disks = disk_points() if disk.can_mount() else []
    missing = [role for role, _ in KILLS if not counts[role]]
    if missing:
        raise SystemExit(f"the shim has counted no call of {', '.join(missing)}")
    rows = chosen([*kill_points(counts), *error_points(counts), *disks, *stop_points()], options.only)
    if not rows:
        raise SystemExit(f"there is no kind of fault {options.only!r}")
    numbers = {None: options.sample} if options.sample else BOUNDED if options.bounded else None
    report = Report()
    run(list(sample(rows, numbers)), report, options.build)
    if options.build == BUILD and not (HERE.parents[1] / BUILD_SANITIZED / "agent-runner").exists():
        leave_out("the sanitizers", f"there is no {BUILD_SANITIZED}")
    elif options.build == BUILD:
        numbers = SANITIZED_BOUNDED if options.bounded or options.sample else SANITIZED
        run(list(sample(rows, numbers)), report, BUILD_SANITIZED)
    report.print(time.monotonic() - before)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(
            {"rows": report.rows, "violations": report.violations}, indent=1))
    if report.fired() < 0.8 * report.planned():
        raise SystemExit("many of the faults did not happen: less was tried than it seems")
    return 1 if report.violations else 0


if __name__ == "__main__":
    sys.exit(main())
