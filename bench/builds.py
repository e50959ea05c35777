# SPDX-License-Identifier: MIT
"""The builds side by side: images carry the static one, `make install` gives the dynamic one."""
import os
import pathlib
import shutil
import statistics
import subprocess

import peers
import session as sessions
import waking
from programs import ROOT, copied
from table import line, ms

COLUMNS = ["build", "file", "text", "start to claim, median", "× the first"]
# As Makefile builds them.
OPTIONS = {"static": "static, -O2", "dynamic": "dynamic, as `make build` has it"}
STATIC = ROOT / "build-bench-static/agent-runner"
DYNAMIC = ROOT / "build-bench/agent-runner"


def found():
    """name -> path; the first is the one that the table is about."""
    given = os.environ.get("AGENT_RUNNER")
    paths = {**({"AGENT_RUNNER": pathlib.Path(given)} if given else {}),
             "static": STATIC, "dynamic": DYNAMIC}
    return {name: copied(path, f"agent-runner-{name}") for name, path in paths.items()
            if path.exists()}


def use(path):
    """From now on sessions run this binary."""
    os.environ["AGENT_RUNNER"] = str(path)
    sessions.forget_runner()
    return sessions.runner_path()


def text_size(path):
    """Bytes of code and constants, as size(1) counts them."""
    if not shutil.which("size"):
        return None
    said = subprocess.run(["size", path], check=True, stdout=subprocess.PIPE, text=True).stdout
    return int(said.splitlines()[1].split()[0])


def rows(builds, rounds):
    # Copies for the ordinary user are made once.
    paths = {name: use(path) for name, path in builds.items()}
    claims = {name: [] for name in builds}
    for _ in range(rounds):
        for name, path in paths.items():
            use(path)
            claims[name].append(waking.start_times(peers.OURS)[0])
    first = next(iter(builds))
    use(paths[first])
    for name, path in builds.items():
        text = text_size(path)
        middle = statistics.median(claims[name])
        yield line([OPTIONS.get(name, name), f"{path.stat().st_size / 1024:,.0f} KiB",
                    "no size(1) here" if text is None else f"{text / 1024:,.0f} KiB", ms(middle),
                    f"{middle / statistics.median(claims[first]):.2f}"])
