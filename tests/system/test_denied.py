# SPDX-License-Identifier: MIT
"""System calls that the agent's filter denies: what its programs see of them, and what is logged."""
import re
import time

import session as sessions

WAKE = """echo '{"wakeAgent": true, "data": "all denied"}'"""
DEBUG = {"AGENT_LOG_LEVEL": "debug"}


def python(program):
    """A script that says all went well if the program's asserts hold."""
    return f"python3 - <<'END' && {WAKE}\n{PRELUDE}\n{program}\nEND"


PRELUDE = """
import ctypes, errno, os, subprocess, threading, time
libc = ctypes.CDLL(None, use_errno=True)

def denied(name, *words):
    assert getattr(libc, name)(*words) == -1, name
    return errno.errorcode[ctypes.get_errno()]
"""

EACH_TWICE = python("""
for name, words in (("mount", (0, 0, 0, 0, 0)), ("unshare", (0x10000000,)), ("chroot", (b"/",))):
    for again in range(2):
        assert denied(name, *words) == "EPERM", name
""")


def tried(name):
    return f"the agent tried {name}(2): denied (protection SECCOMP)"


def run_script(session, script):
    message = session.add_task("look", script=script)
    session.wait_ack(message)
    assert "all denied" in session.prompts()[-1], session.stderr()


def test_denied_calls_are_counted_and_each_is_named_once(session):
    session.start(DEBUG)
    run_script(session, EACH_TWICE)
    run_script(session, EACH_TWICE)
    assert session.stop() == 0
    for name in ("mount", "unshare", "chroot"):
        assert len(session.lines(tried(name))) == 1, session.stderr()
    totals = re.findall(r"calls denied to the agent: (.*)", session.stderr())
    assert totals == ["mount 4, unshare 4, chroot 4"]


def test_what_programs_fall_back_from_makes_no_noise(session):
    """io_uring and clone3 are missing, not denied: node and the C library try them every time."""
    session.start(DEBUG)
    run_script(session, python("""
assert libc.syscall(425, 1, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
assert libc.syscall(435, 0, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
"""))
    assert session.stop() == 0
    assert session.lines("denied (protection SECCOMP)") == []
    assert session.lines("calls denied") == []


def test_a_filter_of_ones_own_answers_for_nobody(session):
    """A listener of the agent's own could let a call through. And confine within confine works."""
    session.start(DEBUG)
    runner = sessions.runner_path()
    run_script(session, python(f"""
import platform
number = {{"x86_64": 317, "aarch64": 277}}[platform.machine()]
assert libc.syscall(number, 1, 8, 0) == -1 and ctypes.get_errno() == errno.EBUSY
assert "RUNNER_NOTIFY_FD" not in os.environ
assert sorted(int(fd) for fd in os.listdir("/proc/self/fd"))[:3] == [0, 1, 2]
assert not any("seccomp" in os.readlink("/proc/self/fd/" + fd)
               for fd in os.listdir("/proc/self/fd") if os.path.islink("/proc/self/fd/" + fd))
nested = subprocess.run(["{runner}", "confine", "--role=agent", "--", "unshare", "-U", "true"],
                        capture_output=True, text=True, env={{**os.environ, "RUNNER_NOTIFY_FD": "9"}})
assert nested.returncode == 1 and "not permitted" in nested.stderr, nested
"""))
    assert session.stop() == 0
    assert len(session.lines(tried("unshare"))) == 1, session.stderr()


def test_a_flood_of_denied_calls_keeps_nobody_waiting(session):
    """100 threads ask without a pause: all are answered, and the loop hardly has work with it."""
    session.start(DEBUG)
    flood = session.add_task("look", script=python("""
end = time.monotonic() + 4

def ask():
    while time.monotonic() < end:
        assert denied("chroot", b"/") == "EPERM"

threads = [threading.Thread(target=ask) for _ in range(100)]
for t in threads: t.start()
for t in threads: t.join()
"""))
    session.wait_stderr(tried("chroot"))
    cpu = cpu_seconds(session.loop_pid())
    started = time.monotonic()
    time.sleep(2)
    used = (cpu_seconds(session.loop_pid()) - cpu) / (time.monotonic() - started)
    session.wait_ack(flood)
    assert "all denied" in session.prompts()[-1]
    assert session.stop() == 0
    total, = re.findall(r"calls denied to the agent: chroot (\d+)", session.stderr())
    # 32 in 10 ms; as many as the machine can, it would be 90,000, and a good part of a processor.
    assert 100 < int(total) < 4.5 * 3200, total
    assert used < 0.1, used


def cpu_seconds(pid):
    fields = sessions.pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / sessions.os.sysconf("SC_CLK_TCK")


def test_a_stop_during_a_flood_is_heard(session):
    session.start(DEBUG)
    session.add_task("look", script=python("""
def ask():
    while True:
        denied("chroot", b"/")

for _ in range(100): threading.Thread(target=ask).start()
"""))
    session.wait_stderr(tried("chroot"))
    started = time.monotonic()
    assert session.stop() == 0
    assert time.monotonic() - started < 3
