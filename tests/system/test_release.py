# SPDX-License-Identifier: MIT
"""What a release consists of: the tarball, what `make install` puts where, the Debian package."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

import containers

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = "docker.io/library/debian:bookworm-slim"
# Unit tests have their own steps.
ENV = {**os.environ, "DEB_BUILD_OPTIONS": "nocheck", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

DOCUMENTS = sorted(["LICENSE", "NEWS.md", "README.md", "SECURITY.md",
                    *(path.name for path in (ROOT / "docs").glob("*.md")),
                    *(f"performance/{path.name}"
                      for path in (ROOT / "docs/performance").glob("*.svg"))])
INSTALLED = sorted(["bin/agent-runner", "bin/ncl", "share/man/man1/agent-runner.1",
                    "share/man/man1/ncl.1", *(f"share/doc/agent-runner/{n}" for n in DOCUMENTS)])


def call(*command, **options):
    options = {"cwd": ROOT, "env": ENV, **options}
    result = subprocess.run([str(c) for c in command], stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True, check=False, **options)
    assert result.returncode == 0, result.stdout
    return result.stdout


def first(pattern, path):
    return re.search(pattern, (ROOT / path).read_text(), re.MULTILINE).group(1)


VERSION = first(r"^  version: '(.*)',", "meson.build")


def dist(folder, what, **env):
    call(ROOT / "tools/dist.sh", what, env={**ENV, "DIST": str(folder), **env})


@pytest.fixture(scope="module")
def deb(tmp_path_factory):
    for tool in ("dpkg-buildpackage", "dh", "lintian"):
        if not shutil.which(tool):
            pytest.skip(f"{tool} is missing; tools/packages.sh deb")
    folder = tmp_path_factory.mktemp("deb")
    dist(folder, "deb")
    return folder


def test_all_say_the_same_version():
    assert first(r"^## (\S+)", "NEWS.md") == VERSION
    assert first(r"^agent-runner \((.*)\)", "debian/changelog") == VERSION


def test_the_tarball_is_reproducible(tmp_path):
    sums = []
    for name, env in (("a", {"TZ": "UTC"}), ("b", {"TZ": "Asia/Tokyo", "LC_ALL": "C.UTF-8"})):
        (tmp_path / name).mkdir()
        dist(tmp_path / name, "tarball", **env)
        call("sha256sum", "-c", "SHA256SUMS", cwd=tmp_path / name)
        sums.append((tmp_path / name / "SHA256SUMS").read_text())
    assert sums[0] == sums[1]
    assert sums[0].split()[1] == f"agent-runner-{VERSION}.tar.gz"


def test_the_tarball_builds(tmp_path):
    """It holds all that a build reads: meson goes over every file that it names."""
    dist(tmp_path, "tarball")
    call("tar", "-xf", f"agent-runner-{VERSION}.tar.gz", cwd=tmp_path)
    tree = tmp_path / f"agent-runner-{VERSION}"
    call("meson", "setup", "-Dtests=enabled", "build", cwd=tree)
    call("ninja", "-C", "build", "common/libcommon.a", "entrypoint/seccomp-filter.h", cwd=tree)


def files(folder):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if not p.is_dir())


def test_install_and_uninstall(tmp_path):
    """Below DESTDIR and PREFIX are exactly these, and then none."""
    environment = {**ENV, "DESTDIR": str(tmp_path)}
    call("make", "install", "PREFIX=/usr/local", env=environment)
    assert files(tmp_path) == [f"usr/local/{name}" for name in INSTALLED]
    assert os.readlink(tmp_path / "usr/local/bin/ncl") == "agent-runner"
    assert (tmp_path / "usr/local/bin/agent-runner").stat().st_mode & 0o7777 == 0o755
    call("make", "uninstall", env=environment)
    assert files(tmp_path) == []


def test_lintian_says_nothing(deb):
    changes = next(deb.glob("*.changes"))
    assert call("lintian", "--allow-root", "--tag-display-limit", "0", "--display-info", changes) == ""


def test_the_package_works(deb):
    """On a Debian that has nothing but its base: with its man pages, and gone when it is removed."""
    package = next(deb.glob("agent-runner_*.deb"))
    script = f"""
        set -eu
        # A slim base takes no man pages.
        rm -f /etc/dpkg/dpkg.cfg.d/*
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends man-db /deb/{package.name}
        agent-runner --version
        man -P cat agent-runner | head -n 5
        man -w ncl
        ncl --help | head -n 1
        agent-runner -- sh -c 'echo as init'
        apt-get remove -y -qq agent-runner
        [ ! -e /usr/bin/ncl ]
    """
    run = containers.podman("run", "--rm", "--network=host", "-v", f"{deb}:/deb:ro",
                            "-e", "DEBIAN_FRONTEND=noninteractive", BASE, "sh", "-c", script,
                            timeout=300)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"agent-runner {VERSION}" in run.stdout
    assert "as init" in run.stdout
    assert "init of an agent" in run.stdout
