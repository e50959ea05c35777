# SPDX-License-Identifier: MIT
"""The command line as a person meets it; parser, --help and man page say the same."""
import os
import re
import shutil
import subprocess

import pytest

import session as sessions

MAN = sessions.ROOT / "man/agent-runner.1"
SOURCES = [p for top in ("common", "entrypoint", "runner") for p in (sessions.ROOT / top).rglob("*.c")]


def run(*words, **options):
    env = {"PATH": os.environ["PATH"], "ASAN_OPTIONS": "detect_leaks=0", **options.pop("env", {})}
    return subprocess.run([str(sessions.runner_path()), *words], **{
        "env": env, "stdin": subprocess.DEVNULL, "capture_output": True, "text": True,
        "timeout": sessions.PATIENCE, "check": False, **options})


# What each of the three says


def help_section(title):
    """The lines of --help below this title that start an item."""
    text = run("--help").stdout
    section = re.search(rf"^{title}[^\n]*:\n((?:  .*\n)+)", text, re.MULTILINE)
    assert section, f"--help has no {title}"
    return section[1].splitlines()


def help_options():
    """--name -> (letter, has a value)."""
    options = {}
    for line in help_section("Options"):
        item = re.match(r"  (?:-(\w),| {3}) (--[\w-]+)(=\w+)?", line)
        if item:
            options[item[2]] = (item[1], item[3])
    return options


def help_names(title):
    return {line.split()[0] for line in help_section(title)}


def man_section(title):
    text = MAN.read_text()
    section = re.search(rf'^\.S[hs] {title}\n(.*?)(?=^\.Sh |\Z)', text, re.MULTILINE | re.DOTALL)
    assert section, f"the man page has no {title}"
    return section[1]


def man_options():
    options = {}
    for line in re.findall(r"^\.It (Fl .*)$", man_section("DESCRIPTION"), re.MULTILINE):
        item = re.fullmatch(r"(?:Fl (\w) , )?Fl -([\w-]+)(?: Ns = Ns Ar (\w+))?", line)
        assert item, line
        options[f"--{item[2]}"] = (item[1], f"={item[3]}" if item[3] else None)
    return options


def man_items(title, pattern):
    return set(re.findall(rf"^\.It {pattern}$", man_section(title), re.MULTILINE))


# They agree


def test_options_agree():
    assert help_options() == man_options()
    assert len(help_options()) >= 14


def test_the_parser_knows_them():
    """By its own words: an option is unknown, or lacks a value, or takes none."""
    for name, (letter, value) in help_options().items():
        result = run(name, "--help") if value is None else run(name)
        if value is None:
            assert result.returncode == 0, name
        else:
            assert result.returncode == 64, name
            assert result.stderr == (f"agent-runner: error: {name}: needs a value, "
                                     f"{value.removeprefix('=')}\n")
        if letter:
            assert run(f"-{letter}", "--help").returncode == 0


def test_the_parser_knows_no_others():
    """What the source has as rows is in the help, since both come from there."""
    rows = (sessions.ROOT / "entrypoint/cli.c").read_text().split("cli_rows[]")[1].split("\n};")[0]
    assert {f"--{n}" for n in re.findall(r'\.name = "([\w-]+)"', rows)} == set(help_options())


def test_variables_agree():
    assert help_names("Environment") == man_items("ENVIRONMENT", r"Ev (\w+)")


def test_variables_are_all_there():
    """Every variable of ours that the sources name, the composed ones aside."""
    named = {name for source in SOURCES
             for name in re.findall(r'"(AGENT_[A-Z_]*[A-Z])"', source.read_text())}
    assert named <= help_names("Environment")
    assert "AGENT_PROVIDER" in named


def test_variables_are_those_of_the_documentation():
    text = (sessions.ROOT / "docs/configuration.md").read_text()
    assert set(re.findall(r"^\| `([A-Z_]+)` \|", text, re.MULTILINE)) == help_names("Environment")


def test_exit_codes_agree():
    assert help_names("Exit codes") == man_items("EXIT STATUS", r"(\d+)")
    header = (sessions.ROOT / "common/exit-code.h").read_text()
    assert set(re.findall(r"= (\d+),", header)) == help_names("Exit codes")


def test_the_man_page_is_well_formed():
    if not shutil.which("mandoc"):
        pytest.skip("no mandoc here")
    result = subprocess.run(["mandoc", "-Tlint", "-Wstyle", MAN], capture_output=True, text=True,
                            check=False)
    # Whether other pages are installed here says nothing about this one.
    lines = [line for line in result.stdout.splitlines() if "referenced manual not found" not in line]
    assert lines == []


def test_the_man_page_names_every_mode():
    modes = re.findall(r"^\.It (\w[\w-]*)$", man_section("DESCRIPTION"), re.MULTILINE)
    assert modes == ["session", "once", "command", "keep-alive", "healthcheck", "print-policy",
                     "confine", "mcp", "ncl", "compact-instructions"]
    assert len(re.findall(r"^\.Nm$", man_section("SYNOPSIS"), re.MULTILINE)) == len(modes)
    assert len(re.findall(r"^  agent-runner ", run("--help").stdout, re.MULTILINE)) == len(modes)


# How it answers


def test_help_and_version_go_to_stdout():
    for word in ("--help", "-h", "--version"):
        result = run(word)
        assert (result.returncode, result.stderr) == (0, "")
        assert result.stdout
    assert re.fullmatch(r"agent-runner \d+\.\d+\.\d+\n", run("--version").stdout)


def test_help_fits_a_terminal():
    assert max(map(len, run("--help").stdout.splitlines())) <= 80


def test_help_that_cannot_be_written():
    with open("/dev/full", "w", encoding="ascii") as full:
        result = run("--help", stdout=full, capture_output=False, stderr=subprocess.PIPE)
    assert result.returncode == 70
    assert result.stderr == ("agent-runner: error: cannot write to standard output: "
                             "No space left on device\n")


@pytest.mark.parametrize("words, env, text", [
    (["--frob"], {}, "--frob: unknown option"),
    (["-x"], {}, "-x: unknown option"),
    (["--workspace=relative"], {}, '--workspace: "relative" is no absolute path'),
    (["--grace=fast", "true"], {}, '--grace: "fast" is no time span like 800ms, 5s, 2m, or none'),
    (["--json", "true"], {}, "--json: means nothing in command mode"),
    (["--keep-alive", "true"], {}, "true: --keep-alive takes no command"),
    (["confine", "true"], {}, "confine: --role is missing"),
    (["mcp", "all"], {}, "all: mcp takes no command"),
    (["--json", "ncl", "help"], {}, "--json: means nothing in ncl mode"),
    ([], {"AGENT_WORKSPACE": "relative"}, 'AGENT_WORKSPACE: "relative" is no absolute path'),
    (["true"], {"AGENT_LOG_LEVEL": "loud"},
     'AGENT_LOG_LEVEL: "loud" is none of error, warning, info, debug'),
])
def test_mistakes_are_one_line(words, env, text):
    result = run(*words, env=env)
    assert (result.returncode, result.stdout) == (64, "")
    assert result.stderr == f"agent-runner: error: {text}\n"


def test_what_the_mode_s_name_means_behind_two_dashes():
    result = run("--chown=no", "--log-level=error", "--", "confine")
    assert result.returncode == 127
    assert result.stderr == "agent-runner: error: confine: not found\n"


def test_by_another_name(tmp_path):
    """A link called like a helper is that helper."""
    link = tmp_path / "ncl"
    link.symlink_to(sessions.runner_path())
    result = subprocess.run([link, "--help"], capture_output=True, text=True, check=False,
                            stdin=subprocess.DEVNULL, timeout=sessions.PATIENCE)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.startswith("Usage: ncl COMMAND...")


def test_the_log_level():
    assert "runs as process" in run("--chown=no", "--log-level=debug", "true").stderr
    assert run("--chown=no", "true", env={"AGENT_LOG_LEVEL": "error"}).stderr == ""
