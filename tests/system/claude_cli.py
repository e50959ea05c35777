#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real Claude Code, in the versions that tests/agent-versions pins, from npm, fetched once.

By hand: python3 tests/system/claude_cli.py   (fetches what is missing, prints the paths)
"""
import fcntl
import os
import pathlib
import shutil
import stat
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
PACKAGE = "@anthropic-ai/claude-code"


def _cache():
    """Below the checkout; where root keeps that to itself, in a place open to all users."""
    if "AGENT_CLI_CACHE" in os.environ:
        return pathlib.Path(os.environ["AGENT_CLI_CACHE"])
    if os.getuid() == 0 and not all(p.stat().st_mode & stat.S_IXOTH for p in [ROOT, *ROOT.parents]):
        return pathlib.Path("/var/cache/agent-runner/claude-cli")
    return ROOT / ".cache" / "claude-cli"


CACHE = _cache()


def versions():
    """The pinned versions, in the file's order."""
    found = []
    for line in (ROOT / "tests" / "agent-versions").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) == 2 and words[0] == PACKAGE:
            found.append(words[1])
    return found


def path(version):
    """Where the CLI of this version stands, or would stand."""
    return CACHE / version / "node_modules" / ".bin" / "claude"


def _works(cli, version):
    if not cli.exists():
        return False
    answer = subprocess.run([cli, "--version"], capture_output=True, text=True, timeout=60,
                            check=False)
    return answer.stdout.split()[:1] == [version]


def ensure(version):
    """The path of the CLI, fetched if need be. RuntimeError says why there is none."""
    cli = path(version)
    if _works(cli, version):
        return cli
    if not shutil.which("npm"):
        raise RuntimeError("npm is not installed: apt-get install npm")
    CACHE.mkdir(parents=True, exist_ok=True)
    # Several test runs may want it at once.
    with open(CACHE / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if _works(cli, version):
            return cli
        fresh = CACHE / f"{version}.new"
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(CACHE / version, ignore_errors=True)
        npm = subprocess.run(["npm", "install", "--no-audit", "--no-fund", "--prefix", fresh,
                              f"{PACKAGE}@{version}"],
                             capture_output=True, text=True, timeout=600, check=False)
        if npm.returncode != 0:
            raise RuntimeError(f"npm install {PACKAGE}@{version}: {npm.stderr[-500:]}")
        fresh.rename(CACHE / version)
    if not _works(cli, version):
        raise RuntimeError(f"{cli} does not answer --version with {version}")
    return cli


def main():
    for version in versions():
        print(version, ensure(version))


if __name__ == "__main__":
    sys.exit(main())
