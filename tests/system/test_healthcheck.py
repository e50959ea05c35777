# SPDX-License-Identifier: MIT
"""--healthcheck beside real sessions: what it says, to whom, and that it leaves no trace."""
import json
import os
import signal
import subprocess

import pytest
import session as sessions
from private_root import PrivateRoot, has_root

AS_ROOT = pytest.mark.skipif(not has_root(), reason="needs root for namespaces and users")
CHECKS = ["init", "workspace", "loop", "inbound", "outbound", "config", "agent", "mcp", "claims"]


def run_probe(session, *options, user=None):
    """The probe to its end; user: None: the runner's own."""
    uid, gid = user or (sessions.UID, sessions.GID)
    identity = {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}
    return subprocess.run(
        [str(sessions.runner_path()), "--healthcheck", "--workspace", str(session.workspace),
         *options], stdin=subprocess.DEVNULL, capture_output=True, text=True, env=session.env,
        timeout=sessions.PATIENCE, check=False, **identity)


def probe(session, *options, user=None):
    """The probe's exit code and its report."""
    result = run_probe(session, "--json", *options, user=user)
    report = json.loads(result.stdout)
    assert result.returncode == (0 if report["healthy"] else 1)
    assert result.stderr == ""
    return result.returncode, {c["name"]: (c["status"], c["text"]) for c in report["checks"]}


def start(session):
    session.start()
    session.wait(session.outbound.exists, "outbound.db")
    message = session.add_chat("hello")
    session.wait_ack(message)


def snapshot(folder):
    """Everything that a write would change."""
    return {str(path): (path.lstat().st_ino, path.lstat().st_mtime_ns, path.lstat().st_ctime_ns,
                        path.lstat().st_size) for path in [folder, *folder.rglob("*")]}


def test_a_healthy_session(session):
    start(session)
    code, checks = probe(session)
    assert code == 0, checks
    assert list(checks) == CHECKS
    assert {status for status, _ in checks.values()} == {"ok"}, checks
    assert checks["init"][1] == f"process {session.process.pid}, mode session"
    assert checks["loop"][1] == f"the session loop is process {session.loop_pid()}"
    assert checks["workspace"][1] == f"{session.workspace} can be written"


def test_lines(session):
    start(session)
    result = run_probe(session)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert [line.split()[1] for line in lines] == CHECKS
    assert all(line.startswith("ok       ") for line in lines), lines


@AS_ROOT
@pytest.mark.parametrize("user", [(0, 0), (4321, 4321)])
def test_another_uid_may_ask(session, user):
    """`docker exec` as root, and as a user who may not even read the databases' journals."""
    start(session)
    code, checks = probe(session, user=user)
    assert checks["init"][0] == checks["loop"][0] == "ok"
    if user == (0, 0):
        assert code == 0, checks
    else:
        # Who cannot write there is told so: it is not that user's container.
        assert checks["workspace"][0] == "failed"
        assert f"{session.workspace} cannot be written by uid 4321:4321" in checks["workspace"][1]


@AS_ROOT
def test_root_is_told_what_the_user_cannot(session):
    start(session)
    session.workspace.chmod(0o500)
    code, checks = probe(session, user=(0, 0))
    assert code == 1
    assert f"{session.workspace} cannot be written by uid {sessions.UID}" in checks["workspace"][1]


def test_it_leaves_no_trace(session):
    start(session)
    before = snapshot(session.base)
    assert probe(session)[0] == 0
    assert snapshot(session.base) == before


def test_nothing_runs(session):
    code, checks = probe(session)
    assert code == 1
    assert checks["init"] == ("failed", "there is no agent-runner process")
    assert checks["loop"][0] == "failed"


def test_a_stopped_loop(session):
    start(session)
    loop = session.loop_pid()
    os.kill(loop, signal.SIGSTOP)
    try:
        sessions.wait_until(lambda: probe(session)[1]["loop"][0] == "failed", "a failed check")
        code, checks = probe(session)
        assert code == 1
        assert checks["loop"][1] == f"the session loop, process {loop}, is in state T"
    finally:
        os.kill(loop, signal.SIGCONT)
    sessions.wait_until(lambda: probe(session)[0] == 0, "health")


def test_a_crashed_loop_comes_back(session):
    start(session)
    first = session.loop_pid()
    os.kill(first, signal.SIGKILL)

    def is_healthy_again():
        code, checks = probe(session)
        return code == 0 and checks["loop"][1] != f"the session loop is process {first}"
    sessions.wait_until(is_healthy_again, "health after the restart", explain=session.stderr)


@pytest.mark.parametrize("damage, check", [
    (lambda s: s.inbound.unlink(), "inbound"),
    (lambda s: s.outbound.unlink(), "outbound"),
    (lambda s: s.outbound.write_bytes(b"not a database" * 100), "outbound"),
    (lambda s: s.write_config("{"), "config"),
    (lambda s: s.write_config({"provider": "none-such"}), "agent"),
    (lambda s: s.workspace.chmod(0o500), "workspace"),
])
def test_what_is_broken_is_named(session, damage, check):
    start(session)
    damage(session)
    code, checks = probe(session)
    assert code == 1
    assert checks[check][0] == "failed", checks
    assert checks[check][1]


def test_a_wedged_loop(session):
    """A claim, no heartbeat, and nobody who works on it."""
    start(session)
    os.kill(session.loop_pid(), signal.SIGSTOP)
    session.outbound_execute("INSERT INTO processing_ack VALUES "
                             "('old', 'processing', datetime('now', '-90 seconds'))")
    long_ago = 1_000_000_000
    os.utime(session.workspace / ".heartbeat", (long_ago, long_ago))
    code, checks = probe(session)
    assert code == 1
    assert checks["claims"][0] == "failed", checks


# In a container


@pytest.fixture
def root():
    with PrivateRoot() as made:
        yield made


def enter(root, init, user):
    """The image's HEALTHCHECK, by this uid."""
    def attempt():
        result = root.enter(init, "/agent-runner", "--healthcheck", "--json", user=user)
        assert result.stderr == ""
        report = json.loads(result.stdout)
        return {**{c["name"]: (c["status"], c["text"]) for c in report["checks"]},
                "code": result.returncode}
    last = {}

    def settled():
        last.update(attempt())
        return last["init"][0] == "ok"
    sessions.wait_until(settled, "an init that is seen", explain=lambda: last)
    return last


@AS_ROOT
@pytest.mark.parametrize("user", [None, 1000, 4321])
@pytest.mark.parametrize("arguments, mode", [
    (["--keep-alive"], "keep-alive"),
    (["sleep", "1000"], "command"),
    (["--", "sh", "-c", "sleep 1000", "--keep-alive"], "command"),
    (["--workspace", "/srv", "--keep-alive"], "keep-alive"),
])
def test_without_a_session(root, arguments, mode, user):
    root.setup = "chmod 777 workspace srv"
    init = root.start(*arguments)
    report = enter(root, init, user)
    assert report["code"] == 0, report
    assert report["init"] == ("ok", f"process 1, mode {mode}")
    assert list(report) == ["init", "workspace", "agent", "code"]
    folder = "/srv" if "/srv" in arguments else "/workspace"
    assert report["workspace"] == ("ok", f"{folder} can be written")


@AS_ROOT
def test_a_workspace_that_is_no_mount(root):
    root.setup = "umount workspace; chmod 777 workspace"
    init = root.start("--keep-alive")
    report = enter(root, init, 1000)
    assert report["code"] == 0
    assert report["workspace"] == (
        "warning", "/workspace is not a mount: what is in it is lost with the container")


@AS_ROOT
def test_a_session_in_a_container(root):
    """PID 1 is root's and not dumpable, the loop is not dumpable, and the probe is nobody."""
    root.setup = """
chmod 777 workspace; mkdir workspace/agent
echo '{"provider":"mock"}' > workspace/agent/container.json
"""
    init = root.start()
    for user in (None, 1000, 4321):
        report = sessions.wait_until(
            lambda who=user: (lambda r: r if r.get("loop", ("",))[0] == "ok" else None)(
                enter(root, init, who)), "a loop that is seen")
        assert report["init"] == ("ok", "process 1, mode session")
        # 4321 may see the processes, but outbound.db is not its to write.
        assert report["workspace"][0] == ("failed" if user == 4321 else "ok"), report
        # The host did not make it yet.
        assert report["inbound"][0] == "failed"
        assert report["code"] == 1


@AS_ROOT
def test_what_an_agent_starts_is_not_pid_1(root):
    root.setup = "chmod 777 workspace"
    init = root.start("sleep", "1000")
    result = root.enter(init, "sh", "-c", """
        /agent-runner --workspace=/workspace --keep-alive &
        until grep -q agent-runner /proc/$!/comm; do :; done
        /agent-runner --healthcheck --workspace=/workspace
        kill $!""", user=1000)
    assert "ok       init       process 1, mode command\n" in result.stdout
