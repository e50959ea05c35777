# SPDX-License-Identifier: MIT
"""The images of the Dockerfile's targets: what each has to hold, and to be able to do."""
import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

import npm_packages
import pytest
from containers import IDENTITY, Container, image, no_podman_left, podman, podman_path
from model_server import ModelServer
from session import wait_until
from test_container import HOST_COMMAND, answers, nanoclaw_options

ROOT = pathlib.Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
# docs/docker.md names the same limits; in bytes, as podman counts.
LIMITS = {"bin": 4e6, "core": 100e6, "claude": 500e6}
CORE_TOOLS = ["git", "curl", "jq", "bash", "python3", "rg", "unzip", "ssh"]
# Debian's own certificates, or those of this machine, which may be behind a proxy.
CERTIFICATES = os.environ.get("NODE_EXTRA_CA_CERTS", "/etc/ssl/certs/ca-certificates.crt")
BUILT = ["core", "claude", "nanoclaw", "acp-opencode"]
# Generous: a machine of CI may be busy. The image alone takes a third of it.
READY_SECONDS = 3
# One of each kind of use: a repository, a query, a server's certificate, a zone.
USES = r"""
set -e
cd /tmp && git init -q r && cd r && echo a >f && git add f &&
git -c user.name=a -c user.email=a@b commit -qm 'Ünïcode' && git log --format=%s | grep -q 'Ünï'
git submodule status; git stash list; git rebase --quiet HEAD
echo '{"a":1}' | jq -e '.a == 1' >/dev/null
python3 -c 'import json, ssl, sqlite3, subprocess, urllib.request, zoneinfo
assert ssl.create_default_context().cert_store_stats()["x509"] > 50
zoneinfo.ZoneInfo("Asia/Kolkata")'
TZ=America/New_York date +%Z | grep -q E.T
rg -q a f
ssh-keygen -q -t ed25519 -N '' -f /tmp/key
curl --version | grep -q https
printf 'UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==' | base64 -d >/tmp/z.zip; unzip -l /tmp/z.zip 2>&1 | grep -q empty
echo fine
"""


@pytest.fixture(scope="module", autouse=True)
def podman_is_there():
    assert podman("run", "--rm", *IDENTITY, image("core"), "true").returncode == 0


def run(target, *command, options=(), timeout=60):
    try:
        return podman("run", "--rm", *IDENTITY, *options, image(target), *command, timeout=timeout)
    finally:
        wait_until(no_podman_left, "the end of podman's processes")


def config(name):
    return json.loads(podman("image", "inspect", name).stdout)[0]


def test_the_last_stage_is_core():
    """`docker build .`, as everybody starts it, makes what the documentation says."""
    assert re.findall(r"^FROM .* AS (\S+)", DOCKERFILE, re.M)[-1] == "core"


def test_versions_stand_in_one_block():
    """Each ARG with a version of others is before the first FROM, and fixed."""
    head, body = DOCKERFILE.split("\nFROM ", 1)
    pins = dict(re.findall(r"^ARG (\w+)=(\S+)", head, re.M))
    assert len(pins) > 5 and all(re.search(r"\d|slim", value) for value in pins.values()), pins
    assert "latest" not in head
    assert not [name for name in re.findall(r"^ARG (\w+)=", body, re.M)
                if name not in ("VERSION", "INSTALL_CJK_FONTS")]


def test_each_package_has_a_checksum():
    lines = (ROOT / "tools/image/npm-checksums").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if not line.startswith("#")]
    assert len(rows) > 10
    assert all(re.fullmatch(r"\S+@\d[^@ ]* sha512-[A-Za-z0-9+/]{86}==", row) for row in rows), rows


def test_the_dockerfile_linter_has_no_complaint():
    linter = "dockerfilelint"
    version = npm_packages.versions(linter)[0]
    try:
        folder = npm_packages.ensure(linter, version, options=["--ignore-scripts"])
    except RuntimeError as reason:
        pytest.skip(f"no {linter} {version}: {reason}")

    def lint(path, config):
        done = subprocess.run([folder / "node_modules/.bin" / linter, "-o", "json", "-c", config, path],
                              capture_output=True, text=True, timeout=60, check=False)
        return [issue["title"] for file in json.loads(done.stdout)["files"] for issue in file["issues"]]

    with tempfile.TemporaryDirectory() as config:
        # It takes the name of another stage for an image without a tag.
        (pathlib.Path(config) / ".dockerfilelintrc").write_text(
            "rules:\n  missing_tag: off\n", encoding="ascii")
        assert lint(ROOT / "Dockerfile", config) == []
        broken = pathlib.Path(config) / "Dockerfile"
        broken.write_text("FROM debian:12\nRUN sudo apt-get install git\n", encoding="ascii")
        assert lint(broken, config)


def test_each_stage_from_the_base_names_its_platform():
    """Else podman 4 takes the builder's for all of them, and an image for arm64 holds amd64's packages."""
    stages = re.findall(r"^FROM (.*)\$\{BASE_IMAGE\} AS (\w+)$", DOCKERFILE, re.M)
    assert dict((name, platform) for platform, name in stages) == {
        "build": "--platform=${BUILDPLATFORM} ", "npm": "--platform=${TARGETPLATFORM} ",
        "packages": "--platform=${TARGETPLATFORM} "}
    assert DOCKERFILE.count("${BASE_IMAGE}") == len(stages)


@pytest.mark.parametrize("target", LIMITS)
def test_size(target):
    size = config(image(target))["Size"]
    print(f"{target}: {size / 1e6:.1f} MB")
    assert size < LIMITS[target]


@pytest.mark.parametrize("target", BUILT)
def test_image(target):
    about = config(image(target))
    settings = about["Config"]
    health = {name.lower(): value for name, value in {**settings, **about}.items()}["healthcheck"]
    assert settings["Entrypoint"] == ["/usr/local/bin/agent-runner"]
    assert settings["User"] == "node"
    assert health["Test"] == ["CMD", "/usr/local/bin/agent-runner", "--healthcheck"]
    assert (health["Interval"], health["Timeout"], health["Retries"]) == (30e9, 10e9, 3)
    assert not settings.get("Volumes")
    assert settings["Labels"]["org.opencontainers.image.version"] == "test"
    done = run(target, "sh", "-c", "id -u; id -g; id -un; echo $HOME; stat -c %u /home/node /workspace")
    assert done.stdout.split() == ["1000", "1000", "node", "/home/node", "1000", "1000"], done.stderr


@pytest.mark.parametrize("target", BUILT)
def test_nothing_superfluous(target):
    """No setuid or setgid file, no package cache, nobody's password."""
    done = run(target, options=["--user", "0:0", "--entrypoint", "sh", "-v", f"{CERTIFICATES}:/x:ro"],
               *["-c", "find / -xdev -type f -perm /6000; "
                 "find /var/cache /var/lib/apt /tmp /root -xdev -name '*.deb' -o -xdev -name '*_Packages*'"
                 " -o -xdev -name _cacache; grep -v ':[*!]' /etc/shadow; ls -d /src"])
    assert done.stdout == "", done.stdout


def test_core_can_work():
    done = run("core", "bash", "-c", f"command -v {' '.join(CORE_TOOLS)} && {USES}")
    assert done.stdout.split()[-1:] == ["fine"], done.stdout + done.stderr


def test_the_binary_alone():
    """In an image of somebody else's, on another C library or none at all."""
    done = run("bin", "--version")
    assert done.returncode == 0 and done.stdout.startswith("agent-runner "), done.stderr
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "Dockerfile").write_text(
            f"FROM scratch\nCOPY --from={image('bin')} /agent-runner /a\nENTRYPOINT [\"/a\"]\n",
            encoding="ascii")
        built = podman("build", "-t", "localhost/copied-from-bin", folder)
        assert built.returncode == 0, built.stderr
    again = podman("run", "--rm", "localhost/copied-from-bin", "--version").stdout
    wait_until(no_podman_left, "the end of podman's processes")
    assert again == done.stdout


# Claude Code


def test_claude_code_of_the_image_answers(make_session):
    session = make_session(provider="claude")
    with ModelServer() as model:
        options = ["-v", f"{session.workspace}:/workspace", "-e", f"ANTHROPIC_BASE_URL={model.url}",
                   "-e", "ANTHROPIC_API_KEY=sk-ant-test"]
        name = image("claude")
        message = session.add_chat("hello")
        before = time.monotonic()
        with Container(options=options, image=name) as container:
            session.wait(lambda: message in session.acks(), "the claim")
            ready = time.monotonic() - before
            print(f"claude: start to claim {ready:.2f} s")
            session.wait_answer("echo: hello", timeout=60)
            session.wait_ack(message)
            health = container.exec("agent-runner", "--healthcheck")
            assert health.returncode == 0, health.stdout
            assert container.exec("sh", "-c", "command -v node").returncode != 0
            assert container.stop(1) == 0, container.log()
        assert ready < READY_SECONDS


def test_claude_code_is_the_pinned_one():
    version = re.search(r"^ARG CLAUDE_VERSION=(\S+)", DOCKERFILE, re.M).group(1)
    done = run("claude", "/pnpm/claude", "--version")
    assert done.stdout.split()[:1] == [version], done.stderr


# NanoClaw


def test_a_nanoclaw_host_gets_its_image(make_session):
    """Started as the host starts it, with what the image's skills rely on."""
    session = make_session(provider=None)
    with Container(*HOST_COMMAND, options=nanoclaw_options(session), image=image("nanoclaw")) as c:
        answers(session)
        health = c.exec("agent-runner", "--healthcheck")
        assert health.returncode == 0, health.stdout
        paths = ["/pnpm/claude", "/usr/local/bin/bun", "/usr/local/bin/ncl", "/home/node",
                 "/usr/bin/chromium", "/app"]
        done = c.exec("ls", "-d", *paths)
        assert done.stdout.split() == sorted(paths), done.stderr
        done = c.exec("bash", "-c", "node --version && pnpm --version && agent-browser --version && "
                                    "npx --version && fc-list | grep -ci liberation && "
                                    "echo $AGENT_BROWSER_EXECUTABLE_PATH")
        assert done.stdout.split()[-1] == "/usr/bin/chromium", done.stdout + done.stderr
    # The mount of the workspace hides these.
    done = run("nanoclaw", "ls", "-d", "/workspace/extra", "/workspace/group")
    assert done.returncode == 0, done.stderr


def test_chromium_draws_a_page():
    done = run("nanoclaw", "bash", "-c",
               "chromium --headless --no-sandbox --disable-gpu --dump-dom "
               "'data:text/html,<script>document.write(6*7)</script>'", options=["--shm-size=256m"])
    assert "42" in done.stdout, done.stderr[-1000:]


# As the host writes it for a group that wants a package of Debian and one of npm.
FOR_A_GROUP = """
FROM {base}
USER root
RUN apt-get update && apt-get install -y tree && rm -rf /var/lib/apt/lists/*
RUN pnpm install -g semver@7.7.2
USER node
"""


def test_a_group_has_an_image_of_its_own(make_session):
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "Dockerfile").write_text(FOR_A_GROUP.format(base=image("nanoclaw")),
                                                         encoding="ascii")
        built = podman("build", "--network=host", "-v",
                       f"{CERTIFICATES}:/etc/ssl/certs/ca-certificates.crt:ro",
                       "-t", "localhost/for-a-group", folder, timeout=300)
    assert built.returncode == 0, built.stdout + built.stderr
    session = make_session(provider=None)
    with Container(*HOST_COMMAND, options=nanoclaw_options(session), image="localhost/for-a-group") as c:
        answers(session)
        done = c.exec("bash", "-c", "tree --version && semver 1.2.3")
        assert done.returncode == 0 and "tree v" in done.stdout, done.stderr


# Other agents


def test_an_agent_of_npm():
    done = run("acp-opencode", "bash", "-c", "opencode --version && echo $AGENT_PROVIDER")
    version = re.search(r"^ARG OPENCODE_VERSION=(\S+)", DOCKERFILE, re.M).group(1)
    assert done.stdout.split() == [version, "opencode"], done.stderr


# The workflow around them


def test_make_tests_an_image():
    """The same checks for a person, by make; and they can fail."""
    command = ["make", "-s", "-C", str(ROOT), "test-image", f"RUNTIME={podman_path()}",
               "IMAGE=localhost/agent-runner", "VERSION=core"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout and len(re.findall("^ok ", done.stdout, re.M)) >= 7
    done = subprocess.run([*command, "TARGET=bin"], capture_output=True, text=True, timeout=120,
                          check=False)
    wait_until(no_podman_left, "the end of podman's processes")
    assert done.returncode != 0 and "FAILED  size" in done.stdout, done.stdout


def test_make_help_names_the_workflow():
    done = subprocess.run(["make", "-s", "-C", str(ROOT), "help"], capture_output=True, text=True,
                          check=True)
    named = {line.split()[1] for line in done.stdout.splitlines()}
    assert {"help", "build-image", "run-local", "test-image", "logs", "stop", "clean", "docker-login",
            "push-image", "build-multiarch", "push-multiarch"} <= named


def sources():
    for folder in ("common", "entrypoint", "runner", "tools"):
        for path in (ROOT / folder).rglob("*"):
            if path.suffix in (".c", ".h", ".sh"):
                yield path.read_text(encoding="utf-8")


def test_messages_in_the_documentation_are_the_programs():
    """Each message that the table of troubles quotes stands in the sources, as it is printed."""
    table = (ROOT / "docs/docker.md").read_text(encoding="utf-8").split("## When something is wrong")[1]
    quoted = [q for row in re.findall(r"^\| (.*?) \|", table, re.M) for q in re.findall('"([^"]+)"', row)]
    assert len(quoted) > 10
    text = re.sub(r'"\s*\n\s*"', "", "\n".join(sources()))
    missing = [q for q in quoted if q not in text]
    assert not missing, missing
