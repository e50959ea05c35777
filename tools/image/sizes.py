#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Prints the tables of docs/docker.md: sizes.py IMAGE VERSION

What each built image costs (IMAGE:VERSION is core, IMAGE-TARGET:VERSION another target; what is not
built is left out), how long it takes to be ready, and what each tool of core adds to a bare Debian.
RUNTIME is docker or podman.
"""
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import time

RUNTIME = os.environ.get("RUNTIME", "docker")
# target: (for, what is inside and why)
TARGETS = {
    "bin": ("`COPY --from` into any image", "the binary, linked statically"),
    "core": ("agents that are mounted, commands, Stigmer",
             "a trimmed Debian and the tools that agents call most"),
    "debian": ("images of one's own", "the same tools in a whole Debian, with apt"),
    "claude": ("sessions with Claude Code", "core, and Claude Code's own binary; no Node.js"),
    "nanoclaw": ("NanoClaw v2 hosts", "debian, Claude Code, Node.js with npm and pnpm, Chromium, "
                                      "fonts, agent-browser"),
    "acp-gemini": ("sessions with Gemini", "core, Node.js, the CLI's bundle"),
    "acp-opencode": ("sessions with OpenCode", "core and its binary"),
    "acp-codex": ("sessions with Codex", "core and its ACP binary"),
    "acp-copilot": ("sessions with Copilot", "core and its binary"),
}
TOOLS = ["git", "python3", "openssh-client", "ripgrep", "curl", "tzdata", "jq", "ca-certificates",
         "unzip"]


def run(*command, **options):
    return subprocess.run([str(c) for c in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                          text=True, check=True, **options).stdout


def inspect(image):
    try:
        return json.loads(run(RUNTIME, "image", "inspect", image))[0]
    except subprocess.CalledProcessError:
        return None


def ready_ms(image):
    """From the start of `run` to a session loop at work, the best of three."""
    times = []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as folder:
            workspace = pathlib.Path(folder)
            workspace.chmod(0o777)
            schema = pathlib.Path(__file__).resolve().parents[2] / "schema"
            for name in ("inbound", "outbound"):
                db = sqlite3.connect(workspace / f"{name}.db")
                db.executescript((schema / f"{name}.sql").read_text(encoding="utf-8"))
                db.close()
                os.chmod(workspace / f"{name}.db", 0o666)
            before = time.monotonic()
            container = run(RUNTIME, "run", "-d", "-v", f"{folder}:/workspace", "-e",
                            "AGENT_PROVIDER=mock", image).strip()
            while not (workspace / "inbox").exists() and time.monotonic() - before < 10:
                time.sleep(0.002)
            times.append(time.monotonic() - before)
            run(RUNTIME, "rm", "-f", container)
    return 1000 * min(times)


def images(name, version):
    print("| target | for | size | layers | start | what is inside, and why |")
    print("| --- | --- | --- | --- | --- | --- |")
    for target, (purpose, inside) in TARGETS.items():
        image = f"{name}{'' if target == 'core' else '-' + target}:{version}"
        about = inspect(image)
        if not about:
            print(f"sizes.py: there is no {image}", file=sys.stderr)
            continue
        start = "" if target == "bin" else f"{ready_ms(image):.0f} ms"
        print(f"| `{target}` | {purpose} | {about['Size'] / 1e6:.1f} MB "
              f"| {len(about['RootFS']['Layers'])} | {start} | {inside} |")


def tools(image):
    """By the sizes that dpkg knows, from the image that still has dpkg."""
    script = r"dpkg-query -W -f '${Package} ${Installed-Size}\n'"
    sizes = {row[0]: int(row[1]) for row in map(str.split, run(
        RUNTIME, "run", "--rm", image, "sh", "-c", script).splitlines())}
    depends = {}
    for line in run(RUNTIME, "run", "--rm", image, "sh", "-c", r"dpkg-query -W -f "
                    r"'${Package}|${Pre-Depends}, ${Depends}\n'").splitlines():
        package, needs = line.split("|", 1)
        depends[package] = {n for n in re.findall(r"[a-z0-9][a-z0-9+.-]+", re.sub(r"\([^)]*\)", "", needs))
                            if n in sizes}

    def closure(roots):
        found, todo = set(), list(roots)
        while todo:
            package = todo.pop()
            if package not in found:
                found.add(package)
                todo += depends.get(package, ())
        return found

    essential = run(RUNTIME, "run", "--rm", image, "sh", "-c",
                    r"dpkg-query -W -f '${Package} ${Essential}\n' | sed -n 's/ yes$//p'").split()
    base = closure([*essential, "apt"])
    print("| tool | its package | with libraries that only it needs | before trimming, all it pulls in |")
    print("| --- | --- | --- | --- |")
    for tool in TOOLS:
        others = closure(t for t in TOOLS if t != tool) | base
        alone = closure([tool]) - others
        whole = closure([tool]) - base
        print(f"| {tool} | {sizes.get(tool, 0) / 1000:.1f} MB "
              f"| {sum(sizes[p] for p in alone) / 1000:.1f} MB "
              f"| {sum(sizes[p] for p in whole) / 1000:.1f} MB |")


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 64
    name, version = sys.argv[1:]
    images(name, version)
    if inspect(f"{name}-debian:{version}"):
        print()
        tools(f"{name}-debian:{version}")
    return 0


sys.exit(main())
