# SPDX-License-Identifier: MIT
"""The programs of this folder that take times: built when they are first wanted, and called."""
import atexit
import functools
import os
import pathlib
import shutil
import subprocess
import tempfile

from table import NotHere

ROOT = pathlib.Path(__file__).resolve().parents[1]
# Whom the measured programs run as.
UID = 1000 if os.getuid() == 0 else os.getuid()

# The longest one takes half a minute.
PATIENCE_SECONDS = 600

SOURCES = {
    "empty": ["empty.c", "-static"],
    "floor": ["floor.c", "child.c", "-lsqlite3"],
    "host": ["host.c", "child.c", "-lsqlite3"],
    "spawn": ["spawn.c", "child.c"],
    "forward": ["forward.c", "child.c"],
    "orphans": ["orphans.c", "-static"],
}


@functools.cache
def folder():
    """On the file system of the sessions, and open to the user whom programs run as."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-bench-"))
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    path.chmod(0o755)
    return path


def copied(path, name):
    """
    The program as an image's layer has it, which is written 32 KiB at a time. By the size of the
    writes the kernel chooses the size of pages in its cache, and a start can take a tenth longer.
    """
    copy = folder() / name
    with open(path, "rb") as source, open(copy, "wb", buffering=0) as target:
        while piece := source.read(32 * 1024):
            target.write(piece)
    copy.chmod(0o755)
    return copy


@functools.cache
def program(name):
    words = [str(ROOT / "bench" / word) if word.endswith(".c") else word for word in SOURCES[name]]
    subprocess.run(["cc", "-O2", "-D_GNU_SOURCE", f"-I{ROOT}", "-o", folder() / name, *words],
                   check=True)
    return str(folder() / name)


def output(name, *words, **options):
    """Its lines, each a list of integers. If it fails, the end of its stderr says why."""
    try:
        process = subprocess.run([program(name), *map(str, words)], stdin=subprocess.DEVNULL,
                                 capture_output=True, text=True, check=False,
                                 timeout=PATIENCE_SECONDS, **options)
    except subprocess.TimeoutExpired:
        raise NotHere(f"{name}: not over after {PATIENCE_SECONDS} s") from None
    if process.returncode != 0:
        said = process.stderr.strip().splitlines()
        raise NotHere("; ".join(said[-2:]) or f"{name}: exit status {process.returncode}")
    return [[int(word) for word in text.split()] for text in process.stdout.splitlines()]


def floor(name, rounds=3):
    """Nanoseconds, median, of a few rounds: it is taken beside each measurement anew."""
    words = []
    if name == "exec":
        words = [program("empty")]
    elif name in ("commit", "read", "again", "wake"):
        words = [folder()]
    return output("floor", name, rounds, *words)[0][0]


def file_system():
    """Of the sessions: type and device, as mountinfo has them."""
    path, found = os.path.realpath(folder()), ("", "?")
    for text in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        words = text.split()
        place, rest = words[4].rstrip("/"), words[words.index("-") + 1:]
        if f"{path}/".startswith(f"{place}/") and len(place) >= len(found[0]):
            found = place, f"{rest[0]} on {rest[1]}"
    return found[1]
