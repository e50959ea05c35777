# SPDX-License-Identifier: MIT
"""
What runs beside the session loop as its client, against a loop that is played: mcp, ncl,
compact-instructions, and the name bun.
"""
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading
import time

import pytest
import session as sessions
from fake_loop import FakeLoop, HangUp, Refusal
from private_root import PrivateRoot, has_root

AS_ROOT = pytest.mark.skipif(not has_root(), reason="needs root for namespaces and users")
NCL = "agent-runner/ncl"
COMPACT = "agent-runner/compact-instructions"
NOWHERE = {"PATH": os.environ["PATH"], "TMPDIR": "/nowhere", "AGENT_WORKSPACE": "/no/workspace",
           "ASAN_OPTIONS": "detect_leaks=0"}
NO_LOOP = ("no session loop serves /no/workspace: start agent-runner there, or name its socket in "
           "AGENT_SOCKET\n")


def open_up(folder):
    """pytest's folders are for its own user alone; the runner is another one's."""
    for path in (folder, *folder.parents[:2]):
        path.chmod(path.stat().st_mode | 0o055)
    return folder


def make_link(folder, name):
    """A link of this name to the runner."""
    link = open_up(folder) / name
    link.symlink_to(sessions.runner_path())
    return link


def identity(user=None):
    uid, gid = user or (sessions.UID, sessions.GID)
    return {"user": uid, "group": gid, "extra_groups": []} if os.getuid() == 0 else {}


def run(*words, env=NOWHERE, user=None, runner=None, **options):
    """A client to its end, as the user who runs the loop."""
    return subprocess.run([str(runner or sessions.runner_path()), *words], **{
        "stdin": subprocess.DEVNULL, "capture_output": True, "env": env, "cwd": "/", "check": False,
        "timeout": sessions.PATIENCE, "encoding": "utf-8", **identity(user), **options})


class Relay:
    """`agent-runner mcp` in the background, or what else is given; we are the agent."""

    def __init__(self, loop, *words, runner=None):
        self.process = subprocess.Popen(
            [str(runner or sessions.runner_path()), *(words or ("mcp",))], env=loop.env, cwd="/",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **identity())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            try:
                stream.close()
            except BrokenPipeError:
                pass
        self.process.wait()

    def say(self, value):
        self.process.stdin.write(json.dumps(value).encode() + b"\n")
        self.process.stdin.flush()

    def hear(self):
        return json.loads(self.process.stdout.readline())

    def ask(self, number, method, **params):
        self.say({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return self.hear()["result"]

    def end(self):
        """Its exit code and what it said."""
        code = self.process.wait(sessions.PATIENCE)
        return code, self.process.stderr.read().decode()


# mcp


def test_it_carries_both_ways():
    with FakeLoop() as loop, Relay(loop) as relay:
        assert relay.ask(1, "ping", a="b") == {"method": "ping", "params": {"a": "b"}}
        assert relay.ask(2, "tools/list")["method"] == "tools/list"
        assert loop.requests == [("ping", {"a": "b"}), ("tools/list", {})]


def test_large_messages():
    text = "ä" * 3_000_000
    with FakeLoop() as loop, Relay(loop) as relay:
        assert relay.ask(1, "ping", text=text)["params"]["text"] == text


def test_many_questions_at_once():
    """The agent writes all before it reads: neither may wait for the other."""
    count, text = 500, "x" * 10_000
    with FakeLoop() as loop, Relay(loop) as relay:
        def talk():
            for number in range(count):
                relay.say({"id": number, "method": "ping", "params": {"text": text}})
        writer = threading.Thread(target=talk)
        writer.start()
        for number in range(count):
            answer = relay.hear()
            assert answer["id"] == number
            assert len(answer["result"]["params"]["text"]) == len(text)
        writer.join()


def test_the_agent_s_end_is_passed_on():
    def slow(params):
        time.sleep(0.1)
        return params
    with FakeLoop({"slow": slow}) as loop, Relay(loop) as relay:
        relay.say({"id": 1, "method": "slow", "params": {"late": True}})
        relay.process.stdin.close()
        assert relay.hear()["result"] == {"late": True}
        assert relay.end() == (0, "")
        assert loop.ended.wait(sessions.PATIENCE)


def test_nobody_reads_any_more():
    with FakeLoop() as loop, Relay(loop) as relay:
        relay.ask(1, "ping")
        relay.process.stdout.close()
        assert relay.end() == (0, "")
        assert loop.ended.wait(sessions.PATIENCE)


def test_the_loop_hangs_up():
    def hang_up(_):
        raise HangUp
    with FakeLoop({"end": hang_up}) as loop, Relay(loop) as relay:
        relay.ask(1, "ping")
        relay.say({"id": 2, "method": "end"})
        assert relay.end() == (1, "agent-runner: error: mcp: the session loop has hung up\n")


def test_no_loop():
    result = run("mcp")
    assert (result.returncode, result.stdout) == (75, "")
    assert result.stderr == f"agent-runner: error: mcp: {NO_LOOP}"


def test_a_loop_that_was_killed():
    with FakeLoop() as loop:
        loop.stop_listening()
        result = run("mcp", env=loop.env)
    assert (result.returncode, result.stdout) == (75, "")
    assert result.stderr == (f"agent-runner: error: mcp: nobody listens at {loop.path}: the session "
                             "loop is not running\n")


@pytest.mark.parametrize("words", [["--workspace=/workspace", "mcp"],
                                   ["mcp", "--workspace", "/workspace/"]])
def test_the_workspace_leads_to_the_socket(words):
    with FakeLoop() as loop:
        result = run(*words, env={**loop.env, "AGENT_WORKSPACE": ""},
                     stdin=None, input='{"id":1,"method":"ping"}\n')
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout)["result"]["method"] == "ping"


def test_the_variable_leads_to_the_socket():
    with FakeLoop() as loop:
        env = {**NOWHERE, "AGENT_SOCKET": str(loop.path)}
        result = run("mcp", env=env, stdin=None, input='{"id":1,"method":"ping"}\n')
    assert (result.returncode, result.stderr) == (0, "")


def test_a_socket_that_is_none(tmp_path):
    """Not everything with that name is one."""
    file = open_up(tmp_path) / "socket"
    file.write_text("")
    os.chown(file, sessions.UID, sessions.GID)
    result = run("mcp", env={**NOWHERE, "AGENT_SOCKET": str(file)})
    assert result.returncode == 1
    assert result.stderr == f"agent-runner: error: mcp: AGENT_SOCKET: {file}: not a socket\n"


@AS_ROOT
def test_who_may_talk_to_it():
    with FakeLoop() as loop:
        result = run("mcp", env=loop.env, user=(4321, 4321))
        assert result.returncode == 77
        assert result.stderr == (f"agent-runner: error: mcp: {loop.folder}: belongs to uid "
                                 f"{sessions.UID}, and we are uid 4321\n")
        # As `docker exec` does.
        assert run("mcp", env=loop.env, user=(0, 0)).returncode == 0


def field(pid, file, name):
    text = pathlib.Path(f"/proc/{pid}/{file}").read_text(encoding="ascii")
    return int(re.search(rf"^{name}:\s+(\d+)", text, re.MULTILINE)[1])


def test_it_is_alone():
    with FakeLoop() as loop, Relay(loop) as relay:
        relay.ask(1, "ping")
        pid = relay.process.pid
        assert sessions.descendants(pid) == []
        assert "Threads:\t1\n" in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")


def test_it_sleeps():
    """When nothing comes, and when nothing can go: neither side reads what the other one says."""
    def deaf(connection):
        connection.settimeout(sessions.PATIENCE)
        connection.recv(1)
        connection.setblocking(False)
        try:
            while True:
                connection.send(b"y" * 65536)
        except BlockingIOError:
            pass
        released.wait(sessions.PATIENCE)

    def is_stuck():
        before = field(pid, "status", "voluntary_ctxt_switches")
        time.sleep(0.1)
        return field(pid, "status", "voluntary_ctxt_switches") == before

    released = threading.Event()
    with FakeLoop(talk=deaf) as loop, Relay(loop) as relay:
        pid = relay.process.pid
        os.set_blocking(relay.process.stdin.fileno(), False)
        try:
            while True:
                os.write(relay.process.stdin.fileno(), b"x" * 65536)
                time.sleep(0.01)
        except BlockingIOError:
            pass
        sessions.wait_until(is_stuck, "a relay that waits")
        ticks = os.sysconf("SC_CLK_TCK")
        before = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[13:15]
        time.sleep(0.3)
        after = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="ascii").split()[13:15]
        assert sum(map(int, after)) - sum(map(int, before)) <= 0.05 * ticks
        released.set()


def test_a_signal_ends_it():
    with FakeLoop() as loop, Relay(loop) as relay:
        relay.ask(1, "ping")
        relay.process.send_signal(signal.SIGTERM)
        assert relay.end() == (-signal.SIGTERM, "")


# ncl


def frame(data):
    return {NCL: lambda _: {"id": "r", "ok": True, "data": data}}


def test_ncl_asks_and_prints_a_table():
    rows = [{"id": "g1", "name": "Casa", "n": 1, "ok": True},
            {"id": "g22", "name": "Zoë\x1b[2J\n", "n": None, "ok": False}]
    with FakeLoop(frame(rows)) as loop:
        result = run("ncl", "groups", "list", "--limit", "5", "--all", env=loop.env)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == ("id   name      n  ok   \n"
                             "---  --------  -  -----\n"
                             "g1   Casa      1  true \n"
                             "g22  Zoë?[2J      false\n")
    assert loop.requests == [(NCL, {"command": "groups-list", "args": {"limit": "5", "all": True}})]


@pytest.mark.parametrize("data", [None, "text\n", 5, [], {"a": [1, {"b": None}]}, [1, 2],
                                  [{"a": {"b": 1}}]])
def test_ncl_prints_other_data_as_json(data):
    with FakeLoop(frame(data)) as loop:
        result = run("ncl", "groups", "get", env=loop.env)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == data
    assert result.stdout == json.dumps(data, indent=2) + "\n"


def test_ncl_prints_the_whole_frame():
    with FakeLoop(frame([{"a": 1}])) as loop:
        result = run("ncl", "--json", "groups", "list", env=loop.env)
    assert (result.returncode, result.stderr) == (0, "")
    assert json.loads(result.stdout) == {"id": "r", "ok": True, "data": [{"a": 1}]}


def test_ncl_tells_an_error():
    answer = {"id": "r", "ok": False, "error": {"code": "forbidden", "message": "not yours"}}
    with FakeLoop({NCL: lambda _: answer}) as loop:
        plain = run("ncl", "groups", "delete", env=loop.env)
        whole = run("ncl", "groups", "delete", "--json", env=loop.env)
    assert (plain.returncode, plain.stdout) == (1, "")
    assert plain.stderr == "error (forbidden): not yours\n"
    assert (whole.returncode, whole.stderr) == (1, "")
    assert json.loads(whole.stdout) == answer


def test_ncl_in_vain():
    def time_out(_):
        raise Refusal(-31001, "the host did not answer within 30 s")

    def refuse(_):
        raise Refusal(-32603, "the disk is full")

    def hang_up(_):
        raise HangUp
    for handler, code, text in ((time_out, 2, "the host did not answer within 30 s"),
                                (refuse, 1, "the disk is full"),
                                (hang_up, 1, "the session loop has hung up")):
        with FakeLoop({NCL: handler}) as loop:
            result = run("ncl", "help", env=loop.env)
        assert (result.returncode, result.stdout) == (code, "")
        assert result.stderr == f"ncl: {text}\n"
    result = run("ncl", "help")
    assert (result.returncode, result.stdout, result.stderr) == (1, "", f"ncl: {NO_LOOP}")


def test_ncl_s_usage():
    for words in ([], ["--help"], ["-h"]):
        result = run("ncl", *words)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout.startswith("Usage: ncl COMMAND...")
    for words in (["--json"], ["--id", "x"]):
        result = run("ncl", *words)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr == "ncl: a command is missing: `ncl help` lists them\n"


def test_ncl_under_its_own_name(tmp_path):
    """Every word is its own, those that look like our options, too."""
    link = make_link(tmp_path, "ncl")
    with FakeLoop(frame("x")) as loop:
        result = run("help", "--version", "--log-level", "odd", env=loop.env, runner=link)
    assert (result.returncode, result.stderr) == (0, "")
    assert loop.requests == [(NCL, {"command": "help",
                                    "args": {"version": True, "log-level": "odd"}})]


def test_what_is_not_utf_8():
    with FakeLoop(frame("x")) as loop:
        result = run("ncl", b"a\xff", "--k", b"\xfe", env=loop.env)
    assert result.returncode == 0
    assert loop.requests == [(NCL, {"command": "a\ufffd", "args": {"k": "\ufffd"}})]


# compact-instructions


def test_instructions_of_the_loop():
    with FakeLoop({COMPACT: lambda _: {"text": "Keep \"casa\".\n"}}) as loop:
        result = run("compact-instructions", env=loop.env)
    assert (result.returncode, result.stdout, result.stderr) == (0, "Keep \"casa\".\n", "")
    assert loop.requests == [(COMPACT, None)]


def test_instructions_without_a_loop():
    result = run("compact-instructions")
    assert (result.returncode, result.stderr) == (0, "")
    for words in ("every attribute", "who said what", "Open work", '<message to="name">…</message>'):
        assert words in result.stdout
    assert result.stdout.endswith(" The name is the `from` of\n   what is being answered.\n")


def test_instructions_of_a_loop_that_is_in_trouble():
    with FakeLoop({COMPACT: lambda _: {}}) as loop:
        result = run("compact-instructions", env=loop.env)
    assert result.returncode == 0
    assert result.stdout == run("compact-instructions").stdout
    assert result.stderr == ("agent-runner: warning: compact-instructions: without the "
                             "destinations' names: no text came\n")


# bun


@pytest.fixture
def bun(tmp_path):
    return make_link(tmp_path, "bun")


def test_bun_is_our_helpers(bun):
    handlers = {**frame("x"), COMPACT: lambda _: {"text": "Keep.\n"}}
    with FakeLoop(handlers) as loop:
        for words in (["/app/src/cli/ncl.ts"], ["run", "/app/src/cli/ncl.ts"]):
            assert run(*words, "help", "--json", env=loop.env, runner=bun).returncode == 0
        hook = run("/app/src/compact-instructions.ts", env=loop.env, runner=bun)
        assert (hook.returncode, hook.stdout, hook.stderr) == (0, "Keep.\n", "")
        with Relay(loop, "run", "/app/src/mcp-tools/index.ts", runner=bun) as relay:
            assert relay.ask(1, "ping")["method"] == "ping"


def test_a_copy_called_bun_starts_itself(tmp_path):
    """COPY in a Dockerfile makes a file of a link: our children are started through it."""
    copy = shutil.copy(sessions.runner_path(), open_up(tmp_path) / "bun")
    result = run("confine", "--role=agent", "--", "echo", "here", runner=copy)
    assert (result.returncode, result.stdout, result.stderr) == (0, "here\n", "")
    with FakeLoop() as loop, Relay(loop, "mcp", runner=copy) as relay:
        assert relay.ask(1, "ping")["method"] == "ping"


@pytest.mark.parametrize("stdin", [subprocess.DEVNULL, subprocess.PIPE])
def test_bun_is_a_session(session, bun, stdin):
    """Whatever standard input is, and so that the health probe finds it."""
    session.env["AGENT_WORKSPACE"] = str(session.workspace)
    session.start(command=[str(bun), "run", "/app/src/index.ts", *session.args], stdin=stdin)
    message = session.add_chat("hello")
    session.wait_answer("echo: hello")
    session.wait_ack(message)
    assert sessions.process_name(session.process.pid) == "agent-runner"
    probe = run("--healthcheck", env=session.env)
    assert probe.returncode == 0, probe.stdout
    assert f"process {session.process.pid}, mode session\n" in probe.stdout
    if session.process.stdin:
        session.process.stdin.close()
    assert session.stop() == 0


def test_other_words_are_for_the_real_bun(bun, tmp_path):
    real = tmp_path / "real/bun"
    real.parent.mkdir()
    real.parent.chmod(0o755)
    real.write_text('#!/bin/sh\necho "real: $*"\nexit 7\n', encoding="ascii")
    real.chmod(0o755)
    path = f"{bun.parent}:{real.parent}:{os.environ['PATH']}"
    result = run("test", "--watch", env={**NOWHERE, "PATH": path}, runner=bun)
    assert (result.returncode, result.stdout, result.stderr) == (7, "real: test --watch\n", "")
    renamed = real.rename(tmp_path / "real/other")
    result = run("run", "x.ts", env={**NOWHERE, "PATH": path, "AGENT_REAL_BUN": str(renamed)},
                 runner=bun)
    assert (result.returncode, result.stdout) == (7, "real: run x.ts\n")
    result = run("run", "x.ts", env={**NOWHERE, "PATH": path}, runner=bun)
    assert (result.returncode, result.stdout) == (127, "")
    assert result.stderr == ("agent-runner: error: bun run: agent-runner stands in for some scripts "
                             "only, and there is no other bun in PATH; AGENT_REAL_BUN can name "
                             "one\n")


@AS_ROOT
def test_bun_is_pid_1():
    """As the host has it: a shell that becomes it. The probe is the image's, without our variables."""
    setup = """
chmod 777 workspace; mkdir workspace/agent
echo '{"provider":"mock"}' > workspace/agent/container.json
ln -s agent-runner bun
printf '#!/bin/sh\\nexec /bun run /app/src/index.ts\\n' > start
chmod 755 start
"""
    with PrivateRoot(setup=setup, user="1000:1000", prefix="/start") as root:
        init = root.start()
        for user in (None, 1000):
            report = sessions.wait_until(
                lambda who=user: _probe(root, init, who), "a loop that is seen")
            assert report["init"] == "process 1, mode session"


def _probe(root, init, user):
    result = root.enter(init, "/agent-runner", "--healthcheck", "--json", user=user)
    checks = {c["name"]: c for c in json.loads(result.stdout)["checks"]}
    is_there = checks.get("loop", {}).get("status") == "ok"
    return {name: c["text"] for name, c in checks.items()} if is_there else None
