# SPDX-License-Identifier: MIT
"""
For all whole-program tests: MUST_WORK=1 makes a skip a failure, and no test leaves a process
behind.

pytest makes itself the reaper of orphans, so whatever escapes from under a runner becomes its
child and is seen.
"""
import ctypes
import os
import pathlib
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import mcp_client  # noqa: E402
import session as sessions  # noqa: E402
from claude_session import claude, cli, model  # noqa: E402,F401 (fixtures)

PR_SET_CHILD_SUBREAPER = 36
MUST_WORK = os.environ.get("MUST_WORK") == "1"


def pytest_configure(config):
    del config
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def _must_work(report):
    if MUST_WORK and report.skipped:
        report.outcome = "failed"
        report.longrepr = f"MUST_WORK=1, but it is skipped: {report.longrepr}"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport():
    outcome = yield
    _must_work(outcome.get_result())


@pytest.hookimpl(hookwrapper=True)
def pytest_make_collect_report():
    outcome = yield
    _must_work(outcome.get_result())


def _reap(pids):
    """Collects the dead among our own children; what a Popen object waits for is gone already."""
    for pid in pids:
        try:
            os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            pass


@pytest.fixture(autouse=True)
def no_process_left():
    before = set(sessions.descendants(os.getpid()))
    yield
    left = set(sessions.descendants(os.getpid())) - before
    alive = {pid: sessions.process_name(pid) for pid in left if sessions.is_alive(pid)}
    sessions.kill_all(left)
    sessions.wait_until(lambda: not any(sessions.is_alive(p) for p in left), "the death of leftovers")
    _reap(left)
    assert not alive, f"processes left behind: {alive}"


@pytest.fixture
def make_session():
    """Makes Session objects and closes them at the end of the test."""
    made = []

    def make(**options):
        made.append(sessions.Session(**options))
        return made[-1]
    yield make
    for one in made:
        one.close()


@pytest.fixture
def session(make_session):
    """A session with the mock provider, not started."""
    return make_session()


@pytest.fixture
def connect():
    """Clients of a session's server; closed at the end of the test."""
    clients = []

    def make(session, version=mcp_client.LEGACY[-1], env=None):
        def attempt():
            # The loop makes its socket a moment after its start.
            try:
                return mcp_client.connect(session, version, env)
            except (AssertionError, BrokenPipeError, mcp_client.McpError) as error:
                failures.append(error)
                return None
        failures = []
        clients.append(sessions.wait_until(
            attempt, "a connection", explain=lambda: f"{failures[-1]}\n{session.explain()}"))
        return clients[-1]
    yield make
    for client in clients:
        client.kill()
