#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Runs the tests in tiers: run.py fast | full.

fast  the lints, and the unit tests built by gcc and by clang with ASan and UBSan; a minute or two
full  fast, the fuzzers for a minute each, the whole-program tests: session folders, the real agent
      CLI, containers, and a sample of the faults of tests/faults, each kind of which counts as a test

The last line is "N passed, N failed"; the exit status is 0 if none failed. What is skipped counts
as failed if MUST_WORK=1 is set, else as nothing. A step that breaks, or that finds nothing to run,
is a failure too.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

ROOT = pathlib.Path(__file__).resolve().parents[1]
MUST_WORK = os.environ.get("MUST_WORK") == "1"
# Debian's tools, whatever else a developer has in PATH.
ENV = {**os.environ, "PATH": f"/usr/bin:/bin:{os.environ.get('PATH', '')}"}

# Of a test by meson's name for its result. What is not listed has failed.
MESON_PASSED = {"OK", "EXPECTEDFAIL"}
MESON_SKIPPED = {"SKIP"}

# Whole-program tests that have a step of their own, since they take long.
SYSTEM_STEPS = {
    "real agent CLI": "test_claude.py",
    "real agent CLI, its tools": "test_claude_mcp.py",
    "MCP clients of others": "test_mcp_sdk.py",
    "containers": "test_container.py",
    "images": "test_images.py",
    "containers without memory": "test_memory.py",
    "escapes from containers": "escape",
    "tools inside the confinement": "test_confined_tools.py",
}

# Below tests/faults.
FAULT_STEPS = {
    "recovery": "test_recovery.py",
    "rude agents": "test_rude_agent.py",
    "rude hosts": "test_rude_host.py",
}


class Broken(Exception):
    """A step could not do its work."""


def call(*command, env=None):
    """Runs a command with its output shown; its exit status."""
    sys.stdout.flush()
    return subprocess.run([str(c) for c in command], cwd=ROOT, env={**ENV, **(env or {})},
                          check=False).returncode


def must(*command, env=None):
    status = call(*command, env=env)
    if status != 0:
        raise Broken(f"{' '.join(map(str, command))}: exit status {status}")


# Each step returns (passed, failed, skipped).


def build(folder, *options, env=None):
    """Configures once and builds."""
    if not (ROOT / folder / "build.ninja").exists():
        must("meson", "setup", *options, folder, env=env)
    must("ninja", "-C", folder)


def release_build():
    build("build")
    return 1, 0, 0


def lint(path):
    status = call(path)
    return int(status == 0), int(status not in (0, 77)), int(status == 77)


def unit_tests(folder, compiler):
    build(folder, "--native-file", "build-dev.ini", env={"CC": compiler})
    log = ROOT / folder / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    status = call("meson", "test", "-C", folder, "--print-errorlogs", "--no-rebuild")
    if not log.exists():
        raise Broken(f"meson test -C {folder}: exit status {status}, no results")
    results = [json.loads(line)["result"] for line in log.read_text().splitlines()]
    passed = sum(r in MESON_PASSED for r in results)
    skipped = sum(r in MESON_SKIPPED for r in results)
    return passed, len(results) - passed - skipped, skipped


def pytest(*arguments, env=None):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        status = call("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                      "--durations=5", f"--junitxml={report}", *arguments, env=env)
        if not report.exists():
            raise Broken(f"pytest: exit status {status}, no results")
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    if failed == 0 and status != 0:
        raise Broken(f"pytest: exit status {status}")
    return max(0, total - failed - skipped), failed, skipped


def fuzz():
    """Each fuzzer is a test: it passes if it ran, and found nothing."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "fuzz.json"
        status = call(ROOT / "tests/fuzz/run.py", "--seconds", "60", "--json", report)
        if not report.exists():
            raise Broken(f"tests/fuzz/run.py: exit status {status}, no results")
        rows = json.loads(report.read_text())
    passed = sum(row["executions"] > 0 and row["crashes"] == 0 for row in rows)
    return passed, len(rows) - passed, 0


def system_steps():
    folder = ROOT / "tests/system"
    ignored = [f"--ignore={folder / name}" for name in SYSTEM_STEPS.values()]
    yield "session folders", lambda: pytest(folder, *ignored)
    named = [(title, folder / name) for title, name in SYSTEM_STEPS.items()]
    named += [(title, ROOT / "tests/faults" / name) for title, name in FAULT_STEPS.items()]
    for title, path in named:
        if path.exists():
            yield title, lambda path=path: pytest(path)
        else:
            yield title, lambda path=path: (_ for _ in ()).throw(Broken(f"{path} is missing"))


def faults():
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        status = call("/usr/bin/python3", ROOT / "tests/faults/run.py", "--bounded",
                      "--json", report)
        if not report.exists():
            raise Broken(f"tests/faults/run.py: exit status {status}, no results")
        rows = json.loads(report.read_text())["rows"].values()
    if sum(row["points"] for row in rows) < 4 * sum(row["missed"] for row in rows):
        raise Broken("most of the faults did not happen: nothing was tried")
    failed = sum(row["violations"] > 0 for row in rows)
    return len(rows) - failed, failed, 0


def steps(tier):
    # First, since a lint compiles headers that the build generates.
    yield "build", release_build
    for path in sorted((ROOT / "tests/lint").iterdir()):
        if os.access(path, os.X_OK) and path.is_file():
            yield f"lint {path.name}", lambda path=path: lint(path)
    yield "unit tests, gcc", lambda: unit_tests("build-dev", "gcc")
    yield "unit tests, clang", lambda: unit_tests("build-clang", "clang")
    if tier == "full":
        yield "fuzz", fuzz
        yield from system_steps()
        yield "faults", faults


def run(tier):
    rows = []
    for title, step in steps(tier):
        print(f"== {title}", flush=True)
        before = time.monotonic()
        try:
            passed, failed, skipped = step()
            if passed + failed + skipped == 0:
                raise Broken("there is nothing to run")
        except (Broken, OSError, json.JSONDecodeError) as error:
            print(f"{title}: {error}")
            passed, failed, skipped = 0, 1, 0
        if MUST_WORK:
            failed, skipped = failed + skipped, 0
        rows.append((title, passed, failed, skipped, time.monotonic() - before))
    print("\nseconds  passed  failed  skipped  step")
    for title, passed, failed, skipped, seconds in rows:
        print(f"{seconds:7.1f} {passed:7} {failed:7} {skipped:8}  {title}")
    return tuple(sum(row[i] for row in rows) for i in (1, 2))


def main():
    if sys.argv[1:] not in (["fast"], ["full"]):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    passed, failed = run(sys.argv[1])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
