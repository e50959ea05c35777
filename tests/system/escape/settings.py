# SPDX-License-Identifier: MIT
"""
How hosts start containers, and what is open to the agent in each: every attempt of agent.c stands
here once, under what closes it.
"""
import dataclasses

OFF = [f"--env=AGENT_PROTECTION_{name}=off" for name in ("LANDLOCK", "SECCOMP", "UNDUMPABLE")]


@dataclasses.dataclass(frozen=True)
class Setting:
    """
    options: podman's; arguments: agent-runner's; owner: of the session's folder, as this machine
    counts (None: as it is); config: what container.json holds besides the provider;
    is_config_hosts: it is a mount of its own that the container cannot write, as hosts make it.
    """
    what: str
    options: tuple = ()
    arguments: tuple = ()
    owner: int = None
    config: dict = dataclasses.field(default_factory=dict, hash=False)
    is_config_hosts: bool = True


SETTINGS = {
    "default": Setting("podman's defaults"),
    "privileged": Setting("--privileged, as root, without the runtime's filter", (
        "--privileged", "--security-opt", "seccomp=unconfined", "--user", "root")),
    "root": Setting("the same, with --allow-root: the agent has user id 0", (
        "--privileged", "--security-opt", "seccomp=unconfined", "--user", "root"),
        arguments=("--allow-root",), owner=0),
    "strict": Setting("read-only, no capabilities, no new privileges; TCP limited to port 443", (
        "--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL", "--security-opt", "no-new-privileges"),
        config={"sandbox": {"connect": [443], "bind": []}}),
    "userns": Setting("in a user namespace", ("--uidmap", "0:100000:65536"), owner=101000),
    "off": Setting("podman's defaults; Landlock, the filter and undumpable switched off",
                   tuple(OFF)),
}

# Where attempts are seen to work, besides `off`: with nothing in their way that could be left out.
BARE = Setting("all protections switched off, without the runtime's filter", (
    *OFF, "--env=AGENT_PROTECTION_NO_NEW_PRIVS=off", "--env=AGENT_PROTECTION_CAPS=off",
    "--security-opt", "seccomp=unconfined"), is_config_hosts=False)
# Without agent-runner.
UNCONFINED = ("--privileged", "--user", "root", "--cgroupns=host")

# What closes them. Where two do, the one that is missing in `off`.

LANDLOCK = """
    read-inbound read-outbound read-by-dots read-by-self-root read-by-self-cwd read-by-thread-self
    read-by-symlink read-by-hard-link read-by-path-descriptor read-journal
    write-inbound write-outbound write-by-symlink append-inbound truncate-inbound truncate-outbound
    open-truncating map-inbound lock-outbound unlink-inbound unlink-outbound rename-over-inbound
    rename-away-inbound exchange-outbound rename-agent-folder forge-journal forge-outbound-journal
    forge-wal forge-journal-by-link create-in-workspace mkdir-in-workspace symlink-in-workspace
    write-outbox write-inbox write-heartbeat unlink-heartbeat
    own-oom-score
    init-kill init-pidfd-signal
    loop-kill-0 loop-kill loop-stop loop-tgkill loop-tkill loop-sigqueue loop-group
    loop-pidfd-signal loop-sigio loop-lease abstract-socket
    exec-again memfd-exec loader-exec run-confine run-command
"""
UNDUMPABLE = """
    init-mem init-environ init-maps init-root init-cwd init-descriptors init-oom-score init-seize
    init-getfd
    loop-mem loop-environ loop-task-environ loop-maps loop-auxv loop-syscall loop-root loop-cwd
    loop-exe loop-namespace loop-descriptors loop-oom-score loop-coredump-filter loop-clear-refs
    loop-attach loop-seize loop-vm-read loop-vm-write loop-getfd
"""
# Our filter alone: podman's lets it pass.
FILTER = """
    init-limit-nproc loop-limit-nofile loop-limit-fsize loop-limit-cpu user-priority loop-idle
    loop-priority loop-sched-attr loop-ioprio
    keyctl i386-keyctl i386-unshare modify-ldt memfd-secret name-to-handle
    unshare-user clone-user clone-user-net clone3-user mount-in-userns chroot-in-userns
    tiocsti tiocsti-high-bits tioclinux af-vsock
"""
# Our filter, and the runtime's where it is there.
BOTH_FILTERS = """
    io-uring userfaultfd bpf perf-event add-key request-key fanotify fanotify-by-user swapon swapoff
    reboot sethostname setdomainname clock-settime settimeofday adjtimex clock-adjtime init-module
    finit-module delete-module kexec-load kexec-file-load acct syslog kcmp loop-kcmp quotactl
    quotactl-fd vhangup iopl ioperm move-pages loop-move-pages migrate-pages x32-keyctl
    unshare-mount unshare-pid unshare-net unshare-ipc unshare-uts unshare-cgroup unshare-time
    clone-pid setns setns-of-init setns-by-pidfd mount-tmpfs mount-bind mount-proc remount umount
    fsopen fspick open-tree move-mount mount-setattr listmount statmount chroot pivot-root
    open-by-handle af-alg
"""
# No capability, no new privileges, another user's files; in `root` Landlock has to do it.
RIGHTS = """
    chown-inbound path-folder library-folder write-runner rename-runner write-passwd read-shadow
    ld-so-preload profile-folder other-home root-folder
    become-root become-other join-group join-groups raise-capabilities raise-ambient drop-bounding
    set-securebits set-user-id file-capability make-set-user-id no-new-privs raise-limit core-limit
    raise-priority real-time-io
    core-pattern modprobe-path kernel-switch memory-switch network-switch sysrq sys-ksm sys-swap
    sys-block release-agent memory-limit make-cgroup mknod mknod-disk read-disk write-disk dev-mem
    dev-kmsg dev-kmsg-write dev-fuse dev-tun dev-kvm kallsyms kcore
    af-packet raw-socket netlink interface-flags
"""
# The runtime's filter alone: it weakens nobody but the process itself, and debuggers do it.
RUNTIME = "personality"
# Nothing is there to be taken.
NOTHING = "inherited-descriptors"
# The host's mount.
MOUNT = "write-config rename-over-config unlink-config"
# Only where the host limits ports: in `strict`.
PORTS = "connect-port bind-port"

THREADS = "the filter cannot tell the loop's number from that of a thread of the agent's"
NO_RIGHT = "Landlock has no right for it"
# Open everywhere, and why that is borne.
OPEN = {
    "watch-inbound": f"{NO_RIGHT}; it tells when a message comes, not what it says",
    "touch-heartbeat": f"{NO_RIGHT}; the loop sets the time again with each beat",
    "touch-inbound": f"{NO_RIGHT}; nobody goes by this time",
    "chmod-inbound": f"{NO_RIGHT}; the runner takes its rights back",
    "chmod-outbound": f"{NO_RIGHT}; the runner takes its rights back",
    "chmod-workspace": f"{NO_RIGHT}; the runner takes its rights back",
    "xattr-inbound": f"{NO_RIGHT}; nobody goes by them",
    "loop-affinity": f"{THREADS}; the loop takes them back when an agent ends",
    "loop-scheduler": f"{THREADS}; the usual one is the one that it has",
    "loop-sched-param": f"{THREADS}; the usual scheduler has none",
    "listen-anywhere": "Landlock does not look at listen without bind; the kernel chooses the port",
}

CLOSED_BY = {
    "Landlock": LANDLOCK.split(),
    "undumpable": UNDUMPABLE.split(),
    "the filter": FILTER.split(),
    "the filters": BOTH_FILTERS.split(),
    "rights": RIGHTS.split(),
    "the runtime": RUNTIME.split(),
    "nothing there": NOTHING.split(),
    "the mount": MOUNT.split(),
    "ports": PORTS.split(),
    "open": list(OPEN),
}
SWITCHED_OFF = ("Landlock", "undumpable", "the filter")


@dataclasses.dataclass(frozen=True)
class Row:
    name: str
    closed_by: str

    def open_in(self, setting):
        """Why it is open there; None: it is to be denied."""
        if self.name in OPEN:
            return OPEN[self.name]
        if self.closed_by == "ports" and setting != "strict":
            return "the host limits no ports"
        if self.closed_by == "the runtime" and setting in ("privileged", "root"):
            return "there is no filter of the runtime's; it concerns the process alone"
        if setting == "root" and self.name == "read-shadow":
            return "user id 0 owns the file, and it says nothing of the machine's users"
        if setting == "off" and self.closed_by in SWITCHED_OFF:
            return f"{self.closed_by} is switched off"
        return None


ROWS = {name: Row(name, closed_by) for closed_by, names in CLOSED_BY.items() for name in names}
