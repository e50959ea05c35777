#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Says what each archive costs in the static binary: size-by-archive.py BUILD

BUILD is the folder of `make static`. Links once more, with a map of where each part comes from, and
prints bytes in the file for each archive. All of our own archives are one row.
"""
import collections
import pathlib
import re
import subprocess
import sys
import tempfile

# A section's part: its name (on a line of its own if it is long), address, size, and where from.
PART = re.compile(r"^ (\S+)?\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S.*)$")
# In memory only, or not in the file at all.
NO_BYTES = (".bss", ".tbss", "COMMON", ".debug", ".comment", ".note.GNU-stack")


def link_with_map(build, folder):
    commands = subprocess.run(["ninja", "-C", build, "-t", "commands", "agent-runner"], check=True,
                              stdout=subprocess.PIPE, text=True).stdout
    link = commands.strip().splitlines()[-1]
    linked = link.replace(" -o agent-runner ", f" -o {folder}/agent-runner -Wl,-Map={folder}/map ")
    if linked == link:
        raise SystemExit(f"size-by-archive: no command that links agent-runner in {build}")
    subprocess.run(linked, shell=True, check=True, cwd=build)
    return (folder / "agent-runner").stat().st_size, (folder / "map").read_text(encoding="utf-8")


def owner(source):
    archive = source.partition("(")[0]
    if archive.startswith("/"):
        return pathlib.Path(archive).name if archive.endswith(".a") else "start of the C library"
    return "agent-runner"


def count(text):
    sizes, name = collections.Counter(), ""
    # What was left out stands before this line, and has addresses, too.
    for line in text.partition("Linker script and memory map")[2].splitlines():
        alone = re.fullmatch(r" (\S+)", line)
        if alone:
            name = alone[1]
            continue
        part = PART.match(line)
        if not part:
            continue
        name = part[1] or name
        # Without an address it is no part of the program in memory.
        if int(part[2], 16) == 0 or name.startswith(NO_BYTES) or name.startswith("*"):
            continue
        sizes[owner(part[4])] += int(part[3], 16)
    return sizes


def main():
    if len(sys.argv) != 2:
        raise SystemExit(__doc__)
    with tempfile.TemporaryDirectory() as folder:
        total, text = link_with_map(sys.argv[1], pathlib.Path(folder))
    sizes = count(text)
    sizes["headers, relocations, padding"] = total - sum(sizes.values())
    print("| part | bytes | share |\n| --- | ---: | ---: |")
    for name, size in sizes.most_common():
        print(f"| {name} | {size:,} | {size / total:.0%} |")
    print(f"| together | {total:,} | |")


main()
