# SPDX-License-Identifier: MIT
"""
The static binary in a root that holds nothing else but folders: no libc, no shell, no tzdata, no
/etc. It is what an image FROM scratch, or one of another libc, makes of it.
"""
import os
import pathlib
import shutil
import subprocess
import tempfile

import pytest

import session as sessions

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATIC = pathlib.Path(os.environ.get("AGENT_RUNNER_STATIC", ROOT / "build-static/agent-runner"))

# $1 a session's workspace, $2 the binary; then what is called in the root.
MAKE = r"""
set -eu
workspace=$1 binary=$2; shift 2
mount -t tmpfs -o mode=755 none "$PWD"
cd "$PWD"
mkdir dev proc tmp workspace
chmod 1777 tmp
mount -t proc proc proc
: > dev/null
mount --bind /dev/null dev/null
mount --bind "$workspace" workspace
cp "$binary" agent-runner
exec chroot --userspec="$OWNER" --groups= . "$@"
"""

# What a libc may look for and an empty root lacks: libraries, NSS, character sets, languages.
FOREIGN = (".so", "/etc/nsswitch", "/etc/ld", "gconv", "locale")

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="only root makes a root file system")


@pytest.fixture(autouse=True)
def folder():
    """Where the root is mounted, in a namespace that ends with the test."""
    if not STATIC.exists():
        pytest.skip(f"{STATIC} is not built; make static")
    path = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-empty-"))
    path.chmod(0o755)
    yield path
    path.rmdir()


def command(session, folder, *words, before=()):
    owner = f"{sessions.UID}:{sessions.GID}"
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
            f"--wd={folder}", "env", f"OWNER={owner}", "sh", "-c", MAKE, "sh", session.workspace,
            STATIC, *before, "/agent-runner", *words]


def run(session, folder, *words, stdin=None, **env):
    source = {"stdin": subprocess.DEVNULL} if stdin is None else {"input": stdin}
    return subprocess.run(command(session, folder, *words), **source, capture_output=True,
                          text=True, env={"PATH": os.environ["PATH"], **env},
                          timeout=sessions.PATIENCE, check=False)


def test_it_needs_no_library():
    said = subprocess.run(["readelf", "-lWd", STATIC], capture_output=True, text=True,
                          check=True).stdout
    assert "INTERP" not in said and "(NEEDED)" not in said
    # Position independent, nothing relocatable stays writable, no executable stack.
    assert "DYN (" in said and "GNU_RELRO" in said
    assert [line.split()[-2] for line in said.splitlines() if "GNU_STACK" in line] == ["RW"]


def test_it_says_its_version(session, folder):
    result = run(session, folder, "--version")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("agent-runner ")


def test_it_is_init_for_a_command(session, folder):
    result = run(session, folder, "--", "/agent-runner", "--version", HOME="/tmp")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("agent-runner ")


def test_a_command_that_is_not_there(session, folder):
    result = run(session, folder, "--", "sh")
    assert result.returncode == 127, result.stderr


def test_once(session, folder):
    request = '{"prompt":"hi","groupFolder":"g","chatJid":"g@g.us","isMain":false}'
    result = run(session, folder, stdin=request, AGENT_PROVIDER="mock")
    assert result.returncode == 0, result.stderr
    assert "echo: hi" in result.stdout


def test_a_session(session, folder):
    """Messages are answered, the probe calls it healthy from beside it, and it ends when asked to."""
    session.add_chat("to scratch")
    session.start(command=command(session, folder), user=(0, 0), env={"TZ": "Europe/Berlin"})
    assert session.wait_answer().text == "echo: to scratch"
    init = next(p for p in sessions.descendants(session.process.pid)
                if sessions.process_name(p) == "agent-runner")
    probe = subprocess.run(
        ["nsenter", f"--target={init}", "--mount", "--pid", "--root", "--wd",
         f"--setuid={sessions.UID}", f"--setgid={sessions.GID}", "/agent-runner", "--healthcheck"],
        capture_output=True, text=True, timeout=sessions.PATIENCE, check=False)
    assert probe.returncode == 0, probe.stdout + probe.stderr
    os.kill(init, sessions.signal.SIGTERM)
    assert session.wait_exit() == 0, session.explain()


@pytest.mark.skipif(shutil.which("strace") is None, reason="needs strace")
def test_it_opens_nothing_of_a_libc(session):
    """With all of a system around it, too: else it might work differently there."""
    trace = session.base / "trace"
    trace.mkdir(mode=0o777)
    trace.chmod(0o777)
    session.add_chat("traced")
    session.start(command=["strace", "-ff", "-qq", "-e", "trace=open,openat,execve", "-o",
                           str(trace / "of"), str(STATIC), "--workspace", str(session.workspace)],
                  env={"AGENT_PROTECTION_UNDUMPABLE": "off"})
    assert session.wait_answer().text == "echo: traced"
    init = next(p for p in sessions.descendants(session.process.pid)
                if sessions.process_name(p) == "agent-runner")
    os.kill(init, sessions.signal.SIGTERM)
    session.wait_exit()
    lines = [line for file in trace.iterdir() for line in file.read_text().splitlines()]
    assert any("inbound.db" in line for line in lines)
    assert not [line for line in lines if any(word in line for word in FOREIGN)]
