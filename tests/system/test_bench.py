# SPDX-License-Identifier: MIT
"""
bench/bench.py --quick: each row of its tables has its numbers. Which ones is the machine's affair.
"""
import os
import pathlib
import re
import subprocess

import session as sessions

BENCH = pathlib.Path(__file__).resolve().parents[2] / "bench/bench.py"

NAMES = ["start", "pickup", "poll", "idle", "memory", "backlog", "burst", "mcp", "stop", "command",
         "orphans", "forward", "builds"]
# By root, who can take all of them.
ROWS, GOALS = 28, 23
# After the colon of a goal.
VERDICT = re.compile(r": (met|missed by (some|[\d.,]+\D*)|nothing here to compare with)$")


def bench(*arguments, **env):
    return subprocess.run(["/usr/bin/python3", BENCH, *arguments], capture_output=True, text=True,
                          env={**os.environ, "AGENT_RUNNER": str(sessions.runner_path()), **env},
                          timeout=120, check=False)


def tables(text):
    """A list of tables, each of rows, each a dict of cells by column."""
    found = []
    for block in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE):
        head, _, *rows = [[cell.strip() for cell in line.strip("|\n").split("|")]
                          for line in block.splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def check_row(row):
    said = row["here"]
    if said.startswith("not here: "):
        # As an ordinary user one may neither read all figures nor make all namespaces.
        assert os.getuid() != 0, row
        return
    assert re.search(r"\d", said) or said == "all, in order", row
    if row["× floor"]:
        assert float(row["× floor"]) > 0, row
        assert row["floor in the same run"], row
    if row["goal"]:
        assert VERDICT.search(row["goal"]), row


def test_each_row_has_its_numbers():
    done = bench("--quick")
    assert done.returncode == 0, done.stderr
    figures, builds = tables(done.stdout)
    for row in figures:
        check_row(row)
    goals = [row["goal"] for row in figures if row["goal"]]
    if os.getuid() == 0:
        assert (len(figures), len(goals)) == (ROWS, GOALS), done.stdout
    assert builds[0]["build"] == "AGENT_RUNNER"
    for row in builds:
        assert float(row["× the first"]) > 0 and "KB" in row["file"], row


def test_another_runner_is_measured_beside_ours():
    command = f"{sessions.runner_path()} --workspace {{workspace}}"
    names = ["start", "pickup", "idle", "memory", "backlog"]
    done = bench("--quick", *names, PEER_RUNNER=command)
    assert done.returncode == 0, done.stderr
    peers = [row["peers in the same run"] for row in tables(done.stdout)[0]]
    assert sum(bool(re.search(r"PEER_RUNNER \D*\d", cell)) for cell in peers) == len(names), peers


def test_another_runner_that_does_not_work_is_told():
    done = bench("--quick", "start", PEER_RUNNER="false")
    assert done.returncode == 0, done.stderr
    assert "PEER_RUNNER: host: it ended" in done.stdout


def test_a_binary_that_is_not_there_is_told():
    done = bench("start", AGENT_RUNNER="/nonexistent/agent-runner")
    assert done.returncode == 2
    assert "AGENT_RUNNER: " in done.stderr and "/nonexistent/agent-runner" in done.stderr


def test_unknown_names_are_refused():
    done = bench("nonsense")
    assert done.returncode == 2
    assert f"there is no nonsense; there are {', '.join(NAMES)}" in done.stderr
