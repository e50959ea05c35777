# SPDX-License-Identifier: MIT
"""Two runners on one session folder: one works, the other ends and has touched nothing."""
import copy
import os
import pathlib
import shutil
import signal
import sqlite3
import subprocess
import time

import pytest

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}
WORKS = "another agent-runner works on"
TAKEN = "another agent-runner has taken over"

# What some mounts do: no locks beyond SQLite's own, or locks that another kernel does not see.
SHIM = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/vfs.h>

int fcntl64(int fd, int cmd, ...)
{
	static int (*next)(int, int, void *);
	va_list list;
	void *argument;

	va_start(list, cmd);
	argument = va_arg(list, void *);
	va_end(list);
	if (cmd == F_OFD_SETLK && getenv("SHIM_LOCK_ERRNO")) {
		errno = atoi(getenv("SHIM_LOCK_ERRNO"));
		return -1;
	}
	if (!next)
		next = (int (*)(int, int, void *))dlsym(RTLD_NEXT, "fcntl64");
	return next(fd, cmd, argument);
}

int fstatfs64(int fd, struct statfs64 *fs)
{
	static int (*next)(int, struct statfs64 *);
	int r;

	if (!next)
		next = (int (*)(int, struct statfs64 *))dlsym(RTLD_NEXT, "fstatfs64");
	r = next(fd, fs);
	if (getenv("SHIM_MAGIC"))
		fs->f_type = strtol(getenv("SHIM_MAGIC"), NULL, 0);
	return r;
}
"""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shim")
    compiler = shutil.which("cc") or pytest.skip("no C compiler")
    (folder / "shim.c").write_text(SHIM, encoding="ascii")
    library = pathlib.Path("/tmp") / f"agent-runner-shim-{os.getpid()}.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, folder / "shim.c", "-ldl"], check=True)
    library.chmod(0o755)
    yield {"LD_PRELOAD": str(library)}
    library.unlink()


@pytest.fixture
def no_locks(shim):
    return {**shim, "SHIM_LOCK_ERRNO": "37"}


@pytest.fixture
def virtiofs(shim):
    """And a lock of the same machine is not seen either: as from two machines."""
    return {**shim, "SHIM_LOCK_ERRNO": "95", "SHIM_MAGIC": "0x65735546"}


@pytest.fixture
def make_twin():
    """Makes another runner on the same folder, with a /tmp of its own, as in a container."""
    made = []

    def make(session):
        twin = copy.copy(session)
        twin.process, twin._errors = None, []
        twin.base = session.base / f"twin-{len(made)}"
        twin.base.mkdir()
        if os.getuid() == 0:
            os.chown(twin.base, sessions.UID, sessions.GID)
        twin.env = {**session.env, "TMPDIR": str(twin.base)}
        made.append(twin)
        return twin
    yield make
    for twin in made:
        if twin.process is not None and twin.process.poll() is None:
            twin.kill()


@pytest.fixture
def twin(session, make_twin):
    return make_twin(session)


def snapshot(session):
    """All that is in the folder: contents, and times of change."""
    return {str(path): (path.stat().st_mtime_ns, path.stat().st_ino,
                        path.read_bytes() if path.is_file() else None)
            for path in session.workspace.rglob("*")}


def assert_lost(runner, words, seconds=None):
    before = time.monotonic()
    assert runner.wait_exit() == 75, runner.explain()
    if seconds is not None:
        assert time.monotonic() - before < seconds, runner.stderr()
    assert len(runner.lines(words)) == 1, runner.stderr()
    line, = runner.lines("error:")
    assert words in line, runner.stderr()
    assert str(runner.workspace) in line
    return line


# With locks


def test_while_the_first_is_idle(session, twin):
    session.start().wait_ack(session.add_chat("hello"))
    before = snapshot(session)
    line = assert_lost(twin.start(), WORKS, 3)
    assert "stop it, or give this one a folder of its own" in line
    assert twin.stderr().count("\n") == 1
    assert snapshot(session) == before
    session.wait_ack(session.add_chat("again"))
    assert session.texts() == ["echo: hello", "echo: again"]


def test_while_the_first_is_in_a_turn(session, twin):
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_DELAY_MS": "2500"}).wait_turn(message)
    session.wait(session.heartbeat, "the first beat")
    # A start makes it when the message is claimed already.
    session.wait((session.workspace / "inbox").is_dir, "the last folder a start makes")
    before = snapshot(session)
    assert_lost(twin.start(), WORKS, 2)
    assert snapshot(session) == before
    session.wait_ack(message)
    assert session.texts() == ["echo: hello"]


@pytest.mark.parametrize("outbound", [True, False])
def test_pairs_that_start_at_the_same_instant(make_session, make_twin, outbound):
    for _ in range(10):
        session = make_session(outbound=outbound)
        messages = session.add_chats(["one", "two"])
        pair = [session, make_twin(session)]
        for runner in pair:
            runner.start()
        session.wait(lambda: any(r.process.poll() is not None for r in pair), "the end of one")
        winner, loser = sorted(pair, key=lambda r: r.process.poll() is not None)
        assert_lost(loser, WORKS)
        session.wait_ack(messages)
        assert session.texts() == ["echo: one\necho: two"] or len(session.texts()) == 2
        assert not winner.lines("error:")
        assert winner.stop() == 0
        assert "processing" not in session.acks().values()


def test_a_killed_one_is_followed_without_delay(session, twin):
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    session.kill()
    before = time.monotonic()
    twin.start()
    twin.wait_ack(message)
    assert time.monotonic() - before < 1
    assert session.texts() == ["echo: hello"]
    assert not twin.lines("waiting")


def test_a_predecessor_that_is_about_to_die(session, twin):
    """`docker kill`, and the next one is started before the kernel has cleared all away."""
    session.start().wait_ack(session.add_chat("hello"))
    twin.start()
    time.sleep(0.3)
    session.kill()
    twin.wait_ack(session.add_chat("again"))
    assert twin.process.poll() is None
    assert session.texts() == ["echo: hello", "echo: again"]


def test_sigterm_ends_the_waiting(session, twin):
    session.start().wait_ack(session.add_chat("hello"))
    twin.start()
    twin.loop_pid()
    assert twin.stop() in (0, 75, 143, -15)
    assert twin.stop_seconds < 1
    session.wait_ack(session.add_chat("again"))


def test_a_loop_that_is_started_again(session, twin):
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_DELAY_MS": "700"}).wait_turn(message)
    os.kill(session.loop_pid(), signal.SIGKILL)
    session.wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert_lost(twin.start(), WORKS)


# Without locks


def test_no_locks_and_a_heartbeat_that_goes_on(session, twin, no_locks):
    message = session.add_chat("hello")
    session.start({**SLOW, **no_locks}).wait_turn(message)
    assert_lost(twin.start(no_locks), WORKS, 6)
    assert twin.lines("waiting whether it goes on")
    assert session.acks() == {message: "processing"}
    assert session.process.poll() is None


def test_no_locks_and_a_heartbeat_that_stopped(session, twin, no_locks):
    message = session.add_chat("hello")
    session.start({**SLOW, **no_locks}).wait_turn(message)
    session.kill()
    twin.start(no_locks).wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_no_locks_and_nothing_to_wait_for(session, twin, no_locks):
    message = session.add_chat("hello")
    session.start(no_locks).wait_ack(message)
    session.kill()
    before = time.monotonic()
    twin.start(no_locks).wait_ack(session.add_chat("again"))
    assert time.monotonic() - before < 2
    assert not twin.lines("waiting")


@pytest.mark.parametrize("kind", ["no_locks", "virtiofs"])
def test_an_idle_one_is_fenced_off(request, session, twin, kind):
    env = request.getfixturevalue(kind)
    session.start(env).wait_ack(session.add_chat("one"))
    first = session.state()["lease"]
    twin.start(env)
    twin.wait(lambda: session.state().get("lease") != first, "the lease of the second")
    twin.wait_ack(session.add_chat("two"))
    for text in ("three", "four"):
        twin.wait_ack(session.add_chat(text))
    # Nothing was the first one's to write; with the first try it ends.
    assert_lost(session, TAKEN)
    assert session.texts() == ["echo: one", "echo: two", "echo: three", "echo: four"]
    twin.wait_ack(session.add_chat("five"))
    assert twin.stop() == 0


def test_one_in_a_turn_is_fenced_off(session, no_locks):
    """Its heartbeat was not seen: it stops within a beat, gives nothing back and answers nothing."""
    message = session.add_chat("hello")
    session.start({**SLOW, **no_locks}).wait_turn(message)
    session.outbound_execute("UPDATE session_state SET value = 'run-of-another' WHERE key = 'lease'")
    before = snapshot(session)
    assert_lost(session, TAKEN, 5)
    after = snapshot(session)
    after.pop(str(session.workspace / ".heartbeat"))
    before.pop(str(session.workspace / ".heartbeat"))
    assert before == after
    assert session.acks() == {message: "processing"}


def test_sigterm_gives_nothing_back_that_is_anothers(session):
    message = session.add_chat("hello")
    session.start(SLOW).wait_turn(message)
    session.outbound_execute("UPDATE session_state SET value = 'run-of-another' WHERE key = 'lease'")
    assert session.stop() in (0, 75)
    assert session.acks() == {message: "processing"}
    assert session.lines(TAKEN)


def test_a_host_that_clears_the_state(session):
    session.start().wait_ack(session.add_chat("one"))
    session.outbound_execute("DELETE FROM session_state")
    session.wait_ack(session.add_chat("two"))
    assert session.texts() == ["echo: one", "echo: two"]
    assert session.state()["lease"].startswith("run-")


def test_pairs_without_locks(make_session, make_twin, no_locks):
    for _ in range(10):
        session = make_session()
        message = session.add_chat("one")
        pair = [session, make_twin(session)]
        for runner in pair:
            runner.start(no_locks)
        session.wait_ack(message)
        session.wait_ack(session.add_chat("two"))
        time.sleep(0.2)
        assert sorted(session.texts()) == ["echo: one", "echo: two"]
        assert any(r.process.poll() is None for r in pair)
        for runner in pair:
            if runner.process.poll() is not None:
                assert_lost(runner, "another agent-runner")
            else:
                assert runner.stop() in (0, 75)


# Files that a host puts in the place of others


def copy_of_outbound(session):
    copied = session.base / "copy.db"
    shutil.copy(session.outbound, copied)
    if os.getuid() == 0:
        os.chown(copied, sessions.UID, sessions.GID)
    return copied


def test_an_older_copy_written_into_it(session):
    session.start().wait_ack(session.add_chat("one"))
    assert session.stop() == 0
    older = copy_of_outbound(session)
    session.start().wait_ack(session.add_chat("two"))
    with sqlite3.connect(older) as source, sqlite3.connect(session.outbound) as target:
        source.backup(target)
    source.close()
    target.close()
    message = session.add_chat("three")
    assert_lost(session, TAKEN)
    assert session.texts() == ["echo: one"]
    session.start().wait_ack(message)
    assert session.texts() == ["echo: one", "echo: two", "echo: three"]


def test_a_file_put_in_its_place(session, twin):
    """It has a lock of its own, so both run until the first one writes: it has lost its file."""
    session.start().wait_ack(session.add_chat("one"))
    os.replace(copy_of_outbound(session), session.outbound)
    twin.start()
    for text in ("two", "three"):
        twin.wait_ack(session.add_chat(text))
    assert session.texts() == ["echo: one", "echo: two", "echo: three"]
    assert session.wait_exit() == 75
    assert session.lines("outbound.db: it was deleted or replaced: starting anew")
    assert session.lines("another agent-runner works on")
    twin.wait_ack(session.add_chat("four"))
