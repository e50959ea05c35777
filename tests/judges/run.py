#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Has programs that others wrote judge the protections, and prints what they say: run.py [JUDGE]…

It decides nothing: docs/security.md holds what was seen, for a reader to compare. Each of
the judges looks at processes of real containers, or at the binary of the image.
"""
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))

import session as sessions  # noqa: E402
from containers import IMAGE, QUIET, Container, podman, podman_path  # noqa: E402
from tool_container import RUNNER, SETTINGS, ToolContainer  # noqa: E402

CONFINE = ["confine", "--role=agent", "--workspace=/workspace", "--session", "--"]
# Stressors of stress-ng that try what the filter denies, or what needs a capability.
STRESSORS = """af-alg bind-mount chroot clone fanotify handle io-uring kcmp key klog mknod netlink-proc
 netlink-task personality pidfd ptrace quota rawsock rawudp set sysinfo tun unshare userfaultfd
 vm-segv binderfs ramfs rlimit schedpolicy seccomp""".split()


def say(*command):
    """Runs a judge here; all that it says."""
    done = subprocess.run([str(word) for word in command], text=True, check=False,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    print(done.stdout.strip() or f"(nothing; exit status {done.returncode})")


def title(words):
    print(f"\n== {words}", flush=True)


def inside(pid, name):
    """The process of that name in the same container as pid, which it need not descend from."""
    def probe():
        for entry in pathlib.Path("/proc").glob("[0-9]*"):
            try:
                if os.readlink(entry / "ns/pid") == os.readlink(f"/proc/{pid}/ns/pid") and \
                        sessions.process_name(entry.name) == name:
                    return int(entry.name)
            except OSError:
                continue
        return None
    return sessions.wait_until(probe, f"a process {name}")


def capabilities():
    """Of PID 1, the loop and an agent, by the container's settings."""
    starts = {"runtime's defaults": [], "--user root": ["--user", "root"],
              "--privileged --user root": ["--privileged", "--user", "root"],
              "strict": SETTINGS["strict"]}
    for name, options in starts.items():
        if "root" not in options or os.getuid() == 0:
            capabilities_of(name, options)


def capabilities_of(name, options):
    with sessions.Session() as session:
        options = ["-v", f"{session.workspace}:/workspace", *options, "-e", "AGENT_PROVIDER=mock"]
        with Container(options=options) as container:
            session.add_chat("hello")
            session.wait_answer("echo: hello")
            agent = subprocess.Popen(
                [podman_path(), QUIET, "exec", container.id, "/usr/local/bin/agent-runner", *CONFINE,
                 "sleep", "600"], stdout=subprocess.DEVNULL)
            try:
                pids = {"PID 1": container.pid(), "loop": container.find("agent-session"),
                        "agent, by exec": inside(container.pid(), "sleep")}
                judge_capabilities(name, pids)
            finally:
                container.kill("KILL")
                agent.wait()


def judge_capabilities(name, pids):
    title(f"getpcaps, {name}")
    for role, pid in pids.items():
        print(f"{role:15}", end=" ", flush=True)
        say("/sbin/getpcaps", "--iab", pid)
    title(f"pscap, {name} (lists who has any)")
    listed = subprocess.run(["pscap", "-a"], capture_output=True, text=True, check=False).stdout
    found = [line for line in listed.splitlines()
             if set(line.split()[:2]) & {str(pid) for pid in pids.values()}]
    print("\n".join(found) or "none of the three")
    for role, pid in pids.items():
        lines = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        print(f"{role:15}", *(line.replace("\t", " ") for line in lines
                              if line.startswith(("CapBnd", "NoNew", "Seccomp:"))))


def shell():
    """capsh, as the agent itself sees it."""
    with ToolContainer("plain") as container:
        title("capsh --print, agent")
        print(container.run(RUNNER, *CONFINE, "/sbin/capsh", "--print").stdout)


def binary():
    """The image's binary, and one that is built by the defaults."""
    with tempfile.TemporaryDirectory() as folder:
        made = podman("create", IMAGE).stdout.strip()
        podman("cp", f"{made}:/usr/local/bin/agent-runner", f"{folder}/image")
        podman("rm", made)
        for path in (f"{folder}/image", ROOT / "build/agent-runner"):
            title(f"checksec, {path}")
            say("checksec", "--format=csv", f"--file={path}")
            title("readelf, CET")
            say("sh", "-c", f"readelf -n {path} | grep -i feature || echo none")


def stress():
    """Which of stress-ng's stressors work, alone and confined."""
    with ToolContainer("plain") as container:
        title("stress-ng, alone and confined")
        for stressor in STRESSORS:
            words = []
            for prefix in ([], [RUNNER, *CONFINE]):
                done = container.run(*prefix, "sh", "-c",
                                     "cd $(mktemp -d) && exec stress-ng --no-rand-seed -t 1 "
                                     f"--{stressor} 1 --{stressor}-ops 50 2>&1", timeout=60)
                text = done.stdout
                words.append("skipped" if "skip" in text else
                             "failed" if done.returncode else "works")
            reason = [line for line in text.splitlines() if "fail" in line or "skip" in line][:1]
            print(f"{stressor:15} {words[0]:8} {words[1]:8}", *reason, flush=True)
        title("stress-ng --syscall --sysbadaddr --enosys, confined: are PID 1 and the rest well?")
        done = container.run(RUNNER, *CONFINE, "sh", "-c",
                             "cd $(mktemp -d) && exec stress-ng -t 8 --syscall 1 --sysbadaddr 1 "
                             "--enosys 1 --metrics-brief 2>&1", timeout=120)
        print(done.stdout[-1500:])
        print("healthcheck:", container.run(RUNNER, "--healthcheck").stdout)


JUDGES = {"capabilities": capabilities, "shell": shell, "binary": binary, "stress": stress}


def main():
    unknown = set(sys.argv[1:]) - set(JUDGES)
    if unknown:
        print(f"no judge is called {', '.join(unknown)}; there are: {', '.join(JUDGES)}",
              file=sys.stderr)
        return 64
    title("versions")
    for package in ("libcap2-bin", "libcap-ng-utils", "checksec", "stress-ng", "binutils"):
        say("dpkg-query", "-W", package)
    for name in sys.argv[1:] or JUDGES:
        JUDGES[name]()
    return 0


sys.exit(main())
