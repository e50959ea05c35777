#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Turns a text file into a C header with one string: embed.py INPUT OUTPUT NAME."""
import pathlib
import sys


def main(source, target, name):
    lines = pathlib.Path(source).read_text().splitlines()
    # Comments are for readers of the file; the binary does without.
    kept = [line.split("--")[0].rstrip() for line in lines]
    quoted = ['\t"' + line.replace("\\", "\\\\").replace('"', '\\"') + '\\n"' for line in kept if line]
    pathlib.Path(target).write_text(
        f"#pragma once\n/* Made from {pathlib.Path(source).name}; change it there. */\n\n"
        f"static const char {name}[] =\n" + "\n".join(quoted) + ";\n")


main(*sys.argv[1:])
