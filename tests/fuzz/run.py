#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Fuzzes the parsers of outside bytes: run.py [--seconds N] [--json FILE] [--merge] [NAME...]

Builds build-fuzz with clang, and runs each target of tests/fuzz (or those named) for N seconds, 60
by default, two at a time, from a copy of its corpus. Prints a table; the exit status is 1 if one
crashed, leaked, ran out of memory or took too long for an input. That input is then in its corpus,
where `meson test` replays it, to be renamed once the bug is fixed.

--json   the table's figures go to this file, too
--merge  what was found that leads further than the corpus becomes a part of it, as little as needed
"""
import argparse
import base64
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
CORPUS = ROOT / "tests/fuzz/corpus"
BUILD = ROOT / "build-fuzz"
# Debian's tools, whatever else a developer has in PATH.
ENV = {**os.environ, "PATH": f"/usr/bin:/bin:{os.environ.get('PATH', '')}", "CC": "clang"}

AT_ONCE = 2
# Sanitizers and a busy machine make an input slow, but none takes as long as this.
TIMEOUT_SECONDS = 25
MEMORY_MB = 1024
# Longer inputs say little more; those of the corpus are shorter but for databases.
INPUT_MAX = {"inbound": 20480, "prompt": 16384, "claude": 8192}
INPUT_MAX_DEFAULT = 4096
# In a corpus: small files, and not many.
KEPT_SIZE_MAX = 4096
KEPT_COUNT_MAX = 100
KEPT_BYTES_MAX = 300 * 1024
# An input up to this size is printed, too: where the run's machine is gone, so are its files.
PRINTED_SIZE_MAX = 2048

# What libFuzzer puts before the hash of an input that it stopped at.
BAD = ("crash-", "leak-", "timeout-", "oom-")


def names():
    return sorted(p.stem.removeprefix("fuzz-") for p in (ROOT / "tests/fuzz").glob("fuzz-*.c"))


def build():
    if not (BUILD / "build.ninja").exists():
        subprocess.run(["meson", "setup", "--native-file", "build-dev.ini", "-Dtests=disabled",
                        "-Dfuzz=enabled", str(BUILD)], cwd=ROOT, env=ENV, check=True)
    subprocess.run(["ninja", "-C", str(BUILD), "fuzzers"], cwd=ROOT, env=ENV, check=True)


def fuzzer(name):
    return str(BUILD / f"tests/fuzz/fuzz-{name}")


def coverage(log):
    """Edges seen after the corpus, and at the end."""
    seen = [int(m) for m in re.findall(r"^#\d+\s+INITED cov: (\d+)", log, re.M)]
    last = [int(m) for m in re.findall(r"cov: (\d+)", log)]
    return (seen[0] if seen else 0), (last[-1] if last else 0)


def figure(log, what):
    found = re.search(rf"^stat::{what}:\s+(\d+)", log, re.M)
    return int(found.group(1)) if found else 0


def run(name, seconds, top):
    """Fuzzes one target. Its row of the table."""
    work = top / name
    shutil.copytree(CORPUS / name, work / "corpus")
    for folder in ("bad", "tmp"):
        (work / folder).mkdir()
    before = time.monotonic()
    with open(work / "log", "w", encoding="utf-8") as log:
        status = subprocess.run(
            [fuzzer(name), f"-max_total_time={seconds}", f"-timeout={TIMEOUT_SECONDS}",
             f"-rss_limit_mb={MEMORY_MB}", f"-max_len={INPUT_MAX.get(name, INPUT_MAX_DEFAULT)}",
             "-print_final_stats=1", f"-artifact_prefix={work}/bad/", str(work / "corpus")],
            cwd=work, env={**ENV, "TMPDIR": str(work / "tmp")}, stdout=log, stderr=log,
            check=False).returncode
    text = (work / "log").read_text(encoding="utf-8", errors="replace")
    first, last = coverage(text)
    bad = sorted(p for p in (work / "bad").iterdir() if p.name.startswith(BAD))
    executions = figure(text, "number_of_executed_units")
    elapsed = time.monotonic() - before
    return {"target": name, "seconds": round(elapsed, 1), "executions": executions,
            "per_second": round(executions / elapsed), "edges": last, "new_edges": last - first,
            "slowest_ms": 1000 * figure(text, "slowest_unit_time_sec"),
            "crashes": max(len(bad), int(status != 0)), "log": text, "bad": bad}


def report(row):
    """Keeps what a target stopped at, and returns what is to be said about it."""
    said = [line for line in row["log"].splitlines()
            if re.search(r"must hold|ERROR:|runtime error|^\s+#\d+ .* in .*agent|SUMMARY", line)]
    said = said[:20] or row["log"].splitlines()[-20:]
    for path in row["bad"]:
        kind, _, name = path.name.partition("-")
        kept = CORPUS / row["target"] / f"{kind}-{name[:12]}"
        shutil.copyfile(path, kept)
        said += [f"The input is {kept.relative_to(ROOT)}. To see it fail:",
                 f"  {os.path.relpath(fuzzer(row['target']), ROOT)} {kept.relative_to(ROOT)}",
                 "Fix the code, add a unit test, give the file a name that tells what was wrong, "
                 "and keep it:", "`meson test` replays it."]
        if path.stat().st_size <= PRINTED_SIZE_MAX:
            said.append(f"In base64: {base64.b64encode(path.read_bytes()).decode()}")
    return "\n".join(said)


def merge(name, top):
    """Adds to the corpus, as little as needed, what leads further than it."""
    work = top / name
    found, kept = work / "found", work / "kept"
    shutil.copytree(CORPUS / name, kept)
    shutil.copytree(work / "corpus", found)
    for path in found.iterdir():
        if path.stat().st_size > KEPT_SIZE_MAX:
            path.unlink()
    # Edges count, not how often each was taken: that would keep hundreds of files.
    subprocess.run([fuzzer(name), "-merge=1", "-use_counters=0", f"-timeout={TIMEOUT_SECONDS}",
                    str(kept), str(found)],
                   cwd=work, env={**ENV, "TMPDIR": str(work / "tmp")},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    have = {p.name for p in (CORPUS / name).iterdir()}
    size = sum(p.stat().st_size for p in (CORPUS / name).iterdir())
    # Small ones first: a person may want to read them.
    for path in sorted(kept.iterdir(), key=lambda p: (p.stat().st_size, p.name)):
        size += path.stat().st_size
        if len(have) >= KEPT_COUNT_MAX or size > KEPT_BYTES_MAX:
            break
        if path.name not in have:
            shutil.copyfile(path, CORPUS / name / f"found-{path.name[:12]}")
            have.add(path.name)


def arguments():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--json", type=pathlib.Path)
    parser.add_argument("--merge", action="store_true")
    parser.add_argument("names", nargs="*")
    chosen = parser.parse_args()
    unknown = set(chosen.names) - set(names())
    if unknown:
        parser.error(f"there is no target {', '.join(sorted(unknown))}; there are: "
                     f"{', '.join(names())}")
    return chosen


def main():
    chosen = arguments()
    build()
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if os.access(memory, os.W_OK) else None) as folder:
        top = pathlib.Path(folder)
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            rows = list(pool.map(lambda name: run(name, chosen.seconds, top),
                                 chosen.names or names()))
        for row in rows:
            if row["crashes"]:
                row["said"] = report(row)
                print(f"\n{row['target']} failed:\n{row['said']}")
            elif chosen.merge:
                merge(row["target"], top)
    print("\ntarget      executions  per second   edges  new edges  slowest s  crashes")
    for row in rows:
        print(f"{row['target']:10} {row['executions']:11} {row['per_second']:11} {row['edges']:7} "
              f"{row['new_edges']:10} {row['slowest_ms'] // 1000:10} {row['crashes']:8}")
    if chosen.json:
        kept = [{k: v for k, v in row.items() if k not in ("log", "bad")} for row in rows]
        chosen.json.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    return 1 if any(row["crashes"] for row in rows) else 0


if __name__ == "__main__":
    sys.exit(main())
