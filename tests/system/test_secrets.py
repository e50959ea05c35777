# SPDX-License-Identifier: MIT
"""
The agent's keys reach the agent CLI and nothing else: no other child, no command line, no log, no
file, and not what /proc shows of the loop.
"""
import hashlib
import json
import os
import pathlib
import secrets
import shutil
import time

import pytest

import landlock
import session as sessions

FAKE = pathlib.Path(__file__).parent / "fake_claude.sh"
WAIT = "until [ -e go ]; do sleep 0.02; done"


@pytest.fixture
def key():
    """Another one each time: what an earlier run left somewhere is no fault of this one."""
    return "sk-test-" + secrets.token_hex(16)


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def agent(make_session, key):
    """A session with a CLI that tells which key it has; the loop can be read by its own uid."""
    session = make_session(provider="claude")
    # The checkout may be in a folder of root's.
    cli = shutil.copy(FAKE, session.base)
    session.env.update({
        "AGENT_CLAUDE_PATH": str(cli), "ANTHROPIC_API_KEY": key, "AGENT_RETRY_MS": "10",
        "AGENT_LOG_LEVEL": "debug", "AGENT_PROTECTION_UNDUMPABLE": "off"})
    return session


def environment(pid):
    return pathlib.Path(f"/proc/{pid}/environ").read_bytes()


def command_lines(pid):
    """Of all processes below pid, and of itself."""
    found = []
    for one in [pid, *sessions.descendants(pid)]:
        try:
            found.append(pathlib.Path(f"/proc/{one}/cmdline").read_bytes())
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def may_be_written(path):
    """By the user whom the runner runs as; a folder that is gone needs no look."""
    try:
        st = os.stat(path)
    except OSError:
        return False
    return st.st_uid == sessions.UID or st.st_mode & 0o022


def files_that_hold(text, folders, since):
    """
    Regular files below these folders that hold text; only those that changed since then, in folders
    that the runner can write.
    """
    found = set()
    for folder in folders:
        for top, below, names in os.walk(folder):
            below[:] = [name for name in below if may_be_written(os.path.join(top, name))]
            for path in (pathlib.Path(top) / name for name in names):
                try:
                    if path.is_symlink() or not path.is_file() or path.stat().st_ctime < since:
                        continue
                    if text.encode() in path.read_bytes():
                        found.add(path)
                except OSError:
                    # Somebody else's, or gone.
                    continue
    return found


def test_a_file_that_holds_a_key_is_found(agent, key):
    """What the tests below rely on."""
    (agent.workspace / "agent/leak").write_text(f"x{key}x")
    assert files_that_hold(key, [agent.base], 0) == {agent.workspace / "agent/leak"}
    assert files_that_hold(key, [agent.base], time.time() + 60) == set()


def test_the_key_reaches_the_agent_alone(agent, key):
    since = time.time() - 5
    agent.start()
    agent.wait_ack(agent.add_chat("hello"))
    assert agent.texts() == [digest(key)]
    # Beside it a script runs, and is looked at while it does.
    task = agent.add_task("look", script=f"env > env; {WAIT}; echo '{{\"wakeAgent\": false}}'")
    agent.wait_turn(task)
    seen = agent.workspace / "agent/env"
    agent.wait(lambda: seen.exists() and b"HOME=" in seen.read_bytes(), "the script's environment")
    loop = agent.loop_pid()
    assert b"HOME=" in environment(loop) and key.encode() not in environment(loop)
    # It starts the next loop, and is not dumpable unless it is told so.
    assert key.encode() in environment(agent.process.pid)
    assert b"ANTHROPIC_API_KEY" not in seen.read_bytes()
    lines = command_lines(agent.process.pid)
    assert any(b"fake_claude.sh" in line for line in lines)
    assert any(b"bash" in line for line in lines)
    assert not [line for line in lines if key.encode() in line]
    assert files_that_hold(key, [agent.base, "/tmp"], since) == set()
    (agent.workspace / "agent/go").touch()
    agent.wait_ack(task)
    assert agent.stop() == 0
    assert "agent claude started" in agent.stderr()
    assert key not in agent.stderr() + agent.stdout()
    assert files_that_hold(key, [agent.base, "/tmp"], since) == set()


@pytest.mark.parametrize("is_on", [True, False])
def test_a_cloud_s_keys_are_all_there_or_none(agent, key, is_on):
    """A script's own `aws` works unless the CLI lives by these keys; half of a pair it never gets."""
    agent.env |= {"AWS_ACCESS_KEY_ID": "id-of-" + key, "AWS_SECRET_ACCESS_KEY": key,
                  "CLAUDE_CODE_USE_BEDROCK": "1" if is_on else "0"}
    agent.start()
    agent.wait_ack(agent.add_task("look", script="env > env; echo '{\"wakeAgent\": false}'"))
    seen = (agent.workspace / "agent/env").read_text(encoding="utf-8")
    assert seen.count("AWS_") == (0 if is_on else 2)
    assert (key in environment(agent.loop_pid()).decode()) == (not is_on)


def test_a_script_does_not_read_it_from_another_process(agent, key):
    """Neither from the agent that has it, nor from PID 1: Landlock keeps it from all of them."""
    landlock.need(1)
    agent.start()
    agent.wait_ack(agent.add_chat("hello"))
    task = agent.add_task("look", script="cat /proc/[0-9]*/environ > all 2> errors; "
                                         "cat /proc/self/environ > own; "
                                         "echo '{\"wakeAgent\": false}'")
    agent.wait_ack(task)
    folder = agent.workspace / "agent"
    assert b"HOME=" in (folder / "own").read_bytes()
    assert key.encode() not in (folder / "all").read_bytes()
    errors = (folder / "errors").read_text(encoding="utf-8")
    for pid in (agent.process.pid, agent.loop_pid()):
        assert f"/proc/{pid}/environ: Permission denied" in errors


def test_secrets_of_mcp_servers_are_on_no_command_line(agent, key):
    """They lie in a file that only the agent's user can read, as long as the agent runs."""
    since = time.time() - 5
    agent.env["ANTHROPIC_API_KEY"] = "another"
    agent.write_config({"provider": "claude", "mcpServers": {
        "weather": {"command": "/bin/true", "args": [], "env": {"TOKEN": key}},
        "maps": {"url": "http://localhost:1", "headers": {"Authorization": key}}}})
    config = agent.workspace / "agent/container.json"
    agent.own()
    agent.start()
    agent.wait_ack(agent.add_chat("hello"))
    lines = command_lines(agent.process.pid)
    file, = {word.split(b"=")[1].decode() for line in lines for word in line.split(b"\0")
             if word.startswith(b"--mcp-config=")}
    assert key in pathlib.Path(file).read_text(encoding="utf-8")
    assert os.stat(file).st_mode & 0o777 == 0o600
    assert os.stat(pathlib.Path(file).parent).st_mode & 0o777 == 0o700
    assert not [line for line in lines if key.encode() in line]
    assert files_that_hold(key, [agent.base, "/tmp"], since) == {config, pathlib.Path(file)}
    assert agent.stop() == 0
    assert key not in agent.stderr()
    assert files_that_hold(key, [agent.base, "/tmp"], since) == {config}


def test_each_start_of_the_agent_gets_it(agent, key):
    agent.start()
    agent.wait_ack(agent.add_chat("hello"))
    # Three attempts, each by an agent of its own, and one that is well again.
    agent.wait_ack(agent.add_chat("look and die"), "failed")
    agent.wait_ack(agent.add_chat("hello"))
    assert agent.texts()[0] == agent.texts()[-1] == digest(key)
    assert len(agent.lines("agent claude started")) > 2
    assert key not in agent.stderr()


def test_the_next_loop_gets_it(agent, key):
    agent.start()
    agent.wait_ack(agent.add_chat("hello"))
    loop = agent.loop_pid()
    sessions.kill_all([loop])
    agent.wait(lambda: agent.loop_pid() != loop, "another loop")
    agent.wait_ack(agent.add_chat("hello again"))
    assert agent.texts() == [digest(key)] * 2
    assert key.encode() not in environment(agent.loop_pid())


@pytest.mark.parametrize("from_the_request", [True, False])
def test_once_mode(agent, key, from_the_request):
    since = time.time() - 5
    request = {"prompt": "hi", "isScheduledTask": True,
               "script": "env > env; echo '{\"wakeAgent\": true}'"}
    if from_the_request:
        # Stronger than the container's.
        agent.env["ANTHROPIC_API_KEY"] = "another"
        request["secrets"] = {"ANTHROPIC_API_KEY": key}
    done = agent.run(stdin=json.dumps(request))
    assert digest(key) in done.stdout, done.stderr
    assert key not in done.stdout + done.stderr
    assert b"ANTHROPIC_API_KEY" not in (agent.workspace / "group/env").read_bytes()
    assert (agent.home / "input.json").stat().st_mode & 0o777 == 0o600
    assert files_that_hold(key, [agent.base, "/tmp"], since) == set()
