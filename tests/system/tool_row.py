#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Inside a container: tool_row.py RUNNER NAME runs a row of tool_rows.py without the agent's rights and
with them, each in a folder of its own, and prints both results as JSON.
"""
import ctypes
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import tool_rows

AGENT = pathlib.Path("/workspace/agent")
PATIENCE = 60
PR_SET_CHILD_SUBREAPER = 36


def end_leftovers():
    """Ends what a script has left running: it is below us, since we take orphans in."""
    while True:
        for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
            try:
                parent = int(stat.read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == os.getpid():
                os.kill(int(stat.parent.name), signal.SIGKILL)
        try:
            os.wait()
        except ChildProcessError:
            return


def run(prefix, script, folder):
    """What came of a script; whatever it leaves running is ended."""
    folder.mkdir(parents=True)
    before = time.monotonic()
    with subprocess.Popen([*prefix, "sh", "-eu", "-c", script], cwd=folder, text=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, start_new_session=True) as process:
        try:
            out, err = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
    seconds = time.monotonic() - before
    end_leftovers()
    shutil.rmtree(folder, ignore_errors=True)
    return {"status": process.returncode, "out": out.rstrip(), "err": err[-2000:],
            "seconds": round(seconds, 3)}


def main():
    if ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError("prctl(PR_SET_CHILD_SUBREAPER)")
    runner, name = sys.argv[1:]
    row = tool_rows.find(name)
    confine = [runner, "confine", "--role=agent", "--workspace=/workspace", "--session",
               *row.options, "--"]
    place = AGENT / f"row-{os.getpid()}"
    result = {"alone": run([], row.script, place / "alone"),
              "confined": run(confine, row.script, place / "confined")}
    json.dump(result, sys.stdout)


main()
