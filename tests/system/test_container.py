# SPDX-License-Identifier: MIT
"""agent-runner as PID 1 of real containers, started the ways that hosts start it."""
import json
import os
import pathlib
import subprocess
import tempfile

import claude_cli
import pytest
from containers import IDENTITY, IMAGE, QUIET, Container, no_podman_left, podman, podman_path, status
from model_server import ModelServer
from session import is_alive, process_name, wait_until

HARDENED = ["--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL",
            "--security-opt", "no-new-privileges"]
NO_CAPS = ["0000000000000000"]
as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")


def run(*command, options=(), stdin=None, image=IMAGE):
    """A container in the foreground, to its end."""
    name = f"agent-runner-test-{os.getpid()}"
    given = {"input": stdin} if stdin is not None else {"stdin": subprocess.DEVNULL}
    try:
        return subprocess.run(
            [podman_path(), QUIET, "run", "--rm", "--name", name, *IDENTITY,
             *(["-i"] if stdin is not None else []), *options, image, *command],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=30, check=False,
            **given)
    finally:
        podman("rm", "-f", "-i", "-t", "0", name)
        wait_until(no_podman_left, "the end of podman's processes")


@pytest.fixture(scope="module", autouse=True)
def podman_is_there():
    """Before a test looks at what it leaves: without root, podman keeps a process of its own."""
    assert podman("run", "--rm", *IDENTITY, IMAGE, "true").returncode == 0


@pytest.fixture
def mounted(session):
    """A session folder, and the options that mount it."""
    return session, ["-v", f"{session.workspace}:/workspace", "-e", "AGENT_PROVIDER=mock"]


def answers(session, text="hello"):
    message = session.add_chat(text)
    session.wait_answer(f"echo: {text}")
    session.wait_ack(message)


def give_to(session, uid, gid):
    for path in [session.workspace, *session.workspace.rglob("*")]:
        os.chown(path, uid, gid)


# PID 1


def test_pid_1_is_us(mounted):
    session, options = mounted
    with Container(options=options) as container:
        answers(session)
        pid = container.pid()
        assert process_name(pid) == "agent-runner"
        assert status(pid)["NSpid"][-1] == "1"
        assert container.exec("cat", "/proc/1/comm").stdout == "agent-runner\n"
        assert process_name(container.find("agent-session")) == "agent-session"
        assert container.inspect()["Path"] == "/usr/local/bin/agent-runner"


def zombies(container):
    return [pid for pid in container.processes() if not is_alive(pid)]


ORPHANS = "for i in $(seq 100); do (sleep 1 &); done; exec sleep 600"


def sleepers(container):
    return sum(name == "sleep" for name in container.processes().values())


def test_orphans_are_reaped():
    with Container("sh", "-c", ORPHANS) as container:
        wait_until(lambda: sleepers(container) > 50, "the orphans")
        wait_until(lambda: sleepers(container) == 1, "the end of the orphans")
        wait_until(lambda: not zombies(container), "no zombies")


def test_orphans_are_not_reaped_without_us():
    """The test above can fail: a sleep as PID 1 keeps zombies. The shell before it may have reaped some."""
    with Container("-c", ORPHANS, options=["--entrypoint", "sh"]) as container:
        wait_until(lambda: 0 < len(zombies(container)) == sleepers(container), "zombies only")


SIGNALS = ["HUP", "INT", "QUIT", "USR1", "USR2", "WINCH", "CONT", "RTMIN", "RTMAX"]
TRAPS = f"""
for s in {' '.join(SIGNALS)}; do trap "echo got $s" $s; done
trap 'echo got TERM; exit 3' TERM
sleep 600 & echo ready
while :; do wait; done
"""
NUMBERS = {"RTMIN": "34", "RTMAX": "64"}


def test_signals_reach_the_command():
    with Container("bash", "-c", TRAPS) as container:
        container.wait_log("ready")
        for name in SIGNALS:
            container.kill(NUMBERS.get(name, name))
            container.wait_log(f"got {name}\n")
        container.kill("TERM")
        assert container.wait() == 3
        assert "got TERM\n" in container.log()


@pytest.mark.parametrize("command, code", [
    (["true"], 0),
    (["sh", "-c", "exit 7"], 7),
    (["--", "sh", "-c", "exit 200"], 200),
    (["sh", "-c", "kill -KILL $$"], 137),
    (["sh", "-c", "kill -TERM $$"], 143),
    (["/etc/passwd"], 126),
    (["no-such-command"], 127),
    (["--no-such-option"], 64),
])
def test_exit_codes(command, code):
    done = run(*command)
    assert done.returncode == code, done.stderr
    if code in (64, 126, 127):
        assert len(done.stderr.splitlines()) == 1 and command[0] in done.stderr, done.stderr


# Command and keep-alive mode


def test_command_mode_gives_stdin_and_output():
    done = run("bash", "-c", "read -r line; echo out $line; echo err >&2", stdin="word\n")
    assert (done.returncode, done.stdout) == (0, "out word\n")
    assert done.stderr.splitlines()[-1] == "err"


def test_keep_alive_and_exec(mounted):
    session, options = mounted
    with Container("--keep-alive", options=options) as container:
        done = container.exec("sh", "-c", "echo $HOME && touch /workspace/made")
        assert (done.returncode, done.stdout) == (0, "/home/node\n"), done.stderr
        assert (session.workspace / "made").exists()
        assert podman("healthcheck", "run", container.id).returncode == 0
        assert container.stop(5) in (0, 143)
        assert container.stop_seconds < 3


# Session mode


def test_hardened(mounted):
    session, options = mounted
    with Container(options=[*options, *HARDENED]) as container:
        answers(session)
        assert "error" not in container.log()
        assert container.stop(1) == 0


def test_any_user_without_passwd_entry(mounted):
    session, options = mounted
    if os.getuid() == 0:
        give_to(session, 4321, 4321)
        options = [*options, "--user", "4321:4321"]
    with Container(options=[*options, *HARDENED, "-e", "HOME=/home/node"]) as container:
        answers(session)
        assert status(container.find("agent-session"))["Uid"][0] == str(
            4321 if os.getuid() == 0 else os.getuid())
        assert container.stop(1) == 0


def test_stop_within_a_second_gives_claims_back(mounted):
    session, options = mounted
    with Container(options=[*options, "-e", "AGENT_MOCK_DELAY_MS=60000"]) as container:
        message = session.add_chat("hello")
        session.wait_ack(message, "processing")
        assert container.stop(1) == 0, container.log()
        assert message not in session.acks()
    # The next container takes the message up.
    with Container(options=options):
        session.wait_answer("echo: hello")
        session.wait_ack(message)


def test_a_second_container_on_the_same_folder(mounted):
    session, options = mounted
    with Container(options=options) as first:
        answers(session)
        before = {p: (p.stat().st_mtime_ns, p.read_bytes()) for p in session.workspace.glob("*.*")}
        second = podman("run", "--rm", *IDENTITY, *options, IMAGE)
        assert second.returncode == 75
        assert "another agent-runner works on /workspace" in second.stderr
        assert len(second.stderr.splitlines()) == 1, second.stderr
        assert before == {p: (p.stat().st_mtime_ns, p.read_bytes())
                          for p in session.workspace.glob("*.*")}
        answers(session, "again")
        assert session.texts() == ["echo: hello", "echo: again"]
        first.kill("KILL")
        # Whoever comes then waits for nothing.
        with Container(options=options):
            answers(session, "once more")


def test_as_a_nanoclaw_host_runs_it(make_session):
    session = make_session(provider=None)
    group, state = session.base / "group", session.base / "state"
    for folder in (group, state):
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, 1000, 1000)
    config = session.base / "container.json"
    config.write_text(json.dumps({"provider": "mock", "assistantName": "Andy"}))
    options = ["--rm", "-e", "TZ=America/New_York", "-v", f"{session.workspace}:/workspace",
               "-v", f"{group}:/workspace/agent",
               "-v", f"{config}:/workspace/agent/container.json:ro",
               "-v", f"{state}:/home/node/.claude"]
    with Container("--log-level", "debug", options=options) as container:
        answers(session)
        assert '<context timezone="America/New_York" />' in container.log()
        assert 'time="Feb 4, 2026, 8:30 AM"' in container.log()
        assert (session.workspace / ".heartbeat").exists()


def nanoclaw_options(session):
    """The mounts and the entry point of a NanoClaw v2 host; its source is mounted, too."""
    group, state, source = (session.base / name for name in ("group", "state", "source"))
    for folder in (group, state, source):
        folder.mkdir()
        if os.getuid() == 0:
            os.chown(folder, 1000, 1000)
    config = session.base / "container.json"
    config.write_text(json.dumps({"provider": "mock", "assistantName": "Andy"}))
    return ["--rm", "-e", "TZ=America/New_York", "--entrypoint", "bash",
            "-v", f"{session.workspace}:/workspace", "-v", f"{group}:/workspace/agent",
            "-v", f"{config}:/workspace/agent/container.json:ro",
            "-v", f"{state}:/home/node/.claude", "-v", f"{source}:/app/src:ro"]


HOST_COMMAND = ["-c", "exec bun run /app/src/index.ts"]
INITIALIZE = {"jsonrpc": "2.0", "id": 1, "method": "initialize",
              "params": {"protocolVersion": "2025-11-25", "capabilities": {},
                         "clientInfo": {"name": "test", "version": "1"}}}
SEND = {"jsonrpc": "2.0", "id": 2, "method": "tools/call",
        "params": {"name": "send_message", "arguments": {"text": "by a tool"}}}


def runs_for_a_nanoclaw_host(session, image):
    with Container(*HOST_COMMAND, options=nanoclaw_options(session), image=image) as container:
        answers(session)
        assert process_name(container.pid()) == "agent-runner"
        assert status(container.pid())["NSpid"][-1] == "1"
        health = container.exec("agent-runner", "--healthcheck")
        assert health.returncode == 0, health.stdout
        assert "mode session" in health.stdout


def test_as_an_unmodified_nanoclaw_host_runs_it(make_session):
    runs_for_a_nanoclaw_host(make_session(provider=None), IMAGE)


def test_the_tools_in_a_nanoclaw_container(make_session):
    session = make_session(provider=None)
    with Container(*HOST_COMMAND, options=nanoclaw_options(session)) as container:
        answers(session)
        lines = "".join(json.dumps(line) + "\n" for line in (INITIALIZE, SEND))
        done = podman("exec", "-i", container.id, "bun", "run", "/app/src/mcp-tools/index.ts",
                      stdin=None, input=lines)
        results = [json.loads(line)["result"] for line in done.stdout.splitlines()]
        assert results[0]["serverInfo"]["name"] == "nanoclaw"
        assert "isError" not in results[1], results[1]
        assert session.wait_answer("by a tool").seq % 2 == 1
        text = container.exec("bun", "/app/src/compact-instructions.ts").stdout
        assert '"casa"' in text


@pytest.mark.parametrize("client", [["ncl"], ["bun", "/app/src/cli/ncl.ts"]])
def test_ncl_in_a_nanoclaw_container(make_session, client):
    session = make_session(provider=None)
    with Container(*HOST_COMMAND, options=nanoclaw_options(session)) as container:
        answers(session)
        with subprocess.Popen([podman_path(), QUIET, "exec", container.id, *client, "groups", "list"],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as ncl:
            row = session.wait(lambda: next((a for a in session.answers() if a.kind == "system"), None),
                               "the command")
            request = json.loads(row.content)
            assert request["command"] == "groups-list"
            session.add({"type": "cli_response", "requestId": request["requestId"],
                         "frame": {"id": request["requestId"], "ok": True,
                                   "data": [{"name": "casa", "members": 3}]}}, kind="system")
            out, _ = ncl.communicate(timeout=30)
        assert ncl.returncode == 0 and out.splitlines()[2].split() == ["casa", "3"], out


# What docs/docker.md tells the operator of such a host to add to an image, in one that has a bun.
UNDER_THE_NAME_OF_BUN = f"""
FROM {IMAGE}
USER root
RUN rm /usr/local/bin/bun /usr/local/bin/ncl && \\
    printf '#!/bin/sh\\necho "real: $*"\\n' >/usr/local/bin/bun && chmod 755 /usr/local/bin/bun
RUN mv /usr/local/bin/bun /usr/local/bin/real-bun && cd /usr/local/bin && \\
    ln -s agent-runner bun && ln -sf agent-runner ncl
ENV AGENT_REAL_BUN=/usr/local/bin/real-bun
USER node
"""
DERIVED = "localhost/under-the-name-of-bun"


def test_as_an_unmodified_nanoclaw_host_runs_its_own_image(make_session):
    session = make_session(provider=None)
    with tempfile.TemporaryDirectory() as folder:
        dockerfile = pathlib.Path(folder) / "Dockerfile"
        dockerfile.write_text(UNDER_THE_NAME_OF_BUN, encoding="ascii")
        built = podman("build", "--network=host", "-t", DERIVED, folder)
    assert built.returncode == 0, built.stderr
    runs_for_a_nanoclaw_host(session, DERIVED)
    done = run("bun", "test", "x.ts", image=DERIVED)
    assert (done.returncode, done.stdout) == (0, "real: test x.ts\n"), done.stderr


def test_without_a_real_bun():
    done = run("bun", "test")
    assert done.returncode == 127
    assert done.stderr.endswith("there is no other bun in PATH; AGENT_REAL_BUN can name one\n")


def test_no_mount_is_said_in_one_line():
    done = run()
    assert done.returncode == 66
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert "/workspace" in done.stderr and "mount" in done.stderr, done.stderr


def test_health_turns(mounted):
    session, options = mounted

    def check(container):
        return podman("healthcheck", "run", container.id).returncode

    def health(container):
        state = container.inspect()["State"]
        return (state.get("Health") or state["Healthcheck"])["Status"]

    with Container(options=options) as container:
        answers(session)
        assert check(container) == 0, container.exec("agent-runner", "--healthcheck").stdout
        assert health(container) == "healthy"
        session.write_config("{ broken")
        assert [check(container) for _ in range(3)] == [1, 1, 1]
        assert health(container) == "unhealthy"
        session.write_config({"provider": "mock"})
        assert check(container) == 0
        assert health(container) == "healthy"


def test_the_image_says_what_it_is():
    image = json.loads(podman("inspect", IMAGE).stdout)[0]
    config = image["Config"]
    # Podman's versions put it in different places.
    health = {name.lower(): value for name, value in {**config, **image}.items()}["healthcheck"]
    assert config["Entrypoint"] == ["/usr/local/bin/agent-runner"]
    assert config["User"] == "node"
    assert health["Test"] == ["CMD", "/usr/local/bin/agent-runner", "--healthcheck"]
    assert health["Retries"] == 3
    assert not config.get("Volumes")
    assert config["Labels"]["org.opencontainers.image.title"] == "agent-runner"
    done = run("sh", "-c", "id -u && id -g && id -un && echo $HOME && pwd")
    assert done.stdout.split() == ["1000", "1000", "node", "/home/node", "/workspace"]


# Privileges


def assert_confined(pid, uid, bounding=True):
    """bounding: that set, too; only who has CAP_SETPCAP at the start can empty it."""
    fields = status(pid)
    assert fields["Uid"] == [str(uid)] * 4 and fields["Gid"] == [str(uid)] * 4
    for name in ("CapInh", "CapPrm", "CapEff", "CapAmb", *(["CapBnd"] if bounding else [])):
        assert fields[name] == NO_CAPS, name
    assert fields["NoNewPrivs"] == ["1"]
    assert fields["Seccomp"] == ["2"]
    assert fields["Groups"] in ([], [str(uid)])


@as_root
@pytest.mark.parametrize("owner", [1000, 4321])
def test_root_becomes_the_owner_of_the_workspace(mounted, owner):
    session, options = mounted
    give_to(session, owner, owner)
    with Container(options=[*options, "--user", "root"]) as container:
        answers(session)
        assert_confined(container.find("agent-session"), owner)


@as_root
def test_root_gives_the_workspace_to_the_user(mounted):
    session, options = mounted
    give_to(session, 0, 0)
    with Container(options=[*options, "--user", "root"]) as container:
        answers(session)
        assert_confined(container.find("agent-session"), 1000)
        assert session.workspace.stat().st_uid == 1000


def test_a_command_is_confined_too():
    done = run("cat", "/proc/self/status", options=["--user", "root"])
    fields = {line.split(":")[0]: line.split(":")[1].split() for line in done.stdout.splitlines()}
    assert fields["Uid"] == ["1000"] * 4
    assert fields["CapEff"] == fields["CapBnd"] == NO_CAPS
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == (["1"], ["2"])


# The real agent


@pytest.fixture(scope="module")
def cli():
    version = claude_cli.versions()[-1]
    try:
        return claude_cli.ensure(version).resolve()
    except RuntimeError as reason:
        pytest.skip(f"no Claude Code {version}: {reason}")


@pytest.mark.parametrize("hardening", [[], HARDENED], ids=["plain", "hardened"])
def test_claude_code_answers_in_a_container(make_session, cli, hardening):
    session = make_session(provider="claude")
    with ModelServer() as model:
        options = ["-v", f"{session.workspace}:/workspace", "-v", f"{cli}:/pnpm/claude:ro",
                   "-e", f"ANTHROPIC_BASE_URL={model.url}", "-e", "ANTHROPIC_API_KEY=sk-ant-test"]
        with Container(options=[*options, *hardening]) as container:
            # Without a script, the model server says the message again.
            message = session.add_chat("hello")
            session.wait_answer("echo: hello", timeout=60)
            session.wait_ack(message)
            check = container.exec("agent-runner", "--healthcheck")
            assert check.returncode == 0, check.stdout
            assert_confined(container.find("claude"), os.getuid() or 1000,
                            bounding=bool(hardening))
            assert container.stop(1) == 0, container.log()
            assert container.stop_seconds < 2


# Once mode


def test_once_through_a_pipe():
    request = {"prompt": "What is 2+2?", "groupFolder": "test", "chatJid": "test@g.us",
               "isMain": False}
    done = run(options=["-e", "AGENT_PROVIDER=mock"], stdin=json.dumps(request))
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "---NANOCLAW_OUTPUT_START---"
    assert lines[2] == "---NANOCLAW_OUTPUT_END---"
    assert json.loads(lines[1])["status"] == "success"
    assert json.loads(lines[1])["result"] == "echo: What is 2+2?"
