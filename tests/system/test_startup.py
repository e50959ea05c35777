# SPDX-License-Identifier: MIT
"""
What happens between the fork and the work: who the children are, what they may still do, what the
workspace has to be, what they find in their environment. Each test has a root file system of its own.
"""
import ctypes
import errno
import fcntl
import json
import os
import platform
import signal
import struct
import subprocess

import pytest
import session as sessions
from private_root import PrivateRoot, has_root, parse_status, read_status, rootless

pytestmark = pytest.mark.skipif(not has_root(), reason="needs root for namespaces")

ALL_SETS = ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]
NONE = "0000000000000000"
KEPT_BY_INIT = 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8  # KILL SETGID SETUID SETPCAP

# Denied calls as a hostile child tries them; prints {name: errno or 0}.
ATTACKS = r"""
import ctypes, json, os, platform, socket
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
number = {"x86_64": {"bpf": 321, "keyctl": 250, "kexec_load": 246, "perf": 298, "ioctl": 16},
          "aarch64": {"bpf": 280, "keyctl": 219, "kexec_load": 104, "perf": 241, "ioctl": 29},
          }[platform.machine()]
parent = os.getppid()

def call(name, *arguments):
    ctypes.set_errno(0)
    r = libc.syscall(ctypes.c_long(number.get(name, name)), *map(ctypes.c_long, arguments))
    return ctypes.get_errno() if r < 0 else 0

def act(fn, *arguments):
    ctypes.set_errno(0)
    return ctypes.get_errno() if fn(*arguments) < 0 else 0

def opened(path, mode="rb"):
    try:
        with open(path, mode) as file:
            file.read(1)
        return 0
    except OSError as error:
        return error.errno

def socketed(family):
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
        return 0
    except OSError as error:
        return error.errno

master, slave = os.openpty() if os.path.exists("/dev/ptmx") else (-1, -1)
print(json.dumps({
    "mount": act(libc.mount, b"none", b"/tmp", b"tmpfs", 0, None),
    "umount": act(libc.umount2, b"/proc", 2),
    "chroot": act(libc.chroot, b"/tmp"),
    "unshare user": act(libc.unshare, 0x10000000),
    "unshare mount": act(libc.unshare, 0x20000),
    "setns": act(libc.setns, 0, 0),
    "keyctl": call("keyctl", 0, -2, 0),
    "bpf": call("bpf", 0, 0, 0),
    "perf": call("perf", 0, 0, -1, -1, 0),
    "kexec": call("kexec_load", 0, 0, 0, 0),
    "clone3": call(435, 0, 0),
    "io_uring": call(425, 1, 0),
    "tiocsti": call("ioctl", slave, 0x5412, 0),
    "tiocsti, high bits": call("ioctl", slave, 0x5412 | 1 << 40, 0),
    "alg": socketed(38), "vsock": socketed(40), "unix": socketed(socket.AF_UNIX),
    "ptrace init": act(libc.ptrace, 16, parent, None, None),
    "init's memory": opened(f"/proc/{parent}/mem"),
    "init's environment": opened(f"/proc/{parent}/environ"),
    "setuid": act(libc.setresuid, 0, 0, 0),
    "own thread": 0 if __import__("threading").Thread(target=int).start() is None else 1,
    "own child": os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)[1],
}))
"""
DENIED = {
    "mount": errno.EPERM, "umount": errno.EPERM, "chroot": errno.EPERM,
    "unshare user": errno.EPERM, "unshare mount": errno.EPERM, "setns": errno.EPERM,
    "keyctl": errno.EPERM, "bpf": errno.EPERM, "perf": errno.EPERM, "kexec": errno.EPERM,
    "clone3": errno.ENOSYS, "io_uring": errno.ENOSYS, "tiocsti": errno.EPERM,
    "tiocsti, high bits": errno.EPERM, "alg": errno.EAFNOSUPPORT, "vsock": errno.EAFNOSUPPORT,
    "ptrace init": errno.EPERM, "init's memory": errno.EACCES,
    "init's environment": errno.EACCES, "setuid": errno.EPERM,
    "unix": 0, "own thread": 0, "own child": 0,
}


@pytest.fixture
def root():
    with PrivateRoot() as made:
        yield made


def status_of(root, *options, **more):
    """/proc/self/status of a command."""
    result = root.run(*options, "--", "cat", "/proc/self/status", **more)
    assert result.returncode == 0, result.stderr
    return parse_status(result.stdout)


def check_no_rights(status, bounding=NONE):
    assert {name: status[name] for name in ALL_SETS} == {
        **dict.fromkeys(ALL_SETS, NONE), "CapBnd": bounding}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"


def owners(root, *paths, setup, options=()):
    """Who owns these after a start: {path: "UID:GID"}."""
    root.setup = setup
    result = root.run(*options, "--", "stat", "-c", "%n %u:%g", *paths)
    assert result.returncode == 0, result.stderr
    return dict(line.split(" ") for line in result.stdout.splitlines())


# Who the children are


@pytest.mark.parametrize("setup, options, ids, groups", [
    ("", [], "1000:1000", "77"),
    ("chown 501:20 workspace", [], "501:20", ""),
    ("chown 501:20 workspace", ["--user=4321:4322"], "4321:4322", ""),
    ("", ["--user=4321"], "4321:4321", ""),
    ("", ["--user=node"], "1000:1000", "77"),
    ("", ["--user=node:wheel"], "1000:77", ""),
    ("chown 501:20 workspace", ["--allow-root"], "0:0", None),
])
def test_root_becomes_the_user(root, setup, options, ids, groups):
    root.setup = setup
    status = status_of(root, *options)
    uid, gid = ids.split(":")
    assert status["Uid"].split() == [uid] * 4
    assert status["Gid"].split() == [gid] * 4
    if groups is not None:
        assert status["Groups"].strip() == groups
    check_no_rights(status)


def test_not_root_stays(root):
    root.options = "--userspec=4321:4322 --groups=55"
    root.setup = "chown 501:20 workspace"
    status = status_of(root)
    assert status["Uid"].split() == ["4321"] * 4
    # What the runtime gave it.
    assert "55" in status["Groups"].split()
    # It cannot drop the bounding set, and with no_new_privs it cannot use it.
    check_no_rights(status, status["CapBnd"])


@pytest.mark.parametrize("user, option, code, text", [
    ("4321:4322", "--user=4321:4322", 0, ""),
    ("4321:4322", "--user=1000", 77, "--user 1000: only root can become another user, and this is "
                                     "uid 4321; start the container with --user 1000:1000"),
    (None, "--user=0", 64, "--user 0 is root: to stay root, say --allow-root"),
    (None, "--user=joe", 64, "--user joe: /etc/passwd has no user \"joe\""),
])
def test_users_that_cannot_be(root, user, option, code, text):
    root.options = f"--userspec={user} --groups=" if user else ""
    result = root.run(option, "--", "true")
    assert result.returncode == code, result.stderr
    assert text in result.stderr


def test_a_failed_switch_ends_the_start(root):
    root.prefix = "setpriv --bounding-set=-setuid"
    result = root.run("--", "echo", "started")
    assert result.returncode == 77
    assert result.stdout == ""
    assert "cannot become 1000:1000 (start the container with --user 1000:1000, or give it " \
           "CAP_SETUID and CAP_SETGID)" in result.stderr


# What they may still do


@pytest.mark.parametrize("options, user", [
    ([], None),
    (["--allow-root"], None),
    ([], "4321:4321"),
])
def test_attacks_fail(root, options, user):
    root.options = f"--userspec={user} --groups=" if user else ""
    result = root.run(*options, "--", "/usr/bin/python3", "-c", ATTACKS)
    assert result.returncode == 0, result.stderr
    wanted = dict(DENIED)
    if "--allow-root" in options:
        # setresuid(0, 0, 0) changes nothing for root without capabilities. Root's files are open
        # to root; /proc/1 is too, were it not for the check that ptrace makes.
        wanted["setuid"] = 0
    assert json.loads(result.stdout) == wanted


def test_the_same_as_a_careful_host_starts_it(root):
    """--cap-drop=ALL --security-opt no-new-privileges --user 4321:4321 --read-only --tmpfs /tmp"""
    root.setup = "mount -t tmpfs -o mode=1777 none tmp; chmod 777 workspace; mount -o remount,ro ."
    root.options = "--userspec=4321:4321 --groups="
    root.prefix = "setpriv --no-new-privs"
    result = root.run("--", "sh", "-c",
                      "cat /proc/self/status; echo HOME: $HOME; touch $HOME/a /workspace/b")
    assert result.returncode == 0, result.stderr
    status = parse_status(result.stdout)
    check_no_rights(status, status["CapBnd"])
    assert status["HOME"] == "/tmp/agent-home-4321"


def test_root_without_capabilities(root):
    """--user 0 --cap-drop=ALL"""
    root.prefix = "setpriv --bounding-set=-all"
    status = status_of(root, "--allow-root")
    assert status["Uid"].split() == ["0"] * 4
    check_no_rights(status)
    result = root.run("--", "true")
    assert result.returncode == 77
    assert "cannot become 1000:1000" in result.stderr


def test_root_without_cap_kill_passes_signals_on(root):
    """--user 0 --cap-drop=ALL --cap-add=SETUID --cap-add=SETGID"""
    root.prefix = "setpriv --bounding-set=-all,+setuid,+setgid"
    init = root.start("--", "sh", "-c", "trap 'exit 9' TERM; sleep 1000 & wait")
    sessions.wait_until(lambda: "sleep" in map(sessions.process_name, sessions.descendants(init)),
                        "the shell's child")
    status = read_status(init)
    assert status["Uid"].split() == ["1000", "0", "0", "0"]
    result = root.enter(init, "cat", "/proc/1/environ", user=1000)
    assert "Permission denied" in result.stderr
    os.kill(init, signal.SIGTERM)
    assert root.process.wait(sessions.PATIENCE) == 9


def test_the_loop_and_its_children(root):
    """The session loop cannot be read by its own uid; PID 1 keeps what it needs."""
    root.setup = "mkdir workspace/agent; echo '{\"provider\":\"mock\"}' > workspace/agent/" \
                 "container.json"
    init = root.start()
    loop = sessions.wait_until(
        lambda: next((p for p in sessions.descendants(init)
                      if sessions.process_name(p) == "agent-session"), None), "the session loop")
    status = read_status(loop)
    assert status["Uid"].split() == ["1000"] * 4
    check_no_rights(status)
    status = read_status(init)
    assert status["Uid"].split() == ["0"] * 4
    assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == KEPT_BY_INIT
    for pid in ("1", status_pid(loop)):
        for file in ("mem", "environ", "maps", "fd/0"):
            result = root.enter(init, "cat", f"/proc/{pid}/{file}", user=1000)
            assert "Permission denied" in result.stderr, (pid, file)


def status_pid(pid):
    """The pid that the process has in its own namespace."""
    return read_status(pid)["NSpid"].split()[-1]


def test_confine_by_hand(root):
    root.options = "--userspec=4321:4322 --groups="
    result = root.run("confine", "--role=agent", "--", "sh", "-c",
                      "cat /proc/self/status; echo LIMIT: $(ulimit -c)")
    assert result.returncode == 0, result.stderr
    status = parse_status(result.stdout)
    check_no_rights(status, status["CapBnd"])
    assert status["LIMIT"] == "0"
    # What it lacks is the loop's to say; a child's stderr is the child's.
    assert result.stderr == ""


def list_fds(*arguments):
    """The descriptors that a command finds when a high one is handed to agent-runner."""
    with open("/dev/null", "rb") as file:
        high = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 57)
    try:
        result = subprocess.run(
            [str(sessions.runner_path()), *arguments, "ls", "/proc/self/fd"], pass_fds=[high],
            user=4321, group=4321, capture_output=True, text=True, check=True,
            # A HOME that can be written: else a fallback would stay behind.
            env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "ASAN_OPTIONS": "detect_leaks=0"})
    finally:
        os.close(high)
    return str(high), result.stdout.split()


def test_descriptors():
    high, found = list_fds("--")
    assert high in found
    # 3 is ls's own.
    assert list_fds("confine", "--role=agent", "--")[1] == ["0", "1", "2", "3"]


# Kernels that lack something


def without_seccomp():
    """As gVisor-like kernels: seccomp(2) and prctl(PR_SET_SECCOMP) are not there."""
    seccomp, prctl = {"x86_64": (317, 157), "aarch64": (277, 167)}[platform.machine()]
    load, equal, ret = 0x20, 0x15, 0x06

    def row(code, yes, no, k):
        return struct.pack("HBBI", code, yes, no, k)
    program = b"".join([
        row(load, 0, 0, 0),
        row(equal, 4, 0, seccomp),
        row(equal, 0, 2, prctl),
        row(load, 0, 0, 16),
        row(equal, 2, 0, 22),  # PR_SET_SECCOMP
        row(ret, 0, 0, 0x7fff0000),
        row(ret, 0, 0, 0x00050000 | errno.ENOSYS),
        row(ret, 0, 0, 0x00050000 | errno.EINVAL),
    ])
    buffer = ctypes.create_string_buffer(program)
    fprog = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    if ctypes.CDLL(None).prctl(22, 2, fprog, 0, 0) != 0:
        raise OSError("cannot install the filter")


def test_without_seccomp(root):
    root.preexec = without_seccomp
    result = root.run("--", "cat", "/proc/self/status")
    assert result.returncode == 0, result.stderr
    assert "agent-runner: warning: protection SECCOMP is missing: seccomp filter: Invalid argument" \
        in result.stderr
    assert parse_status(result.stdout)["CapBnd"] == NONE
    result = root.run("--", "echo", "started", env={"AGENT_PROTECTION_SECCOMP": "require"})
    assert result.returncode == 77
    assert result.stdout == ""
    assert "protection SECCOMP is required and missing: seccomp filter: Invalid argument; " \
           "AGENT_PROTECTION_SECCOMP=try goes on without it" in result.stderr
    result = root.run("--", "echo", "started", env={"AGENT_PROTECTION_SECCOMP": "off"})
    assert result.stdout == "started\n"
    assert "SECCOMP" not in result.stderr


@pytest.mark.parametrize("name, value, text", [
    ("SECCOMP", "on", "AGENT_PROTECTION_SECCOMP=on: the value is require, try or off"),
    ("CAPS", "", "AGENT_PROTECTION_CAPS=: the value is require, try or off"),
    ("SECOMP", "require", "AGENT_PROTECTION_SECOMP: there is no such protection"),
])
def test_wrong_protections(root, name, value, text):
    result = root.run("--", "echo", "started", env={f"AGENT_PROTECTION_{name}": value})
    assert result.returncode == 78
    assert result.stdout == ""
    assert text in result.stderr


def test_protections_off(root):
    status = status_of(root, "--allow-root", env={
        f"AGENT_PROTECTION_{name}": "off" for name in ("CAPS", "NO_NEW_PRIVS", "SECCOMP")})
    assert status["CapEff"] == status["CapBnd"] != NONE
    assert status["NoNewPrivs"] == "0"
    assert status["Seccomp"] == "0"


# The workspace


@pytest.mark.parametrize("setup, options, code, text", [
    ("umount workspace; rmdir workspace", [], 66, "/workspace does not exist"),
    ("umount workspace; rmdir workspace; : > workspace", [], 66, "/workspace is not a folder"),
    ("umount workspace", [], 66, "/workspace is not a mount (seen as uid 1000): what is written "
                                 "there would be lost with the container; mount a folder there"),
    ("chown 1000 workspace; mount -o remount,ro workspace", [], 73,
     "/workspace is mounted read-only: mount it read-write (uid 1000:0 has to write there)"),
    ("chmod 700 workspace", ["--user=4321:4321", "--chown=no"], 77,
     "/workspace cannot be entered by uid 4321:4321: give it to that user"),
    ("", ["--user=4321:4321", "--chown=no"], 77, "/workspace cannot be written by uid 4321:4321"),
    ("mkdir workspace/inbound.db", [], 66, "/workspace/inbound.db is not a regular file"),
    (": > workspace/inbound.db; chmod 600 workspace/inbound.db", [], 77,
     "/workspace/inbound.db cannot be read by uid 1000:1000"),
    ("umount workspace; mount -t tmpfs -o size=512k none workspace", [], 73,
     "/workspace has no space left for uid 1000 (512 KiB): free some; at least 1024 KiB"),
    ("umount workspace; mount -t tmpfs -o nr_inodes=9 none workspace", [], 73,
     "/workspace has no inodes left for uid 1000 (8): remove files"),
    ("mkdir other; chmod 700 other", ["--workspace=/other/folder"], 77,
     "/other/folder cannot be reached by uid 1000:1000"),
])
def test_bad_workspaces(root, setup, options, code, text):
    root.setup = setup
    result = root.run(*options)
    assert (result.returncode, result.stdout) == (code, ""), result.stderr
    errors = [line for line in result.stderr.splitlines() if "error: " in line]
    assert len(errors) == 1 and text in errors[0], result.stderr


def test_no_mount_check(root):
    root.setup = "umount workspace"
    init = root.start("--no-mount-check")
    sessions.wait_until(lambda: any(sessions.process_name(p) == "agent-session"
                                    for p in sessions.descendants(init)), "the session loop")


@pytest.mark.parametrize("setup", ["umount workspace; rmdir workspace", "umount workspace",
                                   "chmod 700 workspace"])
def test_a_command_needs_no_workspace(root, setup):
    root.setup = setup
    result = root.run("--user=4321:4321", "--chown=no", "--", "echo", "started")
    assert (result.returncode, result.stdout) == (0, "started\n"), result.stderr


# The chown step

TREE = """
mkdir -p workspace/agent/deep workspace/outbox workspace/inbox workspace/other
for file in inbound.db outbound.db .heartbeat agent/deep/file other/file; do
	: > workspace/$file
done
"""
GIVEN = ["/workspace", "/workspace/agent", "/workspace/outbox", "/workspace/outbound.db",
         "/workspace/.heartbeat"]
KEPT = ["/workspace/inbox", "/workspace/inbound.db", "/workspace/other", "/workspace/agent/deep",
        "/workspace/agent/deep/file", "/workspace/other/file"]


def test_top_folders_are_given(root):
    assert owners(root, *GIVEN, *KEPT, setup=TREE) == {
        **dict.fromkeys(GIVEN, "1000:1000"), **dict.fromkeys(KEPT, "0:0")}


def test_nothing_is_given(root):
    assert owners(root, *GIVEN, *KEPT, setup=TREE, options=["--chown=no"]) == dict.fromkeys(
        [*GIVEN, *KEPT], "0:0")
    assert owners(root, *GIVEN, *KEPT, setup=TREE, options=["--allow-root"]) == dict.fromkeys(
        [*GIVEN, *KEPT], "0:0")


def test_all_is_given_but_mounts(root):
    setup = TREE + """
mkdir -p srv/mounted srv/bound workspace/other/mounted workspace/other/bound
mount -t tmpfs -o mode=755 none workspace/other/mounted
: > workspace/other/mounted/file
# A mount of the same file system has the same device.
mkdir workspace/same; : > workspace/same/file
mount --bind workspace/same workspace/other/bound
: > srv/secret
ln -s /srv/secret workspace/other/link
: > workspace/hard; ln workspace/hard workspace/other/hard
"""
    kept = ["/workspace/other/mounted", "/workspace/other/mounted/file", "/srv/secret",
            "/workspace/hard", "/workspace/other/hard"]
    given = [*GIVEN, *KEPT, "/workspace/same", "/workspace/same/file"]
    assert owners(root, *given, *kept, setup=setup, options=["--chown=recursive"]) == {
        **dict.fromkeys(given, "1000:1000"), **dict.fromkeys(kept, "0:0")}


def test_a_mount_of_the_same_file_system_is_left(root):
    setup = """
mkdir workspace/inside srv/outside; : > srv/outside/file
mkdir workspace/inside/bound
mount --bind srv/outside workspace/inside/bound
"""
    assert owners(root, "/srv/outside", "/srv/outside/file", "/workspace/inside", setup=setup,
                  options=["--chown=recursive"]) == {
        "/srv/outside": "0:0", "/srv/outside/file": "0:0", "/workspace/inside": "1000:1000"}


def test_an_agent_folder_that_is_a_mount(root):
    """As NanoClaw mounts it: the group's folder, and container.json read-only inside."""
    setup = """
mkdir workspace/agent srv/group; : > srv/group/file; : > srv/group/container.json
mount --bind srv/group workspace/agent
mount --bind workspace/agent/container.json workspace/agent/container.json
mount -o remount,bind,ro workspace/agent/container.json
"""
    paths = ["/srv/group", "/srv/group/file", "/srv/group/container.json"]
    assert owners(root, *paths, setup=setup) == dict(
        zip(paths, ["1000:1000", "0:0", "0:0"]))
    assert owners(root, *paths, setup=setup, options=["--chown=recursive"]) == dict(
        zip(paths, ["1000:1000", "1000:1000", "0:0"]))


def test_read_only_mounts_are_no_error(root):
    setup = TREE + "mount -t tmpfs -o ro,mode=755 none workspace/agent"
    result = owners(root, "/workspace", "/workspace/agent", setup=setup)
    assert result == {"/workspace": "1000:1000", "/workspace/agent": "0:0"}


def test_what_an_agent_can_leave_behind(root):
    """Links in place of each entry known by name, to what root must not give away."""
    setup = """
mkdir srv/folder; : > srv/secret; : > srv/folder/file
ln -s /srv/folder workspace/agent
ln -s /srv workspace/outbox
ln -s /srv/secret workspace/outbound.db
ln -s /etc/passwd workspace/.heartbeat
chown 1000:1000 workspace
"""
    paths = ["/srv", "/srv/folder", "/srv/folder/file", "/srv/secret", "/etc/passwd"]
    for options in ([], ["--chown=recursive"]):
        assert owners(root, *paths, setup=setup, options=options) == dict.fromkeys(paths, "0:0")


@pytest.mark.parametrize("path, what", [
    ("/", "a system folder"),
    ("/etc", "a system folder"),
    ("/home", "a system folder"),
    ("/tmp", "shared by all users (sticky)"),
    ("/usr", "a system folder"),
    ("/usr/share", "inside a system folder"),
    ("/mounted", "a system folder"),
    ("/host", "the root of a system"),
    ("/proc", "a system folder"),
])
def test_system_folders_are_not_given(root, path, what):
    root.setup = """
mkdir mounted host; mount --bind etc mounted
mkdir -p host/etc host/usr/bin; : > host/etc/passwd
"""
    for options, code in (([], 0), (["--chown=recursive"], 77)):
        result = root.run(*options, f"--workspace={path}", "--user=4321:4321", "--", "stat", "-c",
                          "%u:%g", path)
        assert result.returncode == code, result.stderr
        assert what in result.stderr
        assert "gave" not in result.stderr
        if code == 0:
            assert result.stdout == "0:0\n"


def test_a_rootless_container_shares(root):
    """Root is the person who started it: given away, the folder would be lost for them."""
    root.preexec = rootless()
    root.setup = TREE + "chmod 600 workspace/outbound.db; chmod 700 workspace/agent"
    result = root.run("--", "sh", "-c", "touch /workspace/new /workspace/agent/new && "
                      "echo x >> /workspace/outbound.db && id -u && cat /proc/self/uid_map && "
                      "stat -c '%n %u:%g %a' /workspace /workspace/* /workspace/.heartbeat")
    assert result.returncode == 0, result.stderr
    assert "shared 5 of /workspace with 1000:1000" in result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "1000"
    assert lines[1].split() == ["0", "5000", "1"]
    rights = dict(line.split(" ", 1) for line in lines[3:])
    assert rights == {
        "/workspace": "0:1000 775", "/workspace/agent": "0:1000 770",
        "/workspace/outbox": "0:1000 775", "/workspace/outbound.db": "0:1000 660",
        "/workspace/.heartbeat": "0:1000 664", "/workspace/inbox": "0:0 755",
        "/workspace/inbound.db": "0:0 644", "/workspace/other": "0:0 755",
        "/workspace/new": "1000:1000 644"}
    check_no_rights(status_of(root))


# The environment


def environment_of(root, *options, env=None):
    result = root.run(*options, "--", "env", env=env)
    assert result.returncode == 0, result.stderr
    return dict(line.split("=", 1) for line in result.stdout.splitlines()), result.stderr


def test_home(root):
    environment, stderr = environment_of(root, env={"HOME": "/root"})
    # What a runtime sets for root is no home for the user.
    assert environment["HOME"] == "/home/node"
    assert environment["USER"] == "node"
    assert "HOME" not in stderr
    root.setup = "mkdir -m 777 srv/home"
    assert environment_of(root, env={"HOME": "/srv/home"})[0]["HOME"] == "/srv/home"
    environment, stderr = environment_of(root, "--user=4321:4321", env={"HOME": "/home/node"})
    assert environment["HOME"] == "/tmp/agent-home-4321"
    assert environment["USER"] == "agent"
    assert "agent-runner: HOME is /tmp/agent-home-4321: /home/node cannot be written by uid 4321: " \
           "Permission denied\n" in stderr


def test_credentials_in_a_home_that_cannot_be_written(root):
    root.setup = """
mkdir home/node/.claude; echo secret > home/node/.claude/.credentials.json
chown -R 1000:1000 home/node; chmod 755 home/node
"""
    result = root.run("--user=4321:4321", "--", "sh", "-c",
                      "cat $HOME/.claude/.credentials.json; touch $HOME/.claude/beside",
                      env={"HOME": "/home/node"})
    assert (result.returncode, result.stdout) == (0, "secret\n"), result.stderr


def home_of_a_session(root, env):
    """What is said of it, and what is there then."""
    init = root.start(env={"AGENT_PROVIDER": "mock", **env})
    sessions.wait_until(lambda: any(sessions.process_name(p) == "agent-session"
                                    for p in sessions.descendants(init)), "the session loop")
    found = root.enter(init, "stat", "-c", "%F %u %a", "/workspace/.home", "/tmp/agent-home-1000")
    os.kill(init, signal.SIGTERM)
    stderr = root.process.stderr.read().decode()
    root.process.wait(sessions.PATIENCE)
    return [line for line in stderr.splitlines() if "HOME" in line], found.stdout


@pytest.mark.parametrize("more, said, found", [
    ("", "/workspace/.home: /workspace holds the workspace, whose files are guarded",
     "directory 1000 700\n"),
    # What an earlier agent put there is not followed.
    ("ln -s /srv workspace/.home", "/tmp/agent-home-1000: /workspace/.home: Not a directory",
     "symbolic link 0 777\ndirectory 1000 700\n"),
    ("mkdir -m 777 workspace/.home",
     "/tmp/agent-home-1000: /workspace/.home belongs to uid 0",
     "directory 0 777\ndirectory 1000 700\n"),
])
def test_a_session_whose_home_is_the_workspace(root, more, said, found):
    root.setup = f"mkdir workspace/agent; chown -R 1000:1000 workspace; {more}"
    assert home_of_a_session(root, {"HOME": "/workspace"}) == (
        [f"agent-runner: HOME is {said}"], found)


def test_the_meant_home_is_told(root):
    options = ["--user=4321:4321", "--"]
    told = root.run(*options, "env", env={"HOME": "/home/node", "RUNNER_HOST_HOME": "/etc"})
    assert "RUNNER_HOST_HOME=/home/node\n" in told.stdout, told.stderr
    for home in ("/tmp", "/nonexistent"):
        told = root.run(*options, "env", env={"HOME": home, "RUNNER_HOST_HOME": "/etc",
                                              "RUNNER_TMPDIR": "/etc"})
        assert told.returncode == 0 and "RUNNER_" not in told.stdout, told.stdout


def test_a_home_that_is_a_link_of_an_earlier_agent(root):
    root.setup = "mkdir -m 777 srv/trap; ln -s /srv/trap tmp/agent-home-4321; " \
                 "chown -h 4321:4321 tmp/agent-home-4321"
    result = root.run("--user=4321:4321", "--", "sh", "-c",
                      "echo $HOME; stat -c %F $HOME; ls -A /srv/trap", env={"HOME": "/root"})
    assert result.stdout == "/tmp/agent-home-4321\ndirectory\n", result.stderr


def test_a_command_has_its_home_in_the_workspace(root):
    root.setup = "chown -R 1000:1000 workspace"
    environment, stderr = environment_of(root, env={"HOME": "/workspace"})
    assert environment["HOME"] == "/workspace"
    assert "HOME" not in stderr and "TMPDIR" not in environment


def test_git_works_for_anybody(root):
    """A repository of somebody else's, a uid without name, no settings."""
    root.setup = """
mkdir workspace/agent
HOME=/nonexistent git init -q workspace/agent
chown -R 501:20 workspace; chmod -R a+rwX workspace
"""
    result = root.run("--user=4321:4321", "--chown=no", "--", "sh", "-c",
                      "cd /workspace/agent && git commit -q --allow-empty -m x && "
                      "git log --format='%an <%ae>'")
    assert (result.returncode, result.stdout) == (0, "Agent <agent@localhost>\n"), result.stderr
