# SPDX-License-Identifier: MIT
"""What a newcomer reads agrees with what is there."""
import re
import subprocess

import pytest
from session import ROOT, runner_path

DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
OURS = re.compile(r"\bAGENT_[A-Z_]*[A-Z]\b")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def help_text():
    return subprocess.run([runner_path(), "--help"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout


def test_every_variable_of_the_help_is_documented():
    variables = set(OURS.findall(help_text()))
    assert len(variables) > 8
    assert variables <= set(OURS.findall(read("docs/configuration.md")))


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_no_document_invents_a_variable(path):
    code = "".join(p.read_text(encoding="utf-8") for top in ("common", "entrypoint", "runner")
                   for p in (ROOT / top).rglob("*.c"))
    protections = {f"AGENT_PROTECTION_{name}" for name in re.findall(r'"([A-Z_]{4,})"', code)}
    known = set(OURS.findall(code)) | protections | {"AGENT_PROTECTION"}
    assert set(OURS.findall(path.read_text(encoding="utf-8"))) <= known


def test_the_exit_codes_of_the_help_are_those_of_readme():
    helped = set(re.findall(r"^ +(\d+)  ", help_text(), re.M))
    assert {"0", "64", "127", "128"} <= helped
    section = read("README.md").split("## Exit codes")[1].split("\n## ")[0]
    assert set(re.findall(r"\| (\d+)", section)) == helped


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_make_target_exists(path):
    targets = set(re.findall(r"^([a-z0-9-]+):.*## ", read("Makefile"), re.M))
    # In code, that is: "`make" or a line that begins with four blanks.
    named = re.findall(r"(?:`|^    (?:\S+=\S+ )*)make ([a-z0-9-]+)", path.read_text(encoding="utf-8"),
                       re.M)
    assert set(named) <= targets
    if path.name == "README.md":
        assert {"demo", "test"} <= set(named)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        assert link.startswith("https://") or (path.parent / link).exists(), link


def test_the_versions_agree():
    version = re.search(r"^  version: '(.*)',", read("meson.build"), re.M).group(1)
    said = subprocess.run([runner_path(), "--version"], stdout=subprocess.PIPE, text=True,
                          check=True).stdout
    assert said == f"agent-runner {version}\n"
    assert re.search(r"^## (\S+)", read("NEWS.md"), re.M).group(1) == version
