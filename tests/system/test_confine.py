# SPDX-License-Identifier: MIT
"""
Commands with an agent's rights that somebody starts by hand, beside the loop or without one: whose
rights they get, in which workspace, with whose sandbox.
"""
import json
import os
import shutil
import socket
import subprocess

import pytest

import landlock
import session as sessions
from containers import Container
from private_root import PrivateRoot, has_root, parse_status

RUNNER = "/agent-runner"
# Its own environment is not what PID 1 has made of its one: as "docker exec" gives it.
EXEC = ["env", "HOME=/root"]
CONFINE = [RUNNER, "confine", "--role=agent"]
LANDLOCK = "AGENT_PROTECTION_LANDLOCK=require means nothing for a command without --role=agent: " \
           "nobody knows its folders"


@pytest.fixture(name="root")
def make_root():
    if not has_root():
        pytest.skip("needs root for namespaces")
    with PrivateRoot() as one:
        yield one


def run(*words, env=None):
    """agent-runner as a user whose HOME can be written."""
    identity = {"user": 4321, "group": 4321} if os.getuid() == 0 else {}
    return subprocess.run(
        [sessions.runner_path(), *words], stdin=subprocess.DEVNULL, capture_output=True, text=True,
        check=False, timeout=sessions.PATIENCE, **identity,
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "ASAN_OPTIONS": "detect_leaks=0",
             **(env or {})})


# The host's sandbox

MODES = [["--no-mount-check", "--chown=no", "--role=agent"], ["confine", "--role=agent"]]
MODE_NAMES = ["command", "confine"]


@pytest.mark.parametrize("mode", MODES, ids=MODE_NAMES)
def test_the_variable_counts(mode):
    landlock.need(4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = ["--", "bash", "-c", f": < /dev/tcp/127.0.0.1/{port}"]

        def reaches(sandbox, *options):
            env = {} if sandbox is None else {"AGENT_SANDBOX": json.dumps(sandbox)}
            done = run(*mode, *options, *connect, env=env)
            assert done.returncode == 0 or "Permission denied" in done.stderr, done.stderr
            return done.returncode == 0
        assert reaches(None)
        assert not reaches({"connect": [9]})
        assert reaches({"connect": [port]})
        # The lists add up, and the words of the command line come on top.
        assert reaches({"connect": [9]}, f"--connect={port}")
        assert not reaches({"connect": []}, "--connect=9")
        # What a loop says to its children is complete.
        if "confine" in mode:
            assert reaches({"connect": [9]}, "--complete")


@pytest.mark.parametrize("mode", MODES, ids=MODE_NAMES)
@pytest.mark.parametrize("value", ["not json", "[]"])
def test_a_variable_that_is_no_object(mode, value):
    done = run(*mode, "--", "echo", "ran", env={"AGENT_SANDBOX": value})
    assert (done.returncode, done.stdout) == (78, "")
    line, = (line for line in done.stderr.splitlines() if " warning: " not in line)
    assert line.startswith("agent-runner: error: AGENT_SANDBOX: ")


def test_together_they_can_be_too_much():
    done = run("confine", "--role=agent", *(["--connect=1"] * 64), "--", "true",
               env={"AGENT_SANDBOX": '{"connect": [2]}'})
    assert done.returncode == 78
    assert done.stderr == "agent-runner: error: the sandbox and the options together: " \
                          "more than 64 ports\n"


FILE = json.dumps({"provider": "mock", "sandbox": {"connect": [9]}})
WRITTEN = f"mkdir -p workspace/agent; echo '{FILE}' > workspace/agent/container.json; "
MOUNTED = WRITTEN + "mount --bind workspace/agent/container.json workspace/agent/container.json; " \
                    "mount -o remount,bind,ro workspace/agent/container.json; "


@pytest.mark.parametrize("mode", MODES, ids=MODE_NAMES)
@pytest.mark.parametrize("setup, is_hosts", [(WRITTEN, False), (MOUNTED, True)],
                         ids=["the agent's", "the host's"])
def test_the_file_counts_where_it_is_the_host_s(root, mode, setup, is_hosts):
    landlock.need(4)
    root.setup = setup
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        done = root.run(*mode, "--", "bash", "-c", f": < /dev/tcp/127.0.0.1/{port}")
    assert (done.returncode == 0) == (not is_hosts), done.stderr
    assert ("Permission denied" in done.stderr) == is_hosts, done.stderr
    assert ("lies where the agent can write it" in done.stderr) == (not is_hosts), done.stderr


def test_a_file_that_is_nobody_s_business(root):
    """In a folder that is no session, agent/container.json may be anything."""
    root.setup = "mkdir workspace/agent; echo broken > workspace/agent/container.json"
    done = root.run("confine", "--role=agent", "--", "echo", "ran")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ran\n", "")


# Who it becomes, and where

LOOK = """
id -u; id -g; echo "$HOME" "$USER" "$LOGNAME"
cat /etc/shadow 2>&1
cat /proc/self/status
"""


def identity_of(done):
    """What LOOK found: uid, gid, [HOME, USER, LOGNAME], what /etc/shadow said, the status."""
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    return lines[0], lines[1], lines[2].split(), lines[3], parse_status(done.stdout)


SHADOW = "echo secret > etc/shadow; chmod 600 etc/shadow; "


def test_root_becomes_the_user(root):
    root.setup = SHADOW + "chown 1000:1000 workspace; mkdir workspace/agent"
    init = root.start("--keep-alive")
    done = root.enter(init, *EXEC, *CONFINE, "--", "sh", "-c", LOOK)
    uid, gid, names, shadow, status = identity_of(done)
    assert (uid, gid, names) == ("1000", "1000", ["/home/node", "node", "node"])
    assert "Permission denied" in shadow
    assert done.stderr == ""
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(status[name], 16) == 0, name
    assert status["Groups"].split() == ["77"]
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")


def test_the_owner_of_the_workspace(root):
    """Of the one that PID 1 was told on its command line."""
    root.setup = SHADOW + "mkdir srv/work; chown 4321:4322 srv/work"
    init = root.start("--workspace=/srv/work", "--keep-alive")
    done = root.enter(init, *EXEC, *CONFINE, "--", "sh", "-c", LOOK)
    uid, gid, names, _, _ = identity_of(done)
    assert (uid, gid) == ("4321", "4322")
    assert names[0] != "/root" and names[1:] == ["agent", "agent"]
    done = root.enter(init, *EXEC, *CONFINE, "--", "touch", "/srv/work/file")
    assert (done.returncode, done.stderr) == (0, "")
    landlock.need(1)
    done = root.enter(init, *EXEC, *CONFINE, "--workspace=/workspace", "--user=4321:4322", "--",
                      "sh", "-c", ": > /srv/work/file")
    assert done.returncode != 0 and "Permission denied" in done.stderr


def test_the_command_line_of_init_comes_before_the_environment(root):
    root.setup = "mkdir srv/a srv/b; chown 4321:4321 srv/a; chown 4322:4322 srv/b"
    env = {"AGENT_WORKSPACE": "/srv/b"}
    init = root.start("--workspace=/srv/a", "--keep-alive", env=env)
    done = root.enter(init, *EXEC, "AGENT_WORKSPACE=/srv/b", *CONFINE, "--", "id", "-u")
    assert done.stdout == "4321\n", done.stderr
    done = root.enter(init, *EXEC, *CONFINE, "--workspace=/srv/b", "--", "id", "-u")
    assert done.stdout == "4322\n", done.stderr


@pytest.mark.parametrize("init_options, options, user", [
    (["--user=4321"], [], "4321"), (["--user=4321"], ["--user=4322"], "4322"),
    (["--user=4321"], ["--allow-root"], "0"), (["--allow-root"], [], "0"),
    (["--allow-root"], ["--user=4321"], "4321")])
def test_the_user_of_init(root, init_options, options, user):
    init = root.start(*init_options, "--keep-alive")
    done = root.enter(init, *EXEC, *CONFINE, *options, "--", "id", "-u")
    assert done.stdout == user + "\n", done.stderr
    done = root.enter(init, *CONFINE, "--", "id", "-u", user=1234)
    assert done.stdout == "1234\n", done.stderr


@pytest.mark.parametrize("options, words", [
    (["--user=4321:77"], "4321 77 77"), (["--user=node"], "1000 1000 1000 77"),
    (["--allow-root"], "0 0 0"), (["--complete"], "0 0 0")])
def test_the_user_can_be_named(root, options, words):
    init = root.start("--keep-alive")
    done = root.enter(init, *EXEC, *CONFINE, *options, "--", "sh", "-c",
                      "echo $(id -u) $(id -g) $(id -G)")
    assert done.stdout.split()[:2] == words.split()[:2], done.stderr
    if "--user=" in options[0]:
        assert done.stdout.split() == words.split()


def test_only_root_becomes_somebody(root):
    init = root.start("--keep-alive")
    done = root.enter(init, *CONFINE, "--user=4321", "--", "id", user=1000)
    assert done.returncode == 77
    assert "only root can become another user" in done.stderr


def test_without_the_right_to_change(root):
    root.prefix = "setpriv --bounding-set=-all"
    done = root.run("confine", "--role=agent", "--", "id")
    assert (done.returncode, done.stdout) == (77, "")
    assert "cannot become 1000:1000" in done.stderr


def test_a_protection_that_the_kernel_lacks_is_named(root):
    """No loop has said so."""
    done = root.run("confine", "--role=agent", "--protection=LANDLOCK=require", "--", "true")
    if landlock.version() > 0:
        assert (done.returncode, done.stderr) == (0, "")
    else:
        assert done.returncode == 77


@pytest.mark.parametrize("words, is_said", [
    (["--", "true"], True), (["--role=agent", "--", "true"], False),
    (["confine", "--role=agent", "--", "true"], False)])
def test_landlock_required_in_vain(root, words, is_said):
    done = root.run(*words, env={"AGENT_PROTECTION_LANDLOCK": "require"})
    if not is_said and landlock.version() == 0:
        assert done.returncode == 77
        return
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(LANDLOCK) == is_said
    assert LANDLOCK not in root.run(*words, env={"AGENT_PROTECTION_LANDLOCK": "try"}).stderr


def test_the_home_of_the_agent(root):
    """Beside a session it is the one that PID 1 has found for the agent."""
    root.setup = "chown 1000:1000 workspace; echo node:x:1000:1000::/workspace:/bin/sh > etc/passwd"
    init = root.start("--user=1000", env={"AGENT_PROVIDER": "mock"})
    sessions.wait_until(lambda: os.path.isdir(f"/proc/{init}/root/workspace/.home"), "HOME")
    done = root.enter(init, *EXEC, *CONFINE, "--", "sh", "-c", "echo $HOME; : > $HOME/file")
    assert (done.returncode, done.stdout, done.stderr) == (0, "/workspace/.home\n", "")


# Real work

COMMIT = """set -e
git init -q . && git add -A && git commit -q -m all
git log --format='%s by %an' && git ls-files
"""


@pytest.mark.skipif(not shutil.which("git"), reason="needs git")
def test_a_repository_with_folders_like_ours(root):
    """It has folders of the names that sessions have, and is none."""
    root.setup = "mkdir srv/repo srv/repo/agent srv/repo/group; echo a > srv/repo/agent/a; " \
                 "echo g > srv/repo/group/g; echo t > srv/repo/top; chown -R 1000:1000 srv/repo"
    init = root.start("--workspace=/srv/repo", "--keep-alive")
    done = root.enter(init, *EXEC, *CONFINE, "--", "sh", "-c", "cd /srv/repo;" + COMMIT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["all by Agent", "agent/a", "group/g", "top"]


@pytest.fixture(name="container")
def make_container(tmp_path):
    if os.getuid() != 0:
        pytest.skip("needs root: the workspace has another owner")
    for name in ("agent", "group"):
        (tmp_path / name).mkdir()
    for folder in (tmp_path, *tmp_path.iterdir()):
        os.chown(folder, 1000, 1000)
    with Container("--workspace=/work", "--keep-alive", options=[
            "--user=root", "-v", f"{tmp_path}:/work", "-e",
            'AGENT_SANDBOX={"connect": [9]}']) as one:
        yield one


def test_in_a_real_container(container):
    """What the documents promise for `docker exec`."""
    confine = ["agent-runner", "confine", "--role=agent", "--"]
    assert container.exec("id", "-u").stdout == "0\n"
    uid, gid, names, shadow, status = identity_of(container.exec(*confine, "sh", "-c", LOOK))
    assert (uid, gid, names) == ("1000", "1000", ["/home/node", "node", "node"])
    assert "Permission denied" in shadow
    assert int(status["CapBnd"], 16) == 0
    done = container.exec(*confine, "sh", "-c", "echo x > /work/agent/file; stat -c %u "
                          "/work/agent/file")
    assert done.stdout == "1000\n", done.stderr
    landlock.need(4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        connect = ["bash", "-c", f": < /dev/tcp/127.0.0.1/{port}"]
        # The network is the machine's: without the sandbox it answers.
        assert container.exec(*connect).returncode == 0
        assert "Permission denied" in container.exec(*confine, *connect).stderr
