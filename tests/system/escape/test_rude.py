# SPDX-License-Identifier: MIT
"""
An agent that would rather bring down its runner than get out: it eats processes, descriptors,
memory and room, kills what it reaches, leaves processes behind, and takes away rights and folders.
The loop survives it, the databases stay whole, and the next message is answered.
"""
import contextlib
import os
import re
import shutil
import signal
import subprocess
import time

import fleet
import pytest
import session as sessions
from containers import podman, podman_path
from settings import SETTINGS

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")


@pytest.fixture(scope="module", autouse=True)
def prepared():
    """Once, whatever comes of it: an image that does not build fails all tests at once."""
    podman_path()
    fleet.build()
    yield
    fleet.forget()


class Victim(fleet.Attack):
    """A container whose loop is to be the same at the end."""

    def __init__(self, session, setting, options=()):
        super().__init__(session, setting, options)
        self.still_answers()
        self.first_loop = self.loop()

    def rude(self, what, expected):
        answer = self.ask(f"rude: {what}")
        assert answer and expected in answer, f"{answer}\n{self.explain()}"

    def lose_agent(self):
        """It ends, and with it what it left; the next message starts another."""
        # What it left may have the loop as its parent, too.
        os.kill(sessions.eldest_child(self.loop(), self.agents()), signal.SIGKILL)
        # What becomes another process every moment is not in every list.
        sessions.wait_until(lambda: sessions.stays(lambda: not self.agents(), 0.3),
                            "the end of all that the agent started",
                            explain=lambda: f"{self.container.processes()}\n{self.explain()}")

    def goes_on(self, same_loop=True):
        self.still_answers()
        if same_loop:
            assert self.loop() == self.first_loop, self.explain()
        fleet.database_rows(self.session.inbound)
        fleet.database_rows(self.session.outbound)

    def stops(self):
        assert self.container.stop(5) == 0, self.explain()


@contextlib.contextmanager
def victim(options=(), setting="default", session=None):
    one = session or fleet.make_session(SETTINGS[setting])
    try:
        with Victim(one, SETTINGS[setting], options) as running:
            yield running
    finally:
        if session is None:
            one.close()


# Processes


def test_fork_bomb():
    with victim(["--pids-limit=64"]) as running:
        running.rude("fork-bomb", "no more processes")
        running.goes_on()
        # There is room for another agent once the bomb is gone.
        running.lose_agent()
        running.goes_on()
        running.stops()


@pytest.mark.parametrize("how", ["stay", "stay-by-reaper"])
def test_nothing_stays(how):
    with victim() as running:
        running.rude(how, "stays")
        sessions.wait_until(lambda: len(running.agents()) > 1, "what stays")
        running.lose_agent()
        running.goes_on()
        assert len(running.agents()) == 1
        running.stops()


def made_pids(running):
    """How many pids were given in the container within a look from inside, or two."""
    def last():
        return int(running.container.exec("cat", "/proc/loadavg").stdout.split()[4])
    return abs(last() - last())


def test_nothing_stays_that_forks():
    """No list shows for sure what is another process every moment; the numbers that it uses up do."""
    with victim() as running:
        running.rude("stay-by-forks", "stays")
        sessions.wait_until(lambda: made_pids(running) > 100, "what forks")
        running.lose_agent()
        assert made_pids(running) < 20
        running.goes_on()
        assert len(running.agents()) == 1
        running.stops()


def test_nothing_holds_up_the_end():
    with victim() as running:
        for how in ("stay", "stay-by-reaper", "stay-by-forks"):
            running.rude(how, "stays")
        running.stops()
        assert running.container.stop_seconds < 3


def test_kill_all():
    with victim() as running:
        running.rude("kill-all", "kill: ")
        running.goes_on()
        running.stops()


def test_kill_all_where_nothing_keeps_it_off():
    """What the test above would see: the loop dies, and PID 1 starts another."""
    with victim(setting="off") as running:
        running.session.add_chat("rude: kill-all")
        sessions.wait_until(lambda: not sessions.is_alive(running.first_loop), "the loop's end",
                            explain=running.explain)
        running.goes_on(same_loop=False)
        running.stops()


# Descriptors and the socket


@pytest.mark.parametrize("how, expected", [
    ("descriptors", "descriptors"), ("connections", "connected"), ("flood", "MB")])
def test_descriptors(how, expected):
    with victim() as running:
        running.rude(how, expected)
        running.goes_on()
        running.lose_agent()
        running.goes_on()
        running.stops()


# Room


@contextlib.contextmanager
def small_file_system(folder, options, content=None):
    """Mounts a tmpfs there, with what the folder content holds."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], check=True)
    try:
        if content:
            shutil.copytree(content, folder, dirs_exist_ok=True)
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_folders_without_room():
    """HOME and /tmp are full, and have no name left: the next agent starts all the same."""
    session = fleet.make_session(SETTINGS["default"])
    with contextlib.closing(session), contextlib.ExitStack() as stack:
        mounts = []
        for name, place in {"tmp": "/tmp", "node": "/home/node"}.items():
            folder = session.base / name
            folder.mkdir()
            stack.enter_context(small_file_system(folder, "size=1m,nr_inodes=100,mode=1777"))
            mounts += ["-v", f"{folder}:{place}"]
        running = stack.enter_context(victim(mounts, session=session))
        running.rude("folders", "filled")
        assert os.statvfs(session.base / "tmp").f_bavail == 0
        assert os.statvfs(session.base / "tmp").f_favail == 0
        running.goes_on()
        running.lose_agent()
        running.goes_on()
        running.stops()


@contextlib.contextmanager
def small_workspace():
    """A session on a file system of its own, which has 2 MB."""
    session = fleet.make_session(SETTINGS["default"])
    aside = session.base / "aside"
    session.workspace.rename(aside)
    session.workspace.mkdir()
    with contextlib.closing(session), \
            small_file_system(session.workspace, "size=2m,mode=755", aside):
        session.own()
        yield session


def test_disk_without_room():
    """The agent's folder lies beside the databases: nothing can be said until there is room."""
    with small_workspace() as session, victim(session=session) as running:
        message = session.add_chat("rude: disk")
        fill = session.workspace / "agent/escape-fill"
        session.wait(lambda: fill.exists() and os.statvfs(fill).f_bavail == 0, "a full disk")
        assert sessions.stays(lambda: sessions.is_alive(running.container.pid()), 1)
        fill.unlink()
        session.wait(lambda: session.acks().get(message) in ("completed", "failed"), "its end")
        running.goes_on(same_loop=False)
        running.stops()


MEMORY = ["--memory=64m", "--memory-swap=64m"]


def test_memory():
    with victim(MEMORY) as running:
        running.ask("rude: memory")
        assert any("emory ran out" in text for text in running.session.texts()), running.explain()
        running.goes_on()
        running.lose_agent()
        running.goes_on()
        running.stops()


@pytest.mark.parametrize("how, what", [
    ("shared-memory", "file"), ("shared-segments", "segment")])
def test_shared_memory(how, what):
    """Memory that stays when the kernel has ended who filled it: the runner gives it back."""
    with victim(MEMORY) as running:
        assert running.ask(f"rude: {how}"), running.explain()
        running.goes_on(same_loop=False)
        # The kernel may have ended no more than the agent's child: its agent goes on then.
        running.lose_agent()
        running.goes_on(same_loop=False)
        assert re.search(rf"removed \d+ {what}s? of \d+ bytes from ", running.container.log())
        running.stops()


def test_shared_memory_of_a_loop_that_dies():
    """As if the kernel had taken the loop: PID 1 makes room, but takes nothing from HOME."""
    with victim(setting="strict") as running:
        run = running.container.exec
        made = run("sh", "-c", "touch /dev/shm/left /tmp/left /tmp/agent-home-1000/kept")
        assert made.returncode == 0, made.stderr
        os.kill(running.first_loop, signal.SIGKILL)
        running.goes_on(same_loop=False)
        there = run("sh", "-c", "ls /dev/shm /tmp /tmp/agent-home-1000").stdout.split()
        assert "kept" in there and "left" not in there, running.explain()
        running.stops()


def test_shared_memory_ends_with_the_container():
    with victim(MEMORY) as running:
        session = running.session
        message = session.add_chat("rude: shared-memory")
        time.sleep(3)
        # It may have ended by itself.
        podman("kill", "-s", "KILL", running.container.id)
        with Victim(session, SETTINGS["default"]) as second:
            second.goes_on()
            assert session.acks()[message] in ("completed", "failed")
            assert len(session.texts()) > 2, second.explain()
            second.stops()


# What the loop needs, taken away

LINKS = ["folder-link", "file-link"]


@pytest.mark.parametrize("how", LINKS)
def test_links_in_the_folder_of_the_socket(how):
    """What the loop writes there for the next agent goes nowhere else."""
    with victim() as running:
        workspace = running.session.workspace
        names = sorted(path.name for path in workspace.iterdir())
        inbound = fleet.database_rows(running.session.inbound)
        running.rude(how, "linked")
        running.lose_agent()
        running.goes_on(same_loop=False)
        assert sorted(path.name for path in workspace.iterdir()) == names
        after = fleet.database_rows(running.session.inbound)
        assert {**after, "messages_in": None} == {**inbound, "messages_in": None}
        running.stops()
        assert sorted(path.name for path in workspace.iterdir()) == names


RIGHTS = ["inbound", "outbound", "heartbeat", "outbox", "workspace", "own-folder", "socket-folder"]


@pytest.mark.parametrize("what", RIGHTS)
def test_rights_taken_away(what):
    with victim() as running:
        # "done", or that it was broken off: the loop may have to start anew for it.
        running.rude(f"chmod-{what}", "")
        running.goes_on(same_loop=False)
        running.lose_agent()
        running.goes_on(same_loop=False)
        running.stops()
        with Victim(running.session, SETTINGS["default"]) as second:
            second.goes_on()
            second.stops()
