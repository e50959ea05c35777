#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Who may include whom. Prints each include that breaks the table, and exits 1 if there is one."""
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]

# layer -> layers it may include, besides itself and common
MAY = {
    "common": [],
    "entrypoint": [],
    "tools": ["entrypoint"],
    "runner/io": [],
    "runner/store": [],
    "runner/message": ["runner/store", "runner/io"],
    "runner/provider": ["runner/io"],
    "runner/task": ["runner/io"],
    "runner/mcp": ["runner/store", "runner/message", "runner/io"],
    "runner": ["runner/io", "runner/store", "runner/message", "runner/provider", "runner/task",
               "runner/mcp"],
}
# files with a wider door than their layer
EXCEPTIONS = {
    "entrypoint/main.c": ["runner/runner.h"],
    "entrypoint/healthcheck.c": ["runner/runner.h"],
    "entrypoint/healthcheck.h": ["runner/runner.h"],
}
GENERATED = {"schema"}
# libraries that a layer may use; others may not
LIBRARIES = {
    "sqlite3.h": ["runner/store"],
    "jansson.h": ["runner"],
    "sys/capability.h": ["entrypoint"],
    # at build time only
    "seccomp.h": ["tools"],
}


def layer(path):
    parts = path.split("/")
    if parts[0] != "runner":
        return parts[0]
    return "runner" if len(parts) == 2 else "/".join(parts[:2])


def check(path):
    own = layer(path)
    for number, line in enumerate((ROOT / path).read_text().splitlines(), 1):
        quoted = re.match(r'#include "([^"]+)"', line)
        system = re.match(r"#include <([^>]+)>", line)
        if quoted:
            target = quoted.group(1)
            other = layer(target)
            allowed = [own, "common", *MAY[own], *GENERATED]
            if other not in allowed and target not in EXCEPTIONS.get(path, []):
                yield f"{path}:{number}: {own} may not include {target}"
            if own == "runner/message" and other == "runner/io" and target != "runner/io/json.h":
                yield f"{path}:{number}: of io, message may include runner/io/json.h only"
        elif system and system.group(1) in LIBRARIES:
            users = LIBRARIES[system.group(1)]
            if not any(own == u or own.startswith(u + "/") for u in users):
                yield f"{path}:{number}: {own} may not use <{system.group(1)}>"


def main():
    faults = []
    for top in ("common", "entrypoint", "runner", "tools"):
        for file in sorted((ROOT / top).rglob("*.[ch]")):
            faults += check(str(file.relative_to(ROOT)))
    print("\n".join(faults) if faults else "layers: ok")
    return 1 if faults else 0


sys.exit(main())
