#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Runs the tests in tiers: run.py fast | full.

fast  the lints, and the unit tests built by gcc and by clang with ASan and UBSan; a minute or two
full  fast, the fuzzers for 20 seconds each, the whole-program tests: session folders, the real
      agent CLI, containers, and a sample of the faults of tests/faults, each kind of which counts as
      a test

Names what failed after the table of steps. The last line is "N passed, N failed"; the exit status is
0 if none failed. What is skipped counts as failed if MUST_WORK=1 is set, else as nothing. A step that
breaks, or that finds nothing to run, is a failure too.
"""
import concurrent.futures
import json
import os
import pathlib
import shlex
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree

import arm64

ROOT = pathlib.Path(__file__).resolve().parents[1]
MUST_WORK = os.environ.get("MUST_WORK") == "1"
# Debian's tools, whatever else a developer has in PATH.
ENV = {**os.environ, "PATH": f"/usr/bin:/bin:{os.environ.get('PATH', '')}"}

# Of a test by meson's name for its result. What is not listed has failed.
MESON_PASSED = {"OK", "EXPECTEDFAIL"}
MESON_SKIPPED = {"SKIP"}

# Whole-program tests that have a step of their own, since they take long. The first ones mostly wait
# for programs of Node.js: they run beside the session folders. TOOL_STEPS wait for a compiler, a
# browser and npm: they run beside FAULT_STEPS.
NODE_STEPS = {
    "real agent CLI": "test_claude.py",
    "real agent CLI, its tools": "test_claude_mcp.py",
    "real agents that speak ACP": "test_acp_cli.py",
    "MCP clients of others": "test_mcp_sdk.py",
}
SYSTEM_STEPS = {
    "containers": "test_container.py",
    "containers of AgentGate": "test_agentgate.py",
    "images": "test_images.py",
    "containers without memory": "test_memory.py",
    "escapes from containers": "escape",
    "compose, Kubernetes, workflows": "test_deploy.py",
    "static binary": "test_static.py",
    "packages": "test_release.py",
}
TOOL_STEPS = {
    "tools inside the confinement": "test_confined_tools.py",
}

# Built while unit tests and fuzzers run, which mind neither another process nor its disk: the default
# image, and those of tests/system/test_images.py. Who needs one builds it if it is missing.
SETUP = ROOT / "tests/system/container/setup.sh"
IMAGES = ["bin", "core", "claude", "nanoclaw", "acp-opencode"]

ARM64_OPTIONS = ["--cross-file", "cross/arm64.ini", "--buildtype=release", "-Doptimization=2",
                 "-Dstatic=enabled", "-Dtests=enabled"]

# Below tests/faults.
FAULT_STEPS = {
    "recovery": "test_recovery.py",
    "rude agents": "test_rude_agent.py",
    "rude hosts": "test_rude_host.py",
}


# How long each fuzzer runs: a sample of `make fuzz`.
FUZZ_SECONDS = 20
# Of what failed, so many lines of each are told at the end.
TOLD_LINES = 12

# What failed so far, a text each: of a long log often only the end is kept.
failures = []


class Broken(Exception):
    """A step could not do its work."""


def call(*command, env=None, output=None):
    """Runs a command with its output shown, or in a file; its exit status."""
    sys.stdout.flush()
    return subprocess.run([str(c) for c in command], cwd=ROOT, env={**ENV, **(env or {})},
                          stdout=output, stderr=output, check=False).returncode


def failed_text(name, text):
    """Remembers what failed, and the end of what was said about it."""
    lines = [line for line in text.splitlines() if line.strip()][-TOLD_LINES:]
    failures.append("\n    ".join([name, *lines]))


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
    if status not in (0, 77):
        failures.append(path.name)
    return int(status == 0), int(status not in (0, 77)), int(status == 77)


def said_by(row):
    """What a unit test said: that it leaked is no news if it failed before it could free."""
    text = row.get("stderr") or row.get("stdout") or row["result"]
    before = text.partition("ERROR: LeakSanitizer")[0]
    return before if "[  ERROR   ]" in before else text


def meson_test(folder, *arguments):
    log = ROOT / folder / "meson-logs/testlog.json"
    log.unlink(missing_ok=True)
    status = call("meson", "test", "-C", folder, "--print-errorlogs", "--no-rebuild", *arguments)
    if not log.exists():
        raise Broken(f"meson test -C {folder}: exit status {status}, no results")
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    results = [row["result"] for row in rows]
    for row in rows:
        if row["result"] not in MESON_PASSED | MESON_SKIPPED:
            failed_text(row["name"], said_by(row))
    passed = sum(r in MESON_PASSED for r in results)
    skipped = sum(r in MESON_SKIPPED for r in results)
    return passed, len(results) - passed - skipped, skipped


def unit_tests(folder, compiler):
    build(folder, "--native-file", "build-dev.ini", env={"CC": compiler})
    return meson_test(folder)


def arm64_tests():
    """Unit tests and whole-program tests of the arm64 build, those that qemu can run."""
    build("build-arm64", *ARM64_OPTIONS)
    arm64.reset_hidden_signals()
    listed = subprocess.run(["meson", "test", "-C", "build-arm64", "--list", "--suite", "unit"],
                            cwd=ROOT, env=ENV, capture_output=True, text=True, check=True).stdout
    names = {line.rsplit(" / ", 1)[1] for line in listed.splitlines() if " / " in line}
    if arm64.LEFT_OUT.keys() - names:
        raise Broken(f"tests/arm64.py: no such tests: {arm64.LEFT_OUT.keys() - names}")
    counts = [meson_test("build-arm64", "--timeout-multiplier", "4",
                         *sorted(names - arm64.LEFT_OUT.keys()))]
    binary = ROOT / "build-arm64/agent-runner"
    if not arm64.can_emulate(binary):
        return counts[0][0], counts[0][1], counts[0][2] + 1
    folder = ROOT / "tests/system"
    deselected = [f"--deselect=tests/system/{file}::{test}"
                  for file, left_out in arm64.SYSTEM.items() for test in left_out]
    with arm64.emulation(binary):
        counts.append(pytest(*[folder / file for file in arm64.SYSTEM], *deselected,
                             env={"AGENT_RUNNER": str(binary)}))
    return tuple(sum(column) for column in zip(*counts))


def pytest(*arguments, env=None, output=None):
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.xml"
        status = call("/usr/bin/python3", "-m", "pytest", "-q", "-p", "no:cacheprovider",
                      "--durations=5", f"--junitxml={report}", *arguments, env=env,
                      output=output)
        if not report.exists():
            raise Broken(f"pytest: exit status {status}, no results")
        suite = xml.etree.ElementTree.parse(report).getroot().find("testsuite")
    for case in suite.iter("testcase"):
        for problem in (*case.iter("failure"), *case.iter("error")):
            failed_text(f"{case.get('classname')}.{case.get('name')}", problem.text or "")
    total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
    failed = int(suite.get("failures")) + int(suite.get("errors"))
    if failed == 0 and status != 0:
        raise Broken(f"pytest: exit status {status}")
    return max(0, total - failed - skipped), failed, skipped


def fuzz():
    """Each fuzzer is a test: it passes if it ran, and found nothing."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "fuzz.json"
        status = call(ROOT / "tests/fuzz/run.py", "--seconds", FUZZ_SECONDS, "--json", report)
        if not report.exists():
            raise Broken(f"tests/fuzz/run.py: exit status {status}, no results")
        rows = json.loads(report.read_text())
    passed = sum(row["executions"] > 0 and row["crashes"] == 0 for row in rows)
    for row in rows:
        if row["crashes"] or not row["executions"]:
            failed_text(f"fuzzer {row['target']}", row.get("said", "it ran no input"))
    return passed, len(rows) - passed, 0


class Beside:
    """Commands that run one after another beside other steps; wait() is a step of its own."""

    def __init__(self, *commands):
        self.log = tempfile.TemporaryFile("w+")
        script = " && ".join(shlex.join(["nice", *map(str, command)]) for command in commands)
        self.process = subprocess.Popen(["sh", "-c", script], cwd=ROOT, env=ENV, text=True,
                                        stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=subprocess.STDOUT)

    def wait(self):
        status = self.process.wait()
        self.log.seek(0)
        print(self.log.read(), end="")
        self.log.close()
        # Without a runtime there are no images, and their tests say so.
        return int(status == 0), 0, int(status != 0)


class Lane:
    """Tests that run one after another beside other steps; result() is a step for each."""

    def __init__(self, paths):
        self.pool = concurrent.futures.ThreadPoolExecutor(max_workers=1)
        self.logs = {path: tempfile.TemporaryFile("w+") for path in paths}
        self.counts = {path: self.pool.submit(test_file, path, log)
                       for path, log in self.logs.items()}

    def result(self, path):
        concurrent.futures.wait([self.counts[path]])
        with self.logs[path] as log:
            log.seek(0)
            print(log.read(), end="")
        return self.counts[path].result()


def test_file(path, output=None):
    if not path.exists():
        raise Broken(f"{path} is missing")
    return pytest(path, output=output)


def system_steps():
    folder = ROOT / "tests/system"
    # test_arm64.py is for the arm64 step.
    ignored = [f"--ignore={folder / name}"
               for name in [*NODE_STEPS.values(), *SYSTEM_STEPS.values(), *TOOL_STEPS.values(),
                            "test_arm64.py"]]
    programs = Lane([folder / name for name in NODE_STEPS.values()])
    yield "session folders", lambda: pytest(folder, *ignored)
    for title, name in NODE_STEPS.items():
        yield title, lambda name=name: programs.result(folder / name)
    for title, name in SYSTEM_STEPS.items():
        yield title, lambda name=name: test_file(folder / name)
    tools = Lane([folder / name for name in TOOL_STEPS.values()])
    for title, name in FAULT_STEPS.items():
        yield title, lambda name=name: test_file(ROOT / "tests/faults" / name)
    for title, name in TOOL_STEPS.items():
        yield title, lambda name=name: tools.result(folder / name)


def faults():
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder) / "report.json"
        status = call("/usr/bin/python3", ROOT / "tests/faults/run.py", "--bounded",
                      "--json", report)
        if not report.exists():
            raise Broken(f"tests/faults/run.py: exit status {status}, no results")
        named = json.loads(report.read_text())["rows"]
    rows = named.values()
    if sum(row["points"] for row in rows) < 4 * sum(row["missed"] for row in rows):
        raise Broken("most of the faults did not happen: nothing was tried")
    failed = sum(row["violations"] > 0 for row in rows)
    failures.extend(f"fault {name}" for name, row in named.items() if row["violations"])
    return len(rows) - failed, failed, 0


def steps(tier):
    # First, since a lint compiles headers that the build generates.
    yield "build", release_build
    for path in sorted((ROOT / "tests/lint").iterdir()):
        if os.access(path, os.X_OK) and path.is_file():
            yield f"lint {path.name}", lambda path=path: lint(path)
    if tier == "full":
        images = Beside([SETUP], [SETUP, *IMAGES])
    yield "unit tests, gcc", lambda: unit_tests("build-dev", "gcc")
    yield "unit tests, clang", lambda: unit_tests("build-clang", "clang")
    if tier == "full":
        arm64_build = Beside(["meson", "setup", *ARM64_OPTIONS, "build-arm64"],
                             ["ninja", "-j1", "-C", "build-arm64"])
        yield "fuzz", fuzz
        yield "images, built meanwhile", images.wait
        yield "arm64, built meanwhile", arm64_build.wait
        yield from system_steps()
        yield "arm64, under qemu", arm64_tests
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
        except (Broken, OSError, subprocess.SubprocessError, ValueError) as error:
            print(f"{title}: {error}")
            failures.append(f"{title}: {error}")
            passed, failed, skipped = 0, 1, 0
        if MUST_WORK:
            failed, skipped = failed + skipped, 0
        rows.append((title, passed, failed, skipped, time.monotonic() - before))
    print("\nseconds  passed  failed  skipped  step")
    for title, passed, failed, skipped, seconds in rows:
        print(f"{seconds:7.1f} {passed:7} {failed:7} {skipped:8}  {title}")
    if failures:
        print("\nWhat failed:")
    for text in failures:
        print(f"* {text}")
    return tuple(sum(row[i] for row in rows) for i in (1, 2))


def main():
    if sys.argv[1:] not in (["fast"], ["full"]):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    passed, failed = run(sys.argv[1])
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


sys.exit(main())
