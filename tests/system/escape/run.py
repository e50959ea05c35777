#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Makes the attempts, and shows what came of them: run.py [--table] [SETTING…]

Without --table: a line for each attempt that came out otherwise than settings.py says; exit status
1 if there is one. With it: all attempts as a table in Markdown, for docs/security.md.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))

import fleet  # noqa: E402
from settings import CLOSED_BY, OPEN, ROWS, SETTINGS  # noqa: E402

TITLES = {
    "Landlock": "Closed by Landlock",
    "undumpable": "Closed by Landlock, and since PID 1 and the loop are not dumpable",
    "the filter": "Closed by agent-runner's filter of system calls",
    "the filters": "Closed by agent-runner's filter, and the runtime's where there is one",
    "rights": "Closed by capabilities, no_new_privs and the rights of files",
    "the runtime": "Closed by the runtime's filter",
    "nothing there": "Nothing is there",
    "the mount": "Closed by the host's read-only mount",
    "ports": "Closed where the host limits ports",
    "open": "Open",
}


def unexpected(setting):
    for name, row in fleet.seen(setting).rows.items():
        is_open, why = row["verdict"] == "succeeded", ROWS[name].open_in(setting)
        if is_open != (why is not None) and not fleet.is_absent(name):
            yield f"{setting}: {name}: {row['verdict']} {row['errno']} ({row['detail']})"


def cell(name, setting):
    if fleet.is_absent(name):
        return "absent"
    return "**open**" if fleet.seen(setting).rows[name]["verdict"] == "succeeded" else "denied"


def print_table(settings):
    for setting in settings:
        print(f"* {setting}: {SETTINGS[setting].what}")
    print("\n| setting | attempts | denied | open | absent |\n| --- | --- | --- | --- | --- |")
    for setting in settings:
        cells = [cell(name, setting).strip("*") for name in ROWS]
        counts = " | ".join(str(cells.count(word)) for word in ("denied", "open", "absent"))
        print(f"| {setting} | {len(cells)} | {counts} |")
    for closed_by, names in CLOSED_BY.items():
        print(f"\n{TITLES[closed_by]}:\n")
        print("| attempt | " + " | ".join(settings) + " |")
        print("|" + " --- |" * (len(settings) + 1))
        for name in names:
            why = f" ({OPEN[name]})" if name in OPEN else ""
            cells = " | ".join(cell(name, setting) for setting in settings)
            print(f"| {fleet.attempts()[name]}{why} | {cells} |")


def main():
    arguments = sys.argv[1:]
    is_table = "--table" in arguments
    settings = [a for a in arguments if a != "--table"] or list(SETTINGS)
    if not set(settings) <= set(SETTINGS):
        print(__doc__.strip(), file=sys.stderr)
        return 64
    try:
        found = [line for setting in settings for line in unexpected(setting)]
        if is_table:
            print_table(settings)
        else:
            print("\n".join(found + [f"{len(ROWS)} attempts, {len(found)} unexpected"]))
    finally:
        fleet.forget()
    return 1 if found and not is_table else 0


if __name__ == "__main__":
    sys.exit(main())
