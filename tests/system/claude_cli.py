#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The real Claude Code, in the versions that tests/agent-versions pins, from npm, fetched once.

By hand: python3 tests/system/claude_cli.py   (fetches what is missing, prints the paths)
"""
import subprocess
import sys

import npm_packages

PACKAGE = "@anthropic-ai/claude-code"


def versions():
    """The pinned versions, in the file's order."""
    return npm_packages.versions(PACKAGE)


def path(version):
    """Where the CLI of this version stands, or would stand."""
    return npm_packages.folder(PACKAGE, version) / "node_modules" / ".bin" / "claude"


def _works(_, version):
    cli = path(version)
    if not cli.exists():
        return False
    answer = subprocess.run([cli, "--version"], capture_output=True, text=True, timeout=60,
                            check=False)
    return answer.stdout.split()[:1] == [version]


def ensure(version):
    """The path of the CLI, fetched if need be. RuntimeError says why there is none."""
    npm_packages.ensure(PACKAGE, version, _works)
    return path(version)


def main():
    for version in versions():
        print(version, ensure(version))


if __name__ == "__main__":
    sys.exit(main())
