# SPDX-License-Identifier: MIT
"""
Nothing that agents need breaks with the agent's rights: the tools of tool_rows.py and the real
Claude Code, in a container with a runtime's usual settings and in one with strict ones. Each is run
without the confinement too, so that what the container breaks is not taken for what we break.
"""
import ctypes
import json
import shutil

import pytest

import claude_cli
import model_server
import tool_rows
from model_server import ModelServer, bash, text, tool
from tool_container import RUNNER, SETTINGS, ToolContainer, npm_mounts

PROGRAMS = ("chromium", "gdb", "gcc", "git", "jq", "make", "node", "npm", "python3", "rg", "script",
            "ssh-keygen", "strace")
CONFINE = [RUNNER, "confine", "--role=agent", "--workspace=/workspace", "--session", "--"]
# Of times: a machine may be busy, a confinement that costs as much would be a mistake of ours.
TIMES_MAX, SLACK = 5, 5.0


@pytest.fixture(scope="module", params=SETTINGS)
def tools(request):
    missing = [program for program in PROGRAMS if not shutil.which(program)]
    if missing:
        pytest.skip(f"tools/packages.sh tools: there is no {', '.join(missing)}")
    try:
        mounts = npm_mounts()
        for version in claude_cli.versions():
            mounts[claude_cli.ensure(version).parents[2]] = f"/tools/claude/{version}"
    except RuntimeError as reason:
        pytest.skip(str(reason))
    with ToolContainer(request.param, mounts) as container:
        yield container


@pytest.mark.parametrize("tools, row", [
    pytest.param(setting, row, id=f"{setting}-{row.name}")
    for setting in SETTINGS for row in tool_rows.ROWS if setting in row.settings],
    indirect=["tools"])
def test_tool(tools, row, request):
    done = tools.run("/usr/bin/python3", "/rows/tool_row.py", RUNNER, row.name)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    alone, confined = result["alone"], result["confined"]
    # To be read in a report (--junitxml).
    request.node.user_properties += [("alone", alone["seconds"]),
                                     ("confined", confined["seconds"])]
    assert (alone["status"], alone["out"]) == (0, row.expected), \
        f"it does not work here without the confinement either: {alone}"
    assert (confined["status"], confined["out"]) == (0, row.expected), \
        f"the confinement breaks it: {confined}"
    assert confined["seconds"] < TIMES_MAX * alone["seconds"] + SLACK, result


def has_landlock():
    """Does this kernel tell the newest version of Landlock that it has?"""
    landlock_create_ruleset, tell_version = 444, 1
    return ctypes.CDLL(None).syscall(landlock_create_ruleset, None, 0, tell_version) > 0


def test_they_were_confined(tools):
    """The tests above say something: without the confinement the file is made."""
    script = "cat /proc/self/status; echo x > /workspace/outside && echo made"
    alone, confined = (tools.run(*prefix, "sh", "-c", script).stdout for prefix in ([], CONFINE))
    assert "made\n" in alone
    assert "NoNewPrivs:\t1\n" in confined and "Seccomp:\t2\n" in confined
    assert "CapEff:\t0000000000000000\nCapBnd:" in confined
    assert ("made\n" in confined) == (not has_landlock())


@pytest.mark.parametrize("prefix", [[], CONFINE], ids=["alone", "confined"])
@pytest.mark.parametrize("version", claude_cli.versions())
def test_claude_code(tools, version, prefix):
    """Its tools work, and what they made is there."""
    folder = f"/workspace/agent/claude-{version}-{len(prefix)}"
    with ModelServer() as model:
        model.script(tool("Write", {"file_path": f"{folder}/f.txt", "content": "one\ntwo\n"}),
                     tool("Read", {"file_path": f"{folder}/f.txt"}),
                     tool("Edit", {"file_path": f"{folder}/f.txt", "old_string": "two",
                                   "new_string": "three"}),
                     bash("cat f.txt; id -u; node -p 40+2; git init -q . && echo git; "
                          "echo home > ~/by-claude; cat ~/by-claude"),
                     bash("sleep 0.1; mktemp -d | cut -c1-5"),
                     text("all done"))
        env = model_server.environment(model.url, "/home/node")
        cli = f"/tools/claude/{version}/node_modules/.bin/claude"
        script = f'mkdir -p {folder} && cd {folder} && exec "$@" < /dev/null'
        done = tools.run("sh", "-c", script, "sh", *prefix, cli, "-p", "--permission-mode",
                         "bypassPermissions", "--output-format", "json", "work", env=env)
        results = json.dumps([request.tool_results for request in model.requests])
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["result"] == "all done"
    assert len(model.requests) == 6, results
    assert r"one\nthree\n1000\n42\ngit\nhome" in results.replace("\\\\n", "\\n"), results
    assert "/tmp/" in results, results
    made = tools.base / "workspace/agent" / folder.rsplit("/", 1)[1] / "f.txt"
    assert made.read_text() == "one\nthree\n"
