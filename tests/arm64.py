# SPDX-License-Identifier: MIT
"""
What of the tests runs on the arm64 build under qemu-user, and what does not, with the reason: an
emulator of programs passes system calls on, but not all of them, and its processes look like qemu.
"""
import contextlib
import ctypes
import os
import platform
import pathlib
import subprocess

BINFMT = pathlib.Path("/proc/sys/fs/binfmt_misc")
NAME = "agent-runner-arm64"
# As Debian registers it. P: argv[0] is kept (ncl); F: it works in other roots, too.
HANDLER = (rb":" + NAME.encode() + rb":M::"
           rb"\x7f\x45\x4c\x46\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:"
           rb"\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:"
           rb"/usr/libexec/qemu-binfmt/aarch64-binfmt-P:OPF")

SUBREAPER = "qemu has no PR_SET_CHILD_SUBREAPER: orphans go to the machine's init"
FILTER = "qemu installs no system call filter"
LANDLOCK = "qemu has no Landlock"
CMDLINE = "the command line that /proc shows of an emulated process is qemu's"
SLOW = "takes a minute when emulated, and makes no system calls"

# Unit tests, by meson's names.
LEFT_OUT = {
    "runner/io/child": SUBREAPER,
    "runner/io/orphans": SUBREAPER,
    "runner/io/denied": FILTER,
    "runner/task/script": SUBREAPER,
    "runner/agent": SUBREAPER,
    "runner/once": SUBREAPER,
    "runner/intake": "it lets allocations fail one by one, and waits too short for an emulator",
    "runner/io/json": SLOW,
    "runner/io/json-mend": SLOW,
    "runner/mcp/ncl-print": SLOW,
    "runner/mcp/server": "its rpc_settle() gives up on thousands of requests before qemu is through",
    "runner/message/dispatch": SLOW,
    "runner/message/format-long": SLOW,
    "entrypoint/cli-process": CMDLINE,
    "entrypoint/dropin": "it executes copies of itself, and /proc/self/exe is qemu in them",
    "entrypoint/family": SUBREAPER,
    "entrypoint/grant": LANDLOCK,
    "entrypoint/grant-review": LANDLOCK,
    "entrypoint/healthcheck": CMDLINE,
    "entrypoint/init": SUBREAPER,
    "entrypoint/landlock": LANDLOCK,
    "entrypoint/privileges": FILTER,
    "entrypoint/proc": CMDLINE,
    "entrypoint/reap": SUBREAPER,
    "entrypoint/seccomp": FILTER,
    "entrypoint/signals": "qemu keeps some signals to itself",
}

# Whole-program tests: files below tests/system, and what is left out of them.
SYSTEM = {
    "test_arm64.py": {},
    "test_session.py": {
        "test_memory_goes_back_when_there_is_nothing_to_do": "the memory of its processes is qemu's",
        "test_without_a_configuration_there_are_defaults": "warns of the protections that qemu lacks",
        "test_unknown_keys_are_ignored": "warns of the protections that qemu lacks",
    },
    "test_once.py": {
        "test_a_v1_host_s_workspace_is_not": "warns of the protections that qemu lacks",
        "test_a_stop_before_the_answer_is_an_error_frame": CMDLINE,
    },
}


# rt_sigaction(2) by its number: glibc's sigaction(3) refuses the signals that it uses itself.
RT_SIGACTION = {"x86_64": 13, "aarch64": 134}


def reset_hidden_signals():
    """
    Sets signals 32 and 33 to their default, for the tests that are started next: make(1) hands them
    on ignored (by glibc's posix_spawn), and what is emulated cannot change that: qemu uses 32 itself.
    """
    for signo in (32, 33):
        ctypes.CDLL(None).syscall(RT_SIGACTION[platform.machine()], signo, bytes(64), None,
                                  ctypes.c_size_t(8))


def is_runnable(binary):
    try:
        return subprocess.run([binary, "--version"], capture_output=True,
                              check=False).returncode == 0
    except OSError:
        return False


@contextlib.contextmanager
def emulation(binary):
    """The kernel starts arm64 programs under qemu: as the machine does it, or registered here."""
    registered = False
    try:
        if not is_runnable(binary):
            if not (BINFMT / "register").exists():
                subprocess.run(["mount", "-t", "binfmt_misc", "binfmt_misc", BINFMT], check=True)
            (BINFMT / "register").write_bytes(HANDLER)
            registered = True
        yield
    finally:
        if registered:
            (BINFMT / NAME).write_text("-1")


def can_emulate(binary):
    return os.getuid() == 0 or is_runnable(binary)
