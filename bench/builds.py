# SPDX-License-Identifier: MIT
"""The builds side by side: images carry the static one, `make install` gives the dynamic one."""
import json
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
FOLDERS = {"static": ROOT / "build-bench-static", "dynamic": ROOT / "build-bench"}


def found():
    """name -> path; the first is the one that the table is about. OSError: AGENT_RUNNER names none."""
    given = os.environ.get("AGENT_RUNNER")
    first = {"AGENT_RUNNER": copied(given, "agent-runner-given")} if given else {}
    return {**first, **{name: copied(folder / "agent-runner", f"agent-runner-{name}")
                        for name, folder in FOLDERS.items() if (folder / "agent-runner").exists()}}


def described(name):
    """With the optimization that its build folder has."""
    if name not in FOLDERS:
        return name
    options = json.loads((FOLDERS[name] / "meson-info/intro-buildoptions.json").read_text("utf-8"))
    level = next(option["value"] for option in options if option["name"] == "optimization")
    return f"{name}, -O{level}, stripped"


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
        yield line([described(name), f"{path.stat().st_size / 1000:,.0f} KB",
                    "no size(1) here" if text is None else f"{text / 1000:,.0f} KB", ms(middle),
                    f"{middle / statistics.median(claims[first]):.2f}"])
