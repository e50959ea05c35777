# SPDX-License-Identifier: MIT
"""
Whose word about the agent's sandbox counts: the host's, by a variable or a read-only mount, never the
agent's. What the sandbox does is for other tests.
"""
import json
import os
import socket

import pytest

import landlock
import session as sessions
from private_root import PrivateRoot

LEFT_OUT = 'lies where the agent can write it: its "sandbox" is left out; mount it read-only'
LINK = 'or its folder is a symbolic link: its "sandbox" is left out; mount the file itself'
# Wrong on purpose: a warning shows that it was read.
SANDBOX = {"userns": "perhaps"}
READ = '"userns" must be allow or deny, found "perhaps": using deny'


def test_the_agent_s_own_file_changes_nothing(make_session):
    session = make_session(config={"sandbox": SANDBOX})
    session.start().wait_ack(session.add_chat("hello"))
    assert session.texts() == ["echo: hello"]
    line, = session.lines("warning", LEFT_OUT)
    assert str(session.workspace / "agent/container.json") in line
    assert not session.lines(READ)


def test_the_variable_is_the_host_s(make_session):
    session = make_session(config={"sandbox": {"write": 5}},
                           env={"AGENT_SANDBOX": json.dumps(SANDBOX)})
    session.start().wait_ack(session.add_chat("hello"))
    line, = session.lines("warning")
    assert "AGENT_SANDBOX" in line and READ in line


@pytest.mark.parametrize("value, words", [("off", "line 1"), ("[]", "an array"), ("5", "an integer")])
def test_a_variable_that_is_no_object(make_session, value, words):
    session = make_session(env={"AGENT_SANDBOX": value})
    assert session.start().wait_exit() == 78
    line, = session.lines("error: ")
    assert "AGENT_SANDBOX" in line and words in line


def test_protections_and_modes_are_the_policy_s(make_session):
    """The loop knows them by heart, for it reads the file before it knows the policy."""
    session = make_session()
    session.args = []
    policy = json.loads(session.run("--print-policy", "--json").stdout)
    rows = [row for role in policy["roles"] for row in role["protections"]]
    names = {row["name"].lower() for row in rows}
    assert len(names) > 4

    def said(protections):
        session.env["AGENT_SANDBOX"] = json.dumps({"protections": protections})
        done = session.run(stdin='{"prompt": "hi"}')
        assert done.returncode == 0, done.stderr
        return [line for line in done.stderr.splitlines() if "AGENT_SANDBOX" in line]
    line, = said({"none": "require"})
    assert set(line.split("there are ")[1].split(", ")) == names
    line, = said({"seccomp": "nonsense"})
    modes = line.split("must be ")[1].split(", found")[0].replace(" or ", ", ").split(", ")
    assert {row["mode"] for row in rows} <= set(modes)
    # All of confine's words, or it would refuse them.
    assert not said({name: "require" for name in names if name != "landlock"} | {"landlock": "off"})


@pytest.mark.parametrize("limit", [{"read": ["/opt"]}, {"connect": []}, {"bind": 8080}])
@pytest.mark.parametrize("mode", ["session", "once"])
def test_a_limit_without_landlock_is_refused(make_session, mode, limit):
    """Nothing else could keep it."""
    sandbox = json.dumps({**limit, "protections": {"landlock": "off"}})
    session = make_session(env={"AGENT_SANDBOX": sandbox})
    if mode == "session":
        assert session.start().wait_exit() == 78
        log = session.stderr()
    else:
        done = session.run(stdin='{"prompt": "hi"}')
        assert done.returncode == 78 and '"status":"error"' in done.stdout
        log = done.stderr
    line, = [line for line in log.splitlines() if "error: " in line]
    assert "LANDLOCK" in line and "off" in line


@pytest.mark.skipif(os.getuid() != 0, reason="needs root")
def test_who_is_root_by_the_host_s_leave_has_a_root_agent(make_session):
    """confine on its own would go by the workspace's owner."""
    session = make_session()
    session.own()
    assert os.stat(session.workspace).st_uid == sessions.UID
    # Root's capabilities are dropped, and what belongs to others is theirs.
    for path in session.workspace, *session.workspace.rglob("*"):
        path.chmod(0o777 if path.is_dir() else 0o666)
    session.args.append("--allow-root")
    session.start(user=(0, 0))
    session.wait_ack(session.add_task("look", script="id -u > who; echo '{\"wakeAgent\": false}'"))
    assert (session.workspace / "agent/who").read_text() == "0\n"
    assert session.stop() == 0


@pytest.mark.parametrize("is_allowed", [True, False])
@pytest.mark.parametrize("mode", ["session", "once"])
def test_scripts_are_confined_by_it(make_session, mode, is_allowed):
    """So is the agent: all children get the same words."""
    landlock.need(4)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sandbox = {"connect": [port] if is_allowed else []}
        session = make_session(env={"AGENT_SANDBOX": json.dumps(sandbox)})
        script = f"( : < /dev/tcp/127.0.0.1/{port} ) 2> errors; " \
                 f"echo '{{\"wakeAgent\": false}}'"
        if mode == "session":
            session.start().wait_ack(session.add_task("look", script=script))
            errors = session.workspace / "agent/errors"
        else:
            request = {"prompt": "look", "isScheduledTask": True, "script": script}
            done = session.run(stdin=json.dumps(request), env={"AGENT_PROVIDER": "mock"})
            assert done.returncode == 0, done.stderr
            errors = session.workspace / "group/errors"
        text = errors.read_text(encoding="utf-8")
        assert ("Permission denied" in text) == (not is_allowed), text
        assert is_allowed == (text == "")


@pytest.fixture
def root():
    if os.getuid() != 0:
        pytest.skip("mounts need root")
    with PrivateRoot() as one:
        yield one


FILE = json.dumps({"provider": "mock", "sandbox": SANDBOX})
# As NanoClaw mounts it: the folder for the agent to write, the file in it read-only.
HOSTS = (f"mkdir workspace/agent; echo '{FILE}' > workspace/agent/container.json; "
         "mount --bind workspace/agent/container.json workspace/agent/container.json; "
         "mount -o remount,bind,ro workspace/agent/container.json")
# What an agent can do where it may write, with a file on a read-only mount to lead to.
LINKED = (f"mkdir srv/global workspace/agent; echo '{FILE}' > srv/global/container.json; "
          "mount --bind srv/global srv/global; mount -o remount,bind,ro srv/global; ")


@pytest.mark.parametrize("setup, said, not_said", [
    (HOSTS, READ, LEFT_OUT),
    (LINKED + "ln -s /srv/global/container.json workspace/agent", LINK, READ),
    (LINKED + "rmdir workspace/agent; ln -s /srv/global workspace/agent", LINK, READ),
], ids=["the host's", "a link to a file", "a link to a folder"])
def test_a_read_only_mount(root, setup, said, not_said):
    root.setup = setup
    root.start()
    os.set_blocking(root.process.stderr.fileno(), False)
    text = b""

    def line():
        nonlocal text
        text += root.process.stderr.read() or b""
        return said.encode() in text
    sessions.wait_until(line, said, explain=lambda: text)
    assert not_said.encode() not in text
