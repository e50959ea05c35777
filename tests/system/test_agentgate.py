# SPDX-License-Identifier: MIT
"""
A host like AgentGate: an unprivileged container with one folder that can be written, in which
commands run and into which `podman exec` brings others. docs/agentgate.md tells its user what is
tried here.
"""
import json
import os
import pathlib
import pty
import select
import shutil
import tempfile
import time

import pytest
from containers import (IMAGE, IDENTITY, Container, image, no_podman_left, podman,
                        podman_path)
from session import PATIENCE, wait_until
from test_container import HARDENED, as_root, run

# Of the image itself.
TOOLS = ["git", "curl", "bash", "python3", "jq"]
# Node.js and its package manager come from another image of ours.
DOCKERFILE = """
FROM {node} AS node
FROM {image}
USER root
COPY --from=node /usr/local/bin/node /usr/local/bin/
COPY --from=node /usr/local/lib/node_modules/npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm
USER node
"""
DERIVED = "localhost/agent-runner-tools:test"
# Podman adds writable folders of its own, which Docker does not.
STRICT = [*HARDENED, "--read-only-tmpfs=false"]
UID = 1000 if os.getuid() == 0 else os.getuid()


@pytest.fixture(scope="module", autouse=True)
def derived():
    with tempfile.TemporaryDirectory() as folder:
        dockerfile = pathlib.Path(folder) / "Dockerfile"
        dockerfile.write_text(DOCKERFILE.format(node=image("nanoclaw"), image=IMAGE),
                              encoding="ascii")
        built = podman("build", "--format", "docker", "-t", DERIVED, folder, timeout=600)
    assert built.returncode == 0, built.stderr
    # Without root, podman keeps a process of its own: before a test looks at what it leaves.
    assert podman("run", "--rm", *IDENTITY, DERIVED, "true").returncode == 0


def give(path, uid=UID):
    """A folder, and all that is in it."""
    if os.getuid() == 0:
        for one in [path, *path.rglob("*")]:
            os.chown(one, uid, uid, follow_symlinks=False)


@pytest.fixture
def base():
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def workspace(base):
    folder = base / "workspace"
    folder.mkdir()
    give(folder)
    return folder


@pytest.fixture
def options(workspace):
    """As such a host starts it: nothing but the workspace and /tmp can be written."""
    return [*STRICT, "-v", f"{workspace}:/workspace"]


def keep_alive(options, *words):
    return Container("--keep-alive", *words, options=options, image=DERIVED)


def command(*words, options=(), **more):
    return run(*words, options=options, image=DERIVED, **more)


def health(container):
    """Exit code, and check -> (status, text)."""
    done = container.exec("agent-runner", "--healthcheck", "--json")
    report = json.loads(done.stdout)
    assert report["healthy"] == (done.returncode == 0)
    return done.returncode, {row["name"]: (row["status"], row["text"]) for row in report["checks"]}


# The container


def test_nothing_but_the_workspace_can_be_written(options, workspace):
    with keep_alive(options) as container:
        done = container.exec("sh", "-c", "id -u; echo $HOME; touch made")
        assert (done.returncode, done.stdout) == (0, "1000\n/home/node\n"), done.stderr
        assert (workspace / "made").stat().st_uid == UID
        for folder in ("/", "/etc", "/usr/local/bin", "/home/node", "/var/tmp"):
            done = container.exec("touch", f"{folder}/made")
            assert done.returncode == 1 and "Read-only file system" in done.stderr, folder
        for tool in [*TOOLS, "node", "npm"]:
            assert container.exec(tool, "--version").returncode == 0, tool
        assert container.stop(20) == 0, container.log()
        assert container.stop_seconds < 10
        assert "error" not in container.log()


def test_health(options):
    with keep_alive(options) as container:
        code, checks = health(container)
        assert code == 0, checks
        assert checks["init"] == ("ok", "process 1, mode keep-alive")
        assert checks["workspace"] == ("ok", "/workspace can be written")
        # Nobody said which agent there should be.
        assert checks["agent"][0] == "warning"
        assert podman("healthcheck", "run", container.id).returncode == 0
    with keep_alive([*options, "-e", "AGENT_PROVIDER=claude"]) as container:
        code, checks = health(container)
        assert (code, checks["agent"][0]) == (1, "failed"), checks
        assert podman("healthcheck", "run", container.id).returncode == 1
    with keep_alive([*STRICT, "-e", "AGENT_PROVIDER=mock"]) as container:
        code, checks = health(container)
        assert (code, checks["agent"][0]) == (1, "ok"), checks
        assert checks["workspace"][0] == "failed", checks


def test_sleep_infinity_stops_at_once(options):
    with Container("sleep", "infinity", options=options, image=DERIVED) as container:
        assert health(container)[1]["init"] == ("ok", "process 1, mode command")
        assert container.stop(20) == 143
        assert container.stop_seconds < 10


CODES = [
    (["true"], 0),
    (["sh", "-c", "exit 7"], 7),
    (["/etc/passwd"], 126),
    (["no-such-command"], 127),
    (["sh", "-c", "kill -TERM $$"], 143),
    (["sh", "-c", "kill -KILL $$"], 137),
]
CONFINED = ["agent-runner", "confine", "--role=agent", "--"]


def test_exit_codes_of_exec(options):
    """Those of the container itself: test_container.py."""
    with keep_alive(options) as container:
        for words, code in CODES:
            done = container.exec(*words)
            assert done.returncode == code, (words, done.stderr)
        for words, code in CODES[1:4]:
            done = container.exec(*CONFINED, *words)
            assert done.returncode == code, (words, done.stderr)


def test_what_exec_leaves_behind_is_reaped(options):
    with keep_alive(options) as container:
        script = "for i in $(seq 50); do (sleep 0.5 &); done; exit 3"
        done = container.exec("sh", "-c", script)
        assert done.returncode == 3
        wait_until(lambda: not container.processes(), "the end of all orphans, zombies too")


# Terminals


class Terminal:
    """podman in the foreground of a terminal of its own."""

    def __init__(self, *arguments):
        path = podman_path()
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(path, [path, *arguments])
        self.output = b""

    def read_until(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.output:
            left = deadline - time.monotonic()
            assert left > 0 and select.select([self.fd], [], [], left)[0], self.output
            self.output += os.read(self.fd, 4096)

    def type(self, keys):
        os.write(self.fd, keys)

    def wait(self):
        """The exit code; what is still written is read, so that nobody waits for that."""
        while True:
            try:
                more = os.read(self.fd, 4096)
            except OSError:
                break
            if not more:
                break
            self.output += more
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        wait_until(no_podman_left, "the end of podman's processes")
        return os.waitstatus_to_exitcode(status)


CATCH = "trap 'echo caught; exit 5' INT; echo re''ady; while :; do sleep 0.1; done"


@pytest.mark.parametrize("words, code", [
    (["bash", "-c", CATCH], 5),
    (["sh", "-c", "echo re''ady; exec sleep 1000"], 130),
])
def test_ctrl_c_in_a_terminal(options, words, code):
    terminal = Terminal("run", "--rm", "-it", *IDENTITY, *options, DERIVED, *words)
    terminal.read_until(b"ready")
    terminal.type(b"\x03")
    assert terminal.wait() == code, terminal.output
    assert (code != 5) or b"caught" in terminal.output


def test_ctrl_c_in_exec(options):
    with keep_alive(options) as container:
        terminal = Terminal("exec", "-it", container.id, "bash", "-c", CATCH)
        terminal.read_until(b"ready")
        terminal.type(b"\x03")
        _, status = os.waitpid(terminal.pid, 0)
        os.close(terminal.fd)
        assert os.waitstatus_to_exitcode(status) == 5
        # It was not the container that was meant.
        assert container.exec("true").returncode == 0


# git


def make_repository(workspace):
    """Of somebody else, who lets everybody write there."""
    repository = workspace / "repository"
    repository.mkdir()
    give(repository)
    done = command("git", "init", "-q", "/workspace/repository",
                   options=["-v", f"{workspace}:/workspace"])
    assert done.returncode == 0, done.stderr
    give(repository, 4321)
    for one in [repository, *repository.rglob("*")]:
        one.chmod(0o777 if one.is_dir() else 0o666)
    return repository


COMMIT = ["git", "-C", "/workspace/repository", "commit", "-q", "--allow-empty", "-m", "one"]
STATUS = ["git", "-C", "/workspace/repository", "status", "--short"]
AUTHOR = "git -C /workspace/repository log -1 --format='%an <%ae>'"


@as_root
def test_git_in_a_repository_of_somebody_else(options, workspace):
    repository = make_repository(workspace)
    (repository / "file").write_text("text")
    with keep_alive(options) as container:
        for before in ([], CONFINED):
            done = container.exec(*before, *STATUS)
            assert (done.returncode, done.stdout) == (0, "?? file\n"), done.stderr
            done = container.exec(*before, *COMMIT)
            assert done.returncode == 0, done.stderr
            assert container.exec(*before, "sh", "-c", AUTHOR).stdout == "Agent <agent@localhost>\n"
        # Without the image's settings git refuses: the test can fail.
        done = container.exec("env", "GIT_CONFIG_NOSYSTEM=1", *STATUS)
        assert done.returncode == 128 and "dubious ownership" in done.stderr, done.stderr
        # The repository's own identity counts more.
        for key, value in (("name", "Ann"), ("email", "ann@example.org")):
            container.exec("git", "-C", "/workspace/repository", "config", f"user.{key}", value)
        assert container.exec(*COMMIT).returncode == 0
        assert container.exec("sh", "-c", AUTHOR).stdout == "Ann <ann@example.org>\n"


@as_root
def test_git_by_a_command(options, workspace):
    make_repository(workspace)
    for role in ([], ["--role=agent"]):
        done = command(*role, "sh", "-c", f"{' '.join(COMMIT)} && {AUTHOR}", options=options)
        assert (done.returncode, done.stdout) == (0, "Agent <agent@localhost>\n"), done.stderr


# Credentials

CREDENTIALS = [(".claude", ".credentials.json"), (".aws", "credentials"), (".kiro", "token.json")]


def mount_credentials(base, as_folder):
    for folder, name in CREDENTIALS:
        here = base / folder
        here.mkdir()
        (here / name).write_text(f"secret of {folder}")
        give(here)
        inner = "" if as_folder else f"/{name}"
        yield from ("-v", f"{here}{inner}:/home/node/{folder}{inner}:ro")


TRY = " && ".join(
    f'cat "$HOME/{folder}/{name}" && ! echo x 2>&- >>"$HOME/{folder}/{name}"'
    for folder, name in CREDENTIALS)
FOUND = "".join(f"secret of {folder}" for folder, _ in CREDENTIALS)


@pytest.mark.parametrize("as_folder", [False, True], ids=["files", "folders"])
@pytest.mark.parametrize("hardened", [False, True], ids=["writable", "read-only"])
def test_credentials(base, workspace, as_folder, hardened):
    options = [*(STRICT if hardened else []), "-v", f"{workspace}:/workspace",
               *mount_credentials(base, as_folder)]
    # The agent CLI writes beside its credentials, unless HOME is the host's and the folder, too.
    beside = '{ touch "$HOME/.claude/history" && echo written; }'
    done = command("--role=agent", "sh", "-c", f"{TRY} && {beside}", options=options)
    can_write = hardened or not as_folder
    assert done.stdout == FOUND + ("written\n" if can_write else ""), done.stderr
    assert done.returncode == (0 if can_write else 1), done.stderr
    assert "error" not in done.stderr, done.stderr
    with keep_alive(options) as container:
        for before in ([], CONFINED):
            done = container.exec(*before, "sh", "-c", TRY)
            assert (done.returncode, done.stdout) == (0, FOUND), done.stderr
    for folder, name in CREDENTIALS:
        assert (base / folder / name).read_text() == f"secret of {folder}"


# Dependencies

REQUIRE = ["node", "-e", "console.log(require('greeting'))"]


def make_project(workspace, script="true", lock_file="package-lock.json"):
    """One dependency, which lies in the project: no registry is asked for it."""
    vendor = workspace / "vendor/greeting"
    vendor.mkdir(parents=True)
    (vendor / "package.json").write_text(json.dumps({"name": "greeting", "version": "1.0.0"}))
    (vendor / "index.js").write_text("module.exports = 'hello'")
    about = {"name": "project", "version": "1.0.0",
             "dependencies": {"greeting": "file:vendor/greeting"}}
    (workspace / "package.json").write_text(json.dumps(
        {**about, "scripts": {"postinstall": script}}))
    if lock_file:
        (workspace / lock_file).write_text(json.dumps({
            **about, "lockfileVersion": 3, "requires": True,
            "packages": {"": {**about, "hasInstallScript": True},
                         "node_modules/greeting": {"resolved": "vendor/greeting", "link": True},
                         "vendor/greeting": {"version": "1.0.0"}}}))
    give(workspace)


def test_dependencies_are_installed_if_asked_for(options, workspace):
    make_project(workspace, "cat /proc/self/status >status; (setsid sleep 1000 &); cat; echo here")
    done = command(*REQUIRE, options=options)
    assert done.returncode == 1 and "Cannot find module" in done.stderr, done.stderr
    done = command("--install-deps", "sh", "-c", f"cat; {REQUIRE[0]} -e \"{REQUIRE[2]}\"; "
                   "grep -sl sleep /proc/[0-9]*/comm", options=options, stdin="word\n")
    # The input is the command's, and so is standard output; what a script left behind is gone.
    assert done.stdout == "word\nhello\n", done.stderr
    assert "installing dependencies in /workspace: npm ci, for package-lock.json" in done.stderr
    assert "here" in done.stderr
    words = dict(line.split(":", 1) for line in (workspace / "status").read_text().splitlines())
    assert words["Uid"].split() == ["1000"] * 4
    assert (words["NoNewPrivs"].strip(), words["Seccomp"].strip()) == ("1", "2")


@as_root
def test_dependencies_are_not_installed_by_root(options, workspace):
    make_project(workspace, "id -u >who; env >env")
    done = command("--install-deps", *REQUIRE, options=[
        "-v", f"{workspace}:/workspace", "--user", "root",
        "-e", "ANTHROPIC_API_KEY=key", "-e", "NPM_TOKEN=token"])
    assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
    assert (workspace / "who").read_text() == "1000\n"
    assert (workspace / "node_modules").stat().st_uid == 1000
    # What is the agent's own is not for them.
    env = (workspace / "env").read_text()
    assert "ANTHROPIC_API_KEY" not in env and "NPM_TOKEN=token" in env


def test_no_lock_file(options, workspace):
    make_project(workspace, lock_file=None)
    done = command("--install-deps", "echo", "runs", options=options)
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert "/workspace/package.json has no lock file beside it" in done.stderr
    assert not (workspace / "node_modules").exists()


def test_no_package_manager(options, workspace):
    make_project(workspace, lock_file="pnpm-lock.yaml")
    done = command("--install-deps", "echo", "runs", options=options)
    assert (done.returncode, done.stdout) == (69, "")
    assert "/workspace/pnpm-lock.yaml is for pnpm, which is not in PATH" in done.stderr
    assert done.stderr.count("error") == 1, done.stderr


def test_installation_fails(options, workspace):
    make_project(workspace, "exit 3")
    done = command("--install-deps", "echo", "runs", options=options)
    assert (done.returncode, done.stdout) == (69, "")
    assert done.stderr.splitlines()[-1].startswith(
        "agent-runner: error: --install-deps: npm ci failed with code 3 in /workspace"), done.stderr


def test_keep_alive_is_healthy_once_dependencies_are_there(options, workspace):
    make_project(workspace, "while ! [ -e go ]; do sleep 0.1; done")
    with keep_alive(options, "--install-deps") as container:
        container.find("agent-install")
        code, checks = health(container)
        assert (code, checks["dependencies"][0]) == (1, "failed"), checks
        assert "being installed" in checks["dependencies"][1]
        (workspace / "go").touch()
        wait_until(lambda: health(container)[0] == 0, "health", explain=container.log)
        done = container.exec(*REQUIRE)
        assert (done.returncode, done.stdout) == (0, "hello\n"), done.stderr
        assert not container.processes()
        assert container.stop(20) == 0


def test_stop_while_dependencies_are_installed(options, workspace):
    make_project(workspace, "trap '' TERM INT; touch begun; while :; do sleep 0.1; done")
    with Container("--install-deps", "sleep", "infinity", options=options,
                   image=DERIVED) as container:
        wait_until((workspace / "begun").exists, "the installation", explain=container.log)
        assert container.stop(20) == 143
        assert container.stop_seconds < 10


def test_ctrl_c_while_dependencies_are_installed(options, workspace):
    make_project(workspace, "touch begun; sleep 1000")
    terminal = Terminal("run", "--rm", "-it", *IDENTITY, *options, DERIVED, "--install-deps", "true")
    wait_until((workspace / "begun").exists, "the installation")
    terminal.type(b"\x03")
    assert terminal.wait() == 130, terminal.output
