# SPDX-License-Identifier: MIT
"""
In real containers, started the ways that hosts start them: what an agent CLI keeps below HOME is
there again in the next container, and its temporary files have a place.
"""
import os
import pathlib
import shutil

import pytest

import landlock
from containers import Container

FAKE = pathlib.Path(__file__).parent / "fake_claude.sh"
READ_ONLY = ["--read-only", "--tmpfs", "/tmp"]

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")


class Kept:
    """A session whose CLI tells what it finds in HOME; state: a folder to be mounted there."""

    def __init__(self, session, uid=1000):
        self.session = session
        self.state = session.base / "state"
        self.state.mkdir()
        place = session.base / "cli"
        place.mkdir(mode=0o755)
        shutil.copy(FAKE, place / "claude")
        self.options = ["-v", f"{place}:/cli:ro", "-e", "AGENT_CLAUDE_PATH=/cli/claude",
                        "-e", "AGENT_RETRY_MS=10"]
        for path in [self.state, session.workspace, *session.workspace.rglob("*")]:
            os.chown(path, uid, uid)

    def start(self, *options, workspace="/workspace"):
        return Container(*([] if workspace == "/workspace" else [f"--workspace={workspace}"]),
                         options=[*self.options, "-v", f"{self.session.workspace}:{workspace}",
                                  *options])

    def ask(self, container):
        """What was kept from the last time, what went wrong, and HOME and TMPDIR."""
        before = len(self.session.texts())
        message = self.session.add_chat("what is kept?")
        self.session.wait_ack(message)
        texts = self.session.texts()[before:]
        assert len(texts) == 1, container.log()
        kept, wrong, places = texts[0].split("; ")
        return kept.removeprefix("kept: "), wrong.removeprefix("wrong: "), places

    def check(self, places, *options, workspace="/workspace"):
        """Two containers, one after the other."""
        for number in range(2):
            with self.start(*options, workspace=workspace) as container:
                kept, wrong, found = self.ask(container)
                assert (wrong, found) == ("", places), container.log()
                assert (kept == "it") == (number == 1), kept
                log = container.log()
                # A client beside the loop finds its socket without knowing our environment.
                served = container.exec("agent-runner", "--healthcheck",
                                        f"--workspace={workspace}")
                assert served.returncode == 0, served.stdout + served.stderr
                # Nobody plays the host, so it would wait for the answer.
                listed = container.exec("timeout", "1", "env", f"AGENT_WORKSPACE={workspace}",
                                        "ncl", "help")
                assert "no session loop serves" not in listed.stderr, listed.stderr
        return log


@pytest.fixture
def kept(make_session):
    landlock.need(1)
    return Kept(make_session(provider="claude"))


@pytest.fixture
def kept_by_another(make_session):
    landlock.need(1)
    return Kept(make_session(provider="claude"), 1234)


def test_a_read_only_root(kept):
    """As NanoClaw mounts it."""
    log = kept.check("/tmp/agent-home-1000 none", *READ_ONLY, "-v",
                     f"{kept.state}:/home/node/.claude")
    assert "HOME is /tmp/agent-home-1000: /home/node cannot be written by uid 1000" in log
    assert (kept.state / "x").read_text() == "it\n"


def test_another_user(kept_by_another):
    """podman makes a passwd entry for it, with the workspace as its home."""
    kept_by_another.check("/workspace/.home none", "--user=1234:1234", "-e", "HOME=/home/node",
                          "-v", f"{kept_by_another.state}:/home/node/.claude")
    assert (kept_by_another.state / "x").read_text() == "it\n"


def test_another_user_in_a_read_only_root(kept_by_another):
    kept_by_another.check("/workspace/.home none", *READ_ONLY, "--user=1234:1234", "-e",
                          "HOME=/home/node", "-v", f"{kept_by_another.state}:/home/node/.claude")
    assert (kept_by_another.state / "x").read_text() == "it\n"


def test_another_user_without_a_passwd_entry(kept_by_another):
    kept_by_another.check("/tmp/agent-home-1234 none", "--user=1234:1234", "--passwd=false", "-e",
                          "HOME=/home/node", "-v", f"{kept_by_another.state}:/home/node/.claude")
    assert (kept_by_another.state / "x").read_text() == "it\n"


def test_another_user_with_nothing_mounted(kept_by_another):
    kept_by_another.check("/workspace/.home none", "--user=1234:1234")
    assert (kept_by_another.session.workspace / ".home/.claude/x").read_text() == "it\n"


def test_home_is_the_workspace(kept):
    log = kept.check("/workspace/.home none", "-e", "HOME=/workspace")
    assert "HOME is /workspace/.home: /workspace holds the workspace" in log
    assert (kept.session.workspace / ".home/.claude/x").read_text() == "it\n"


def test_settings_in_the_workspace(kept):
    """What was made there as long as that was HOME, or is mounted there."""
    kept.check("/workspace/.home none", "-e", "HOME=/workspace", "-v",
               f"{kept.state}:/workspace/.claude")
    assert (kept.state / "x").read_text() == "it\n"


def test_home_above_the_workspace(kept):
    kept.check("/home/node/work/.home none", "-v", f"{kept.state}:/home/node/.claude",
               workspace="/home/node/work")
    assert (kept.state / "x").read_text() == "it\n"


def test_a_workspace_below_tmp(kept):
    log = kept.check("/home/node /tmp/agent-tmp-1000", "-v", f"{kept.state}:/home/node/.claude",
                     workspace="/tmp/work")
    assert "TMPDIR is /tmp/agent-tmp-1000: /tmp holds the workspace" in log
    assert (kept.state / "x").read_text() == "it\n"
