# SPDX-License-Identifier: MIT
"""
PID 1 with real processes: reaping, signals, the terminal, exit codes, the end, crashes.

What must be the same whether we are PID 1 or a child subreaper runs as both.
"""
import ctypes
import os
import pathlib
import re
import select
import shutil
import signal
import subprocess
import tempfile
import time

import pytest

import session as sessions

LIBC = ctypes.CDLL(None, use_errno=True)
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/tmp",
               "ASAN_OPTIONS": "detect_leaks=0"}
PID1 = ["unshare", "--fork", "--pid", "--mount-proc", "--kill-child",
        *([] if os.getuid() == 0 else ["--user", "--map-current-user"])]
AS_ROOT = pytest.mark.skipif(os.getuid() != 0, reason="looks into processes that only root may")
FORWARDED = [n for n in range(1, 65) if n not in (signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD)]
SUSPENDING = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU)


def can_be_pid1():
    return subprocess.run([*PID1, "true"], check=False, stderr=subprocess.DEVNULL).returncode == 0


@pytest.fixture(scope="module")
def puppet(tmp_path_factory):
    """puppet.c, compiled."""
    source = pathlib.Path(__file__).parent / "puppet.c"
    binary = tmp_path_factory.mktemp("puppet") / "puppet"
    subprocess.run([os.environ.get("CC", "cc"), "-D_GNU_SOURCE", "-o", binary, source], check=True)
    return str(binary)


class Init:
    """agent-runner in command or another mode; root stays root, and no workspace is touched."""

    def __init__(self, prefix):
        self.prefix = prefix
        self.process = None
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-init-"))

    def command(self, *words):
        return [*self.prefix, str(sessions.runner_path()), "--workspace", str(self.folder),
                "--chown=no", *(["--allow-root"] if os.getuid() == 0 else []), *words]

    def run(self, *words, **options):
        """To its end."""
        return subprocess.run(self.command(*words), **{
            "env": ENVIRONMENT, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True,
            "timeout": sessions.PATIENCE, "check": False, **options})

    def start(self, *words, **options):
        """In the background; returns the pid of agent-runner as we see it."""
        self.process = subprocess.Popen(self.command(*words), **{
            "env": ENVIRONMENT, "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE,
            "stderr": subprocess.PIPE, "text": True, "bufsize": 1, **options})

        def init():
            pids = [self.process.pid, *sessions.descendants(self.process.pid)]
            return next((p for p in pids if sessions.process_name(p) == "agent-runner" and
                         status_field(p, "NoNewPrivs") == "1"), None)
        # Before it blocks signals, the first thing it does, they do what they do to any process; and
        # while it waits for them, they do not count as blocked.
        return sessions.wait_until(init, "a process agent-runner")

    def line(self):
        return self.process.stdout.readline()

    def wait(self):
        """Its exit code, negative: a signal; and how long it took."""
        before = time.monotonic()
        return self.process.wait(sessions.PATIENCE), time.monotonic() - before

    def end(self, init, signo=signal.SIGTERM):
        os.kill(init, signo)
        return self.wait()

    def close(self):
        if self.process:
            if self.process.poll() is None:
                sessions.kill_all([*sessions.descendants(self.process.pid), self.process.pid])
                self.process.wait()
            for stream in (self.process.stdout, self.process.stderr):
                if stream:
                    stream.close()
        shutil.rmtree(self.folder)


@pytest.fixture(params=["pid1", "subreaper"])
def init(request):
    if request.param == "pid1" and not can_be_pid1():
        pytest.skip("no PID namespaces here")
    one = Init(PID1 if request.param == "pid1" else [])
    one.is_pid1 = request.param == "pid1"
    yield one
    one.close()


@pytest.fixture
def pid1():
    if not can_be_pid1():
        pytest.skip("no PID namespaces here")
    one = Init(PID1)
    yield one
    one.close()


@pytest.fixture
def subreaper():
    one = Init([])
    yield one
    one.close()


def children(pid):
    """The children of a process, with state: pid -> letter."""
    found = {}
    for entry in pathlib.Path("/proc").iterdir():
        fields = sessions._stat_fields(entry.name) if entry.name.isdigit() else None
        if fields and fields[2] == pid:
            found[int(entry.name)] = fields[1]
    return found


def status_field(pid, key):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return re.search(rf"^{key}:\s*(\S+)", text, re.MULTILINE)[1]


def wait_state(pid, state):
    sessions.wait_until(lambda: status_field(pid, "State") == state, f"state {state} of {pid}")


def sigqueue(pid, signo, value):
    """Python has no sigqueue(3)."""
    if LIBC.sigqueue(pid, signo, ctypes.c_void_p(value)) != 0:
        raise OSError(ctypes.get_errno(), f"sigqueue {signo}")


# Exit codes


@pytest.mark.parametrize("script, code", [
    ("exit 0", 0), ("exit 3", 3), ("exit 255", 255), ("kill -KILL $$", 137), ("kill -TERM $$", 143),
    ("kill -SEGV $$", 139)])
def test_exit_codes(init, script, code):
    result = init.run("sh", "-c", script)
    assert (result.returncode, result.stdout, result.stderr) == (code, "", "")


def test_commands_that_cannot_be_executed(init):
    plain = init.folder / "plain"
    plain.write_text("no program")
    result = init.run("agent-runner-nonesuch")
    assert result.returncode == 127
    assert result.stderr == "agent-runner: error: agent-runner-nonesuch: not found\n"
    result = init.run(str(plain))
    assert result.returncode == 126
    assert result.stderr == f"agent-runner: error: {plain}: cannot be executed: Permission denied\n"


def test_output_is_the_command_s_alone(init):
    result = init.run("sh", "-c", "echo out; echo err >&2; cat", stdin=None, input="in\n")
    assert (result.stdout, result.stderr) == ("out\nin\n", "err\n")


# Reaping


def test_no_zombies(init):
    pid = init.start("sh", "-c", """
        for i in 1 2 3 4 5 6 7 8 9 10; do
            (sleep 0.01 & (sleep 0.02 & sh -c 'sleep 0.03 & kill -KILL $$') &)
        done
        echo made; read wait""", stdin=subprocess.PIPE)
    assert init.line() == "made\n"
    # The shell alone is left, and nothing that is dead.
    sessions.wait_until(lambda: len(children(pid)) == 1, "the end of all orphans",
                        explain=lambda: children(pid))
    assert "Z" not in children(pid).values()
    init.process.stdin.close()
    assert init.wait()[0] == 1


def test_many_orphans_that_die_at_once(init, puppet):
    pid = init.start("sh", "-c", f"{puppet} orphans 2000 && echo gone; read wait",
                     stdin=subprocess.PIPE)
    assert init.line() == "gone\n"
    sessions.wait_until(lambda: len(children(pid)) == 1, "the end of all orphans")
    init.process.stdin.close()
    init.wait()


def test_more_dead_than_one_look_takes(init, puppet):
    """All of them died while we slept: no signal tells of those behind the first 4096."""
    pid = init.start("sh", "-c", f"echo up; read go; {puppet} orphans 4200 && echo gone; read wait",
                     stdin=subprocess.PIPE)
    assert init.line() == "up\n"
    os.kill(pid, signal.SIGSTOP)
    wait_state(pid, "T")
    init.process.stdin.write("go\n")
    init.process.stdin.flush()
    assert init.line() == "gone\n"
    os.kill(pid, signal.SIGCONT)
    sessions.wait_until(lambda: len(children(pid)) == 1, "the end of all orphans")
    init.process.stdin.close()
    init.wait()


def test_orphans_become_ours(init):
    pid = init.start("sh", "-c", "(sleep 1000 & echo $!); read wait", stdin=subprocess.PIPE)
    init.line()
    sessions.wait_until(lambda: {sessions.process_name(p) for p in children(pid)} == {"sh", "sleep"},
                        "the orphan below init")
    init.process.stdin.close()
    init.wait()


def test_a_traced_stop_is_no_end(init):
    """An outsider traces the main child and stops it."""
    pid = init.start("sleep", "1000")
    sleep = sessions.wait_until(lambda: next(iter(children(pid)), None), "the child")
    sessions.wait_until(lambda: sessions.process_name(sleep) == "sleep", "exec")
    with subprocess.Popen(["strace", "-q", "-o", "/dev/null", "-p", str(sleep)]) as strace:
        sessions.wait_until(lambda: status_field(sleep, "TracerPid") == str(strace.pid), "strace")
        os.kill(sleep, signal.SIGSTOP)
        wait_state(sleep, "t")
        assert sessions.stays(lambda: init.process.poll() is None, 0.2)
        os.kill(sleep, signal.SIGCONT)
        strace.send_signal(signal.SIGTERM)
    os.kill(sleep, signal.SIGCONT)
    assert init.end(pid)[0] == 143


def test_an_orphan_that_has_us_trace_it_goes_on(init, puppet):
    result = init.run(puppet, "traceme")
    assert (result.returncode, result.stderr) == (0, "")


# Signals


def test_every_signal_is_passed_on(init, puppet):
    count = len(FORWARDED) + (0 if init.is_pid1 else len(SUSPENDING))
    pid = init.start("--grace=none", puppet, "signals", str(count))
    assert init.line().startswith("ready")
    for signo in FORWARDED:
        os.kill(pid, signo)
        assert init.line().split()[:2] == [str(signo), "plain"]
        if signo in SUSPENDING and not init.is_pid1:
            # As dumb-init does: what stops the child stops us, for the shell above.
            wait_state(pid, "T")
            os.kill(pid, signal.SIGCONT)
            assert init.line().split()[0] == str(int(signal.SIGCONT))
    assert init.wait()[0] == 0


def test_queued_signals_keep_value_and_order(init, puppet):
    pid = init.start(puppet, "signals", "1001")
    assert init.line().startswith("ready")
    sigqueue(pid, signal.SIGUSR1, 7)
    assert init.line().split()[:3] == [str(int(signal.SIGUSR1)), "queued", "7"]
    for value in range(1000):
        sigqueue(pid, signal.SIGRTMIN + 1, value)
    for value in range(1000):
        number, kind, got, sender = init.line().split()
        assert (int(number), kind, int(got)) == (signal.SIGRTMIN + 1, "queued", value)
        # Who is outside of the namespace has no number in it.
        assert int(sender) == (0 if init.is_pid1 else os.getpid())
    assert init.wait()[0] == 0


@pytest.mark.parametrize("options, reached", [([], 1), (["-g"], 2)])
def test_main_child_or_group(init, options, reached):
    script = """
        trap 'echo main' USR1
        sh -c 'trap "echo below" USR1; echo ready; while :; do sleep 0.01; done' &
        wait; wait"""
    pid = init.start(*options, "--grace=0", "sh", "-c", script)
    assert init.line() == "ready\n"
    os.kill(pid, signal.SIGUSR1)
    lines = {init.line() for _ in range(reached)}
    assert lines == ({"main\n", "below\n"} if reached == 2 else {"main\n"})
    init.end(pid)


def test_queued_signals_to_a_group(init, puppet):
    pid = init.start("-g", "--grace=0", "sh", "-c", f"{puppet} signals 9 & exec {puppet} signals 9")
    assert {init.line()[:5] for _ in range(2)} == {"ready"}
    sigqueue(pid, signal.SIGRTMAX, 5)
    for _ in range(2):
        assert init.line().split()[:3] == [str(int(signal.SIGRTMAX)), "queued", "5"]
    init.end(pid)


def test_what_was_inherited_is_reset(init):
    def inherit():
        for signo in (signal.SIGCHLD, signal.SIGHUP, signal.SIGPIPE, signal.SIGRTMIN):
            signal.signal(signo, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR1, signal.SIGCHLD})
    result = init.run("grep", "^Sig[BI]", "/proc/self/status", preexec_fn=inherit,
                      restore_signals=False)
    assert result.stdout == f"SigBlk:\t{0:016x}\nSigIgn:\t{0:016x}\n"


def test_a_log_that_nobody_reads_kills_nobody(init):
    reader, writer = os.pipe()
    os.close(reader)
    pid = init.start("--log-level=debug", "sh", "-c", "echo ready; read wait; exit 4",
                     stderr=writer, stdin=subprocess.PIPE)
    os.close(writer)
    assert init.line() == "ready\n"
    os.kill(pid, signal.SIGWINCH)
    init.process.stdin.close()
    assert init.wait()[0] == 4


def test_a_log_that_nobody_empties_holds_nobody(init):
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(writer, b"x")
    os.set_blocking(writer, True)
    pid = init.start("--log-level=debug", "sh", "-c", "echo ready; read wait; exit 4",
                     stderr=writer, stdin=subprocess.PIPE)
    os.close(writer)
    assert init.line() == "ready\n"
    os.kill(pid, signal.SIGWINCH)
    init.process.stdin.close()
    assert init.wait()[0] == 4
    os.close(reader)


# The end


def test_sigterm_ends_what_is_left(init):
    """The shell dies of it; what it started is told, too."""
    pid = init.start("sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait")
    assert init.line() == "ready\n"
    code, seconds = init.end(pid)
    assert code == 143
    assert seconds < 0.5


def test_a_command_has_its_time(init):
    pid = init.start("sh", "-c", "trap 'sleep 1.2; exit 5' TERM; echo ready; sleep 1000 & wait")
    assert init.line() == "ready\n"
    code, seconds = init.end(pid)
    assert code == 5
    assert seconds > 1.2


def test_a_database_below_a_shell_has_its_time(init):
    pid = init.start("sh", "-c", """
        sh -c 'trap "sleep 1.2; echo finished; exit" TERM; echo ready; while :; do sleep 0.01; done'
        echo not reached""")
    assert init.line() == "ready\n"
    assert init.end(pid)[0] == 143
    assert init.line() == "finished\n"
    assert ("agent-runner: waiting for processes that go on in spite of SIGTERM; --grace=SPAN would "
            "limit that\n") in init.process.stderr.readlines()


def test_grace_limits_it(init):
    pid = init.start("--grace=200ms", "sh", "-c",
                     "trap '' TERM; (sleep 1000 &); echo ready; sleep 1000; sleep 1000")
    assert init.line() == "ready\n"
    code, seconds = init.end(pid)
    assert code == 137
    assert seconds < 1


def test_a_grace_that_is_over_at_once(init):
    """The end of the last process and that of the grace may come together."""
    result = init.run("--grace=0", "true")
    assert (result.returncode, result.stderr) == (0, "")


def test_stopped_processes_end_too(init):
    init.start("sh", "-c", "sleep 1000 & kill -STOP $!; echo ready; read wait; exit 6",
               stdin=subprocess.PIPE)
    assert init.line() == "ready\n"
    init.process.stdin.close()
    code, seconds = init.wait()
    assert code == 6
    assert seconds < 0.5


def test_a_stopped_command_ends_too(init):
    pid = init.start("sh", "-c", "trap 'exit 6' TERM; echo ready; kill -STOP $$")
    assert init.line() == "ready\n"
    child = sessions.descendants(pid)[0]
    wait_state(child, "T")
    assert init.end(pid)[0] == 6


def test_what_outlives_a_command_cannot_hold_it(init):
    script = "sh -c 'trap \"\" TERM; echo ready; sleep 1000 >/dev/null 2>&1' & read wait; exit 7"
    init.start("sh", "-c", script, stdin=subprocess.PIPE)
    assert init.line() == "ready\n"
    init.process.stdin.close()
    code, seconds = init.wait()
    assert code == 7
    assert 0.7 < seconds < 2


def test_keep_alive(init):
    pid = init.start("--keep-alive")
    os.kill(pid, signal.SIGUSR1)
    os.kill(pid, signal.SIGHUP)
    assert sessions.stays(lambda: init.process.poll() is None, 0.2)
    assert init.end(pid)[0] == 0
    assert init.process.stderr.read() == ""


def exec_beside(pid, *command):
    """As `docker exec`: into the namespaces, not below PID 1."""
    return subprocess.Popen(["nsenter", "--target", str(pid), "--pid", "--mount", *command],
                            stdout=subprocess.PIPE, text=True)


@AS_ROOT
def test_what_docker_exec_started_has_its_time(pid1):
    pid = pid1.start("--keep-alive")
    with exec_beside(pid, "sh", "-c", """
            trap 'sleep 0.5; echo finished; exit' TERM; echo ready
            while :; do sleep 0.01; done""") as build:
        assert build.stdout.readline() == "ready\n"
        code, seconds = pid1.end(pid)
        assert code == 0
        assert seconds > 0.5
        assert build.stdout.readline() == "finished\n"


@AS_ROOT
def test_nothing_holds_a_session_longer_than_a_second(make_session):
    """Not even what ignores SIGTERM: a host's `docker stop -t 1` must not have to kill."""
    if not can_be_pid1():
        pytest.skip("no PID namespaces here")
    session = make_session()
    # The default grace, not the patience of the tests.
    command = [word for word in session.command() if not word.startswith("--grace")]
    session.command = lambda: [*PID1, *command]
    session.start(user=(0, 0) if os.getuid() == 0 else None)
    loop = session.loop_pid()
    init = int(status_field(loop, "PPid"))
    with exec_beside(init, "sh", "-c",
                     "trap '' TERM; echo ready; while :; do sleep 0.01; done") as rude:
        assert rude.stdout.readline() == "ready\n"
        before = time.monotonic()
        os.kill(init, signal.SIGTERM)
        assert session.wait_exit() == 0
        assert 0.7 < time.monotonic() - before < 1


# The terminal


class Terminal:
    """A pseudo terminal; what is on its screen is read as it comes."""

    def __init__(self):
        self.master, self.slave = os.openpty()
        self.screen = ""

    def type(self, text):
        os.write(self.master, text.encode())

    def expect(self, text):
        """Waits until text appears behind what was expected before; returns what is between."""
        deadline = time.monotonic() + sessions.PATIENCE
        while text not in self.screen:
            ready, _, _ = select.select([self.master], [], [], deadline - time.monotonic())
            assert ready, f"{text!r} does not appear; the screen is {self.screen!r}"
            self.screen += os.read(self.master, 4096).decode(errors="replace")
        before, self.screen = self.screen.split(text, 1)
        return before

    def close(self):
        os.close(self.master)
        os.close(self.slave)


@pytest.fixture
def terminal():
    one = Terminal()
    yield one
    one.close()


@pytest.fixture
def container_terminal(pid1, terminal):
    """As `docker run -it`: PID 1 leads the terminal's session."""
    pid1.prefix = [*pid1.prefix, "setsid", "--ctty"]

    def start(*words):
        return pid1.start(*words, stdin=terminal.slave, stdout=terminal.slave,
                          stderr=terminal.slave, start_new_session=True)
    return start


def test_the_command_has_the_terminal(pid1, terminal, container_terminal):
    container_terminal("sh", "-c", "read line; echo got $line $(ps -o tpgid= -o pgid= -p $$) end")
    terminal.type("hello\n")
    terminal.expect("got hello")
    foreground, group = terminal.expect("end").split()
    assert foreground == group
    assert pid1.wait()[0] == 0


def test_ctrl_c_reaches_the_command(pid1, terminal, container_terminal):
    container_terminal("sh", "-c", "echo ready; exec sleep 1000")
    terminal.expect("ready")
    terminal.type("\x03")
    assert pid1.wait()[0] == 130


def test_ctrl_z_does_not_hang_a_container(pid1, terminal, container_terminal):
    """Nobody could continue it: there is no shell above PID 1."""
    container_terminal("sh", "-c", "echo ready; read line; echo got $line")
    terminal.expect("ready")
    terminal.type("\x1a")
    terminal.type("hello\n")
    terminal.expect("got hello")
    assert pid1.wait()[0] == 0


def test_an_interactive_shell_is_content(pid1, terminal, container_terminal):
    """bash says so if it cannot have job control."""
    container_terminal("bash", "--norc", "-i")
    terminal.type("sh -c 'echo rea\"\"dy; read line'\n")
    terminal.expect("ready")
    terminal.type("\x1a")
    terminal.expect("Stopped")
    terminal.type("kill %1; exit 3\n")
    terminal.type("exit 3\n")
    assert pid1.wait()[0] == 3
    assert "job control" not in terminal.screen


def test_the_terminal_is_taken_back(subreaper, terminal):
    """A script does not do it: it would be in the background, and could not read any more."""
    command = " ".join(subreaper.command("true"))
    with subprocess.Popen(["setsid", "--ctty", "sh", "-c", f"{command}; read line; echo got $line"],
                          stdin=terminal.slave, stdout=terminal.slave, stderr=terminal.slave,
                          env=ENVIRONMENT) as script:
        terminal.type("hello\n")
        terminal.expect("got hello")
        assert script.wait(sessions.PATIENCE) == 0


def test_jobs_of_a_shell(subreaper, terminal):
    """Not PID 1 but a job: ctrl-Z gives the shell its terminal back, fg goes on."""
    with subprocess.Popen(["setsid", "--ctty", "bash", "--norc", "-i"], stdin=terminal.slave,
                          stdout=terminal.slave, stderr=terminal.slave,
                          env={**ENVIRONMENT, "PS1": "shell> "}) as shell:
        command = " ".join(subreaper.command("sh", "-c"))
        terminal.expect("shell> ")
        terminal.type(f"{command} 'echo rea''dy; read line; echo got $line; exit 5'\n")
        terminal.expect("ready")
        terminal.type("\x1a")
        terminal.expect("Stopped")
        terminal.expect("shell> ")
        terminal.type("echo shell has $((1+1))\n")
        terminal.expect("shell has 2")
        terminal.type("fg\n")
        terminal.type("hello\n")
        terminal.expect("got hello")
        # Taken back from the dead: the shell would be stopped if it read in the background.
        terminal.expect("shell> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 5")
        terminal.type("exit\n")
        assert shell.wait(sessions.PATIENCE) == 0


def test_a_job_in_the_background(subreaper, terminal):
    """It wants to read there: it stops, the shell says so, and fg brings all of it to the front."""
    with subprocess.Popen(["setsid", "--ctty", "bash", "--norc", "-i"], stdin=terminal.slave,
                          stdout=terminal.slave, stderr=terminal.slave,
                          env={**ENVIRONMENT, "PS1": "shell> "}) as shell:
        command = " ".join(subreaper.command("sh", "-c"))
        terminal.expect("shell> ")
        terminal.type("set -b\n")
        terminal.type(f"{command} 'cat | (read line; echo got $line; exit 5)' &\n")
        terminal.expect("Stopped")
        terminal.type("fg\n")
        terminal.type("hello\n")
        terminal.expect("got hello")
        terminal.type("\x04")
        terminal.expect("shell> ")
        terminal.type("echo code $?\n")
        terminal.expect("code 5")
        terminal.type("exit\n")
        assert shell.wait(sessions.PATIENCE) == 0


# The session loop


def crash(session, signo=signal.SIGSEGV):
    """Ends the loop; returns the pid of the next one, None if there will be none."""
    old = session.loop_pid()
    os.kill(old, signo)

    def successor():
        if session.process.poll() is not None:
            return (None,)
        pids = [p for p in sessions.descendants(session.process.pid)
                if p != old and sessions.process_name(p) == "agent-session"]
        return pids or None
    return sessions.wait_until(successor, "the next loop", explain=session.explain)[0]


def test_a_crashed_loop_starts_again(session):
    session.start()
    session.wait_ack(session.add_chat("one"))
    assert crash(session)
    session.wait_ack(session.add_chat("two"))
    assert session.texts() == ["echo: one", "echo: two"]
    assert len(session.lines("crashed with signal 11: starting it again in 100 ms")) == 1
    assert session.stop() == 0


def test_five_crashes_are_enough(session):
    session.start()
    for _ in range(4):
        assert crash(session, signal.SIGKILL)
    assert crash(session, signal.SIGKILL) is None
    assert session.wait_exit() == 70
    assert len(session.lines("5 times within a minute, giving up")) == 1


def test_a_signal_through_us_is_no_crash(session):
    session.start()
    session.loop_pid()
    session.process.send_signal(signal.SIGHUP)
    assert session.wait_exit() == 129


def test_a_code_of_the_loop_is_passed_on(session):
    session.write_config("{")
    session.start()
    assert session.wait_exit() == 78
    assert not session.lines("starting it again")


def test_the_loop_ends_with_us(session):
    """Where we are not PID 1, and die of SIGKILL."""
    session.start()
    below = [session.loop_pid(), *sessions.descendants(session.process.pid)]
    session.process.kill()
    assert session.wait_exit() == -signal.SIGKILL
    sessions.wait_until(lambda: not any(sessions.is_alive(p) for p in below), "the end of the loop")


def test_names(session):
    session.start()
    assert sessions.process_name(session.process.pid) == "agent-runner"
    assert sessions.process_name(session.loop_pid()) == "agent-session"


# Input


def test_nothing_runs_before_there_is_input(make_session):
    session = make_session()
    reader, writer = os.pipe()
    with subprocess.Popen(session.command(), stdin=reader, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, env=session.env,
                          **({"user": sessions.UID, "group": sessions.GID, "extra_groups": []}
                             if os.getuid() == 0 else {})) as process:
        os.close(reader)
        note = "waiting for a JSON request on standard input"
        started = time.monotonic()
        assert note in process.stderr.readline()
        assert 9.5 < time.monotonic() - started < 15
        assert sessions.descendants(process.pid) == []
        os.write(writer, b'{"prompt": "hello"}')
        os.close(writer)
        output = process.stdout.read()
        assert process.wait(sessions.PATIENCE) == 0
        assert "echo: hello" in output
        assert note not in process.stderr.read()


# Idleness


@AS_ROOT
@pytest.mark.parametrize("words", [("sleep", "1000"), ("--keep-alive",)])
def test_no_wake_ups(init, words):
    pid = init.start(*words)
    wait_state(pid, "S")
    # A second after its start it gives back the memory that only the start needed, once.
    time.sleep(1.2)
    with tempfile.NamedTemporaryFile("r") as calls:
        with subprocess.Popen(["strace", "-q", "-o", calls.name, "-p", str(pid)]) as strace:
            sessions.wait_until(lambda: status_field(pid, "TracerPid") == str(strace.pid), "strace")
            # The wait that strace cut short, a look for the dead, the next wait; there must be no other.
            time.sleep(2.5)
            seen = calls.read().splitlines()
            os.kill(pid, signal.SIGTERM)
            init.wait()
    assert len(seen) <= 3 and seen[-1].startswith("rt_sigtimedwait"), seen


# Descriptors


def test_descriptors_of_the_host_stay_in_command_mode(init):
    reader, writer = os.pipe()
    os.write(writer, b"passed on")
    os.close(writer)
    result = init.run("sh", "-c", f"cat /proc/self/fd/{reader}; ls /proc/self/fd | wc -l",
                      pass_fds=[reader])
    os.close(reader)
    # 0, 1, 2, the host's, and that of ls for the folder.
    assert result.stdout == "passed on5\n"


def test_closed_standard_streams(init):
    """Nothing of ours may become stdin, stdout or stderr of the command."""
    result = init.run("sh", "-c", "readlink /proc/self/fd/0", stdin=None,
                      preexec_fn=lambda: os.close(0))
    assert result.stdout == "/dev/null\n"


def test_service_managers_find_the_command(subreaper):
    with subprocess.Popen(["sh", "-c", 'LISTEN_FDS=1 LISTEN_PID=$$ NOTIFY_SOCKET=/s exec "$@"', "sh",
                           *subreaper.command(
                               "sh", "-c", "echo $LISTEN_FDS $NOTIFY_SOCKET $((LISTEN_PID - $$))")],
                          env=ENVIRONMENT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.read() == "1 /s 0\n"


def test_the_end_is_asked_for_during_the_start(subreaper):
    """At any moment of it: what came before the first wait is not forgotten until the next wake-up."""
    for i in range(60):
        with subprocess.Popen(subreaper.command("--keep-alive"), env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            time.sleep(0.0001 * i)
            process.send_signal(signal.SIGTERM)
            sent = time.monotonic()
            # -SIGTERM: before it blocks signals, they do what they do to any process.
            assert process.wait(sessions.PATIENCE) in (0, -signal.SIGTERM)
            # A timer of the start would wake it after a second.
            assert time.monotonic() - sent < 0.9


# Failing system calls


CALLS = ["/^p?poll$", "rt_sigtimedwait", "waitid", "signalfd4", "rt_sigprocmask", "rt_sigaction",
         "setpgid", "kill", "prctl", "clone", "getdents64"]
# The loader, and the runtime of the sanitizers.
NOT_OURS = ["error while loading shared libraries", "Sanitizer has encountered a fatal error",
            "Sanitizer: CHECK failed"]


@pytest.mark.parametrize("call", CALLS)
def test_one_failing_call_hangs_nothing(subreaper, call):
    """Each of our own calls fails once."""
    # Only with an orphan there is something to kill; its end would make up for a lost one, though.
    orphan = "(sleep 0.01 &);" if call in ("kill", "getdents64") else ""
    for error in ("EINTR", "ENOMEM", "EAGAIN", "EPERM"):
        for number in (1, 2, 3):
            result = subprocess.run(
                ["strace", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                 "-e", f"inject={call}:error={error}:when={number}",
                 *subreaper.command("sh", "-c", f"{orphan} exit 7")],
                env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
                timeout=sessions.PATIENCE, check=False)
            if any(text in result.stderr for text in NOT_OURS):
                continue
            what = f"{call} {error} {number}: {result.stderr}"
            # Before there is a child a start may fail, with one of our own codes and a text.
            assert result.returncode == 7 or 64 <= result.returncode <= 78 and result.stderr, what
