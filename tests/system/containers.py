# SPDX-License-Identifier: MIT
"""
Real containers: our image, made by container/setup.sh, run by the podman that it sets up.

    with Container("sh", "-c", "exit 7") as container:
        assert container.wait() == 7
"""
import functools
import json
import os
import pathlib
import subprocess
import tempfile
import time

import session as sessions

SETUP = pathlib.Path(__file__).parent / "container/setup.sh"
IMAGE = "localhost/agent-runner:test"
# Without root the files of the test's user have to be the files of the container's user 1000.
IDENTITY = [] if os.getuid() == 0 else ["--userns=keep-id:uid=1000,gid=1000"]
# Where no systemd runs, podman complains about each HEALTHCHECK that it has no timer for it.
QUIET = "--log-level=fatal"
# Of podman's processes, those that live on for a moment after the container.
PODMANS = {"conmon", "podman", "runc", "crun", "exe"}


@functools.cache
def podman_path():
    setup = subprocess.run([SETUP], capture_output=True, text=True, check=False)
    if setup.returncode != 0:
        raise RuntimeError(f"{SETUP} failed:\n{setup.stderr}")
    return setup.stdout.strip()


@functools.cache
def image(target):
    """The name of the image that the Dockerfile's target gives, built if need be."""
    setup = subprocess.run([SETUP, target], capture_output=True, text=True, check=False)
    if setup.returncode != 0:
        raise RuntimeError(f"{SETUP} {target} failed:\n{setup.stderr}")
    return f"localhost/agent-runner:{target}"


def podman(*arguments, stdin=subprocess.DEVNULL, timeout=60, **options):
    """Runs podman to its end; stdout and stderr are text."""
    return subprocess.run([podman_path(), QUIET, *map(str, arguments)], stdin=stdin, timeout=timeout,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False,
                          **options)


def no_podman_left():
    return not any(sessions.is_alive(pid) and sessions.process_name(pid) in PODMANS
                   for pid in sessions.descendants(os.getpid()))


class Container:
    """
    A container that runs in the background. command: what stands after the image's name;
    options: what stands before it.
    """

    def __init__(self, *command, options=(), image=IMAGE):
        self.stop_seconds = None
        with tempfile.TemporaryDirectory() as folder:
            # Not through a pipe: conmon would hold its other end for as long as it lives.
            with open(f"{folder}/out", "w+", encoding="utf-8") as out, \
                    open(f"{folder}/err", "w+", encoding="utf-8") as err:
                run = subprocess.run(
                    [podman_path(), "run", "-d", *IDENTITY, *map(str, options), image, *command],
                    stdin=subprocess.DEVNULL, stdout=out, stderr=err, timeout=60, check=False,
                    # Where conmon leaves a file "oom" when the kernel kills something in it.
                    cwd=folder)
                out.seek(0)
                err.seek(0)
                self.id, problem = out.read().strip(), err.read()
        assert run.returncode == 0, problem

    def __enter__(self):
        return self

    def __exit__(self, *_):
        podman("rm", "-f", "-t", "0", self.id)
        sessions.wait_until(no_podman_left, "the end of podman's processes")

    def inspect(self):
        return json.loads(podman("inspect", self.id).stdout)[0]

    def pid(self):
        """Of the container's PID 1, as this machine counts."""
        return self.inspect()["State"]["Pid"]

    def processes(self):
        """All but PID 1: pid here -> name."""
        return {pid: sessions.process_name(pid) for pid in sessions.descendants(self.pid())}

    def find(self, name):
        """The pid here of the first process of that name, waited for."""
        def probe():
            return next((pid for pid, found in self.processes().items() if found == name), None)
        return sessions.wait_until(probe, f"a process {name}", explain=self.log)

    def log(self):
        """stdout and stderr of all that ran in it."""
        logs = podman("logs", self.id)
        return logs.stdout + logs.stderr

    def wait_log(self, text):
        sessions.wait_until(lambda: text in self.log(), repr(text), explain=self.log)

    def exec(self, *command):
        return podman("exec", self.id, *command)

    def kill(self, signal):
        done = podman("kill", "-s", signal, self.id)
        assert done.returncode == 0, done.stderr

    def wait(self):
        """Waits for its end; the exit code."""
        return int(podman("wait", self.id).stdout)

    def stop(self, patience):
        """`podman stop -t PATIENCE`; the exit code, 137 if it had to be killed."""
        before = time.monotonic()
        done = podman("stop", "-t", patience, self.id)
        self.stop_seconds = time.monotonic() - before
        assert done.returncode == 0, done.stderr
        return self.inspect()["State"]["ExitCode"]


def status(pid):
    """/proc/PID/status as a dict of its first words."""
    lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    return {line.split(":", 1)[0]: line.split(":", 1)[1].split() for line in lines}
