# SPDX-License-Identifier: MIT
"""
A container with this machine's tools in it: its /usr, read-only, over that of our image, and the
few things below /etc that tools look for. So agents' tools can be tried without an image for each.
"""
import os
import pathlib
import shutil
import tempfile

import npm_packages
import session as sessions
from containers import PODMANS, Container, podman

RUNNER = "/opt/agent-runner"
TOOLS = {"agent-browser": ["--ignore-scripts"], "pnpm": []}
# What packages of this machine have their settings in. Neither accounts nor secrets.
ETC = ["alternatives", "ca-certificates.conf", "chromium", "chromium.d", "fonts", "gdb",
       "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "mime.types", "npmrc", "nodejs", "protocols",
       "services", "ssh/ssh_config", "ssl/certs", "ssl/openssl.cnf"]
# How this machine reaches package registries.
NETWORK = ("http_proxy", "https_proxy", "no_proxy", "npm_config_", "node_extra_ca_certs")
SETTINGS = {
    "plain": [],
    "strict": ["--read-only", "--tmpfs", "/tmp", "--cap-drop=ALL",
               "--security-opt", "no-new-privileges"],
}


def _mount(source, target, mode="ro"):
    return ["-v", f"{source}:{target}:{mode}"]


def _network():
    for name, value in os.environ.items():
        if name.lower().startswith(NETWORK):
            yield from ("-e", f"{name}={value}")
            if name == "NODE_EXTRA_CA_CERTS" and not value.startswith("/etc/ssl/certs/"):
                yield from _mount(value, value)


def _podmans():
    """What podman keeps running for the containers that are there."""
    return {pid for pid in sessions.descendants(os.getpid())
            if sessions.is_alive(pid) and sessions.process_name(pid) in PODMANS}


class ToolContainer(Container):
    """
    Waits for work by run(). setting: a key of SETTINGS; mounts: more folders, path here -> path
    there. Its workspace, and its user's home, are fresh folders of this machine.
    """

    def __init__(self, setting, mounts=None):
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-tools-"))
        self.base.chmod(0o755)
        for name in ("workspace", "workspace/agent", "home", "rows"):
            (self.base / name).mkdir()
            os.chown(self.base / name, sessions.UID, sessions.GID)
        for name in ("tool_row.py", "tool_rows.py"):
            shutil.copy(pathlib.Path(__file__).with_name(name), self.base / "rows")
        options = [*SETTINGS[setting], "--entrypoint", RUNNER,
                   *_mount(sessions.runner_path(), RUNNER), *_mount("/usr", "/usr"),
                   *_mount(self.base / "rows", "/rows"),
                   *_mount(self.base / "workspace", "/workspace", "rw"),
                   *_mount(self.base / "home", "/home/node", "rw"), *_network()]
        for name in ETC:
            if pathlib.Path("/etc", name).exists():
                options += _mount(f"/etc/{name}", f"/etc/{name}")
        for source, target in (mounts or {}).items():
            options += _mount(source, target)
        super().__init__("--keep-alive", options=options)
        self.podmans = _podmans()

    def run(self, *command, env=None, timeout=150):
        """`podman exec`, until nothing of it is left."""
        given = [word for name, value in (env or {}).items() for word in ("-e", f"{name}={value}")]
        done = podman("exec", *given, self.id, *command, timeout=timeout)
        sessions.wait_until(lambda: _podmans() <= self.podmans, "the end of podman's processes")
        return done

    def __exit__(self, *_):
        super().__exit__(*_)
        shutil.rmtree(self.base, ignore_errors=True)


def npm_mounts():
    """Mounts of the tools that come from npm, for rows; fetched if need be."""
    mounts = {}
    for name, options in TOOLS.items():
        [version] = npm_packages.versions(name)
        mounts[npm_packages.ensure(name, version, options=options)] = f"/tools/{name}"
    return mounts
