# SPDX-License-Identifier: MIT
"""
A root file system of its own in memory, with namespaces of its own for mounts and processes, in
which agent-runner is PID 1 and root may do whatever it does: what is the machine's (/usr, /lib, …)
is mounted read-only. For what a start as root must do and must not do, without an image.

    with PrivateRoot(setup="chown 4321:20 workspace") as root:
        result = root.run("--", "id", "-u")
"""
import ctypes
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import session as sessions

# Runs as root in the new namespaces: makes the tree in the current folder, then becomes agent-runner.
MAKE = r"""
set -eu
setup=$1 options=$2 prefix=$3; shift 3
mount -t tmpfs -o mode=755 none "$PWD"
cd "$PWD"
mkdir dev etc home home/node proc root run srv tmp usr var workspace
chmod 1777 tmp
chmod 700 root
chown 1000:1000 home/node
for folder in bin sbin lib lib32 lib64; do
	if [ -L "/$folder" ]; then
		cp -P "/$folder" .
	elif [ -d "/$folder" ]; then
		mkdir "$folder"
		mount --bind "/$folder" "$folder"
		mount -o remount,bind,ro "$folder"
	fi
done
mount --bind /usr usr
mount -o remount,bind,ro usr
mount -t proc proc proc
for device in null zero full random urandom; do
	: > "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
printf 'root:x:0:0:root:/root:/bin/sh\nnode:x:1000:1000::/home/node:/bin/sh\n' > etc/passwd
printf 'root:x:0:\nnode:x:1000:\nwheel:x:77:node\n' > etc/group
[ ! -e /etc/ld.so.cache ] || cp /etc/ld.so.cache etc
[ ! -d /etc/alternatives ] || cp -a /etc/alternatives etc
mount -t tmpfs -o mode=755 none workspace
cp "$RUNNER" agent-runner
eval "$setup"
unset RUNNER
exec chroot $options . $prefix /agent-runner "$@"
"""

CLONE_NEWUSER = 0x10000000

ENVIRONMENT = {"PATH": "/usr/bin:/bin:/usr/sbin:/sbin", "ASAN_OPTIONS": "detect_leaks=0"}


class PrivateRoot:
    """
    setup: shell lines that run in the new root before agent-runner; user: "UID:GID" it is started
    as, without groups; None: root. prefix: words before agent-runner's (setpriv …).
    """

    def __init__(self, setup="", user=None, prefix="", preexec=None):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-root-"))
        self.folder.chmod(0o755)
        self.setup = setup
        self.options = f"--userspec={user} --groups=" if user else ""
        self.prefix = prefix
        self.preexec = preexec
        self.process = None

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process and self.process.poll() is None:
            sessions.kill_all(sessions.descendants(self.process.pid))
            self.process.wait()
        if self.process:
            self.process.stderr.close()
        # The mounts are gone with their namespace: the folder below them is empty.
        self.folder.rmdir()

    def _command(self, arguments):
        return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
                "sh", "-c", MAKE, "sh", self.setup, self.options, self.prefix, *arguments]

    def _options(self, env):
        return {"cwd": self.folder, "stdin": subprocess.DEVNULL, "preexec_fn": self.preexec,
                "env": {**ENVIRONMENT, "RUNNER": str(sessions.runner_path()), **(env or {})}}

    def run(self, *arguments, env=None):
        """agent-runner with these arguments, to its end."""
        return subprocess.run(self._command(arguments), **self._options(env), capture_output=True,
                              text=True, timeout=sessions.PATIENCE, check=False)

    def start(self, *arguments, env=None):
        """The same in the background; returns the pid of its PID 1 as we see it."""
        self.process = subprocess.Popen(self._command(arguments), **self._options(env),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

        def init():
            below = sessions.descendants(self.process.pid)
            return next((p for p in below if sessions.process_name(p) == "agent-runner"), None)
        return sessions.wait_until(init, "PID 1 in the new root")

    def enter(self, init, *command, user=None):
        """As `docker exec`: runs a command beside PID 1, not below it."""
        identity = ["setpriv", "--reuid", str(user), "--regid", str(user),
                    "--clear-groups"] if user else []
        return subprocess.run(
            ["nsenter", "--target", str(init), "--mount", "--pid", "--root", "--wd", *identity,
             *command], env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True,
            timeout=sessions.PATIENCE, check=False)


def rootless():
    """
    A preexec function: root of a user namespace, who is uid 5000 outside, as in rootless podman;
    and 1 to 65535 are 100001 to 165535 there.
    """
    def enter():
        ready, go = os.pipe(), os.pipe()
        helper = os.fork()
        if helper == 0:
            # It stays outside, and may write the maps there.
            os.read(ready[0], 1)
            for name in ("uid_map", "gid_map"):
                pathlib.Path(f"/proc/{os.getppid()}/{name}").write_text(
                    "0 5000 1\n1 100001 65535\n")
            os.write(go[1], b"x")
            os._exit(0)
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        os.write(ready[1], b"x")
        os.read(go[0], 1)
        os.waitpid(helper, 0)
        os.setgroups([])
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
    return enter


def parse_status(text):
    """/proc/PID/status as a dict."""
    return dict(re.split(r":\s*", line, maxsplit=1) for line in text.splitlines() if ":" in line)


def read_status(pid):
    return parse_status(pathlib.Path(f"/proc/{pid}/status").read_text())


def has_root():
    return os.getuid() == 0 and shutil.which("unshare") is not None
