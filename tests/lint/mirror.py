#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Every .c has its mirrored test: runner/store/db.c is tested by tests/runner/store/test-db.c."""
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
# main.c is glue: the whole-program tests under tests/system run nothing else.
EXEMPT = {"entrypoint/main.c"}


def main():
    missing = []
    for top in ("common", "entrypoint", "runner"):
        for source in sorted((ROOT / top).rglob("*.c")):
            relative = source.relative_to(ROOT)
            test = ROOT / "tests" / relative.parent / f"test-{relative.name}"
            if str(relative) not in EXEMPT and not test.exists():
                missing.append(f"{relative}: no {test.relative_to(ROOT)}")
    print("\n".join(missing) if missing else "mirror: ok")
    return 1 if missing else 0


sys.exit(main())
