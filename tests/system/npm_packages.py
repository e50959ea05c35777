# SPDX-License-Identifier: MIT
"""Packages from npm in the versions that tests/agent-versions pins, each fetched once."""
import fcntl
import json
import os
import pathlib
import shutil
import stat
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]


def _cache():
    """Below the checkout; where root keeps that to itself, in a place open to all users."""
    if "AGENT_CLI_CACHE" in os.environ:
        return pathlib.Path(os.environ["AGENT_CLI_CACHE"])
    if os.getuid() == 0 and not all(p.stat().st_mode & stat.S_IXOTH for p in [ROOT, *ROOT.parents]):
        return pathlib.Path("/var/cache/agent-runner")
    return ROOT / ".cache"


CACHE = _cache()


def versions(package):
    """The pinned versions of a package, in the file's order."""
    found = []
    for line in (ROOT / "tests" / "agent-versions").read_text().splitlines():
        words = line.split("#")[0].split()
        if len(words) == 2 and words[0] == package:
            found.append(words[1])
    return found


def folder(package, version):
    """Where a package of this version is installed, or would be: node_modules is in there."""
    return CACHE / package.split("/")[-1] / version


def _is_complete(package, version):
    """Did npm come to its end there?"""
    try:
        about = json.loads((folder(package, version) / "node_modules" / package / "package.json")
                           .read_text())
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return False
    return about.get("version") == version


def ensure(package, version, works=_is_complete, options=()):
    """
    The folder of the package, fetched if need be. works(package, version): is it there, and whole?
    options: more of npm's. RuntimeError says why there is none.
    """
    place = folder(package, version)
    if works(package, version):
        return place
    if not shutil.which("npm"):
        raise RuntimeError("npm is not installed: apt-get install npm")
    place.parent.mkdir(parents=True, exist_ok=True)
    # Several test runs may want it at once.
    with open(place.parent / "lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if works(package, version):
            return place
        fresh = place.with_name(f"{version}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.rmtree(place, ignore_errors=True)
        npm = subprocess.run(["npm", "install", "--no-audit", "--no-fund", *options, "--prefix",
                              fresh, f"{package}@{version}"],
                             capture_output=True, text=True, timeout=600, check=False)
        if npm.returncode != 0:
            raise RuntimeError(f"npm install {package}@{version}: {npm.stderr[-500:]}")
        fresh.rename(place)
    if not works(package, version):
        raise RuntimeError(f"{place} does not hold {package} {version}")
    return place
