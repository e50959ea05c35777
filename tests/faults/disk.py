# SPDX-License-Identifier: MIT
"""
Disks that are really full, for a while: the workspace on a small file system of its own, which
somebody else fills at a chosen step of the story and empties a moment later.

Needs the right to mount: root, or a user namespace (run.py sees to both).
"""
import ctypes
import os
import pathlib
import shutil
import subprocess
import time

OUTAGE = 0.3
FILLER = "filler"
# A start wants 1 MiB and 16 inodes to be free.
IMAGE_BYTES = 4 * 1024 * 1024
# Between a step of the story and the moment at which the disk is full.
DELAYS = (0.0, 0.004, 0.015)

_libc = ctypes.CDLL(None, use_errno=True)


def _check(result, what):
    if result != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{what}: {os.strerror(error)}")


def _mount(source, target, kind, options):
    _check(_libc.mount(source.encode(), str(target).encode(), kind.encode(), 0,
                       options.encode()), f"mount {kind}")


class Disk:
    """A small file system in the place of a session's workspace."""

    def __init__(self, kind, session):
        self.session = session
        self.workspace = session.workspace
        self._kind = kind
        aside = session.base / "aside"
        shutil.copytree(self.workspace, aside)
        if kind == "ext4":
            self._mount_image()
        else:
            limit = "size=2m" if kind == "tmpfs" else "size=8m,nr_inodes=64"
            _mount("tmpfs", self.workspace, "tmpfs", f"{limit},mode=755")
        shutil.copytree(aside, self.workspace, dirs_exist_ok=True)
        shutil.rmtree(aside)
        session.own()

    def _mount_image(self):
        image = self.session.base / "image"
        with open(image, "wb") as file:
            file.truncate(IMAGE_BYTES)
        subprocess.run(["/sbin/mkfs.ext4", "-q", "-m", "0", "-b", "1024", "-N", "128",
                        "-O", "^has_journal", str(image)], check=True)
        subprocess.run(["mount", "-o", "loop", str(image), str(self.workspace)], check=True)
        (self.workspace / "lost+found").rmdir()

    def fill(self):
        """Until nothing more goes in; what others give up meanwhile is taken, too."""
        folder = self.workspace / FILLER
        try:
            folder.mkdir(exist_ok=True)
            if self._kind == "inodes":
                while True:
                    (folder / f"{len(os.listdir(folder))}").touch()
            with open(folder / "bytes", "ab", buffering=0) as file:
                for size in (65536, 4096, 512, 64, 1):
                    self._fill_by(file, size)
        except OSError:
            pass

    @staticmethod
    def _fill_by(file, size):
        try:
            while file.write(bytes(size)) == size:
                pass
        except OSError:
            pass

    def empty(self):
        shutil.rmtree(self.workspace / FILLER, ignore_errors=True)

    def close(self):
        _check(_libc.umount2(str(self.workspace).encode(), 2), "umount")


class Outage:
    """Story.on_tick: fills the disk when the story comes to this step, and empties it again."""

    def __init__(self, disk, step, delay):
        self._disk = disk
        self._step = step
        self._delay = delay
        self._due = None
        self._until = None
        self.happened = False

    def __call__(self, story):
        now = time.monotonic()
        if self._due is None and story.steps >= self._step:
            self._due = now + self._delay
        if self._until is None:
            if self._due is None or now < self._due:
                return
            self._until = now + OUTAGE
            self.happened = True
        if now < self._until:
            self._disk.fill()
        elif self._until != float("-inf"):
            self._disk.empty()
            self._until = float("-inf")


def kinds():
    """Those that can be made here."""
    found = ["tmpfs", "inodes"]
    if os.getuid() == 0 and pathlib.Path("/sbin/mkfs.ext4").exists() and \
            pathlib.Path("/dev/loop-control").exists():
        found.append("ext4")
    return found


def can_mount():
    """Is this process in a mount namespace of its own, and may it mount?"""
    return os.environ.get("FAULT_NAMESPACE") == "1"


def namespace_command(command):
    """The command, run where it may mount; None: that is nowhere."""
    if shutil.which("unshare") is None:
        return None
    options = ["-m"] if os.getuid() == 0 else ["-Um", "--map-current-user", "--keep-caps"]
    probe = subprocess.run(["unshare", *options, "true"], capture_output=True, check=False)
    return ["unshare", *options, *command] if probe.returncode == 0 else None
