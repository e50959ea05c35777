# SPDX-License-Identifier: MIT
"""
Sessions with the real Claude Code, in each pinned version, on a model server: fixtures, which
conftest.py makes known, and what tests with them say again and again.
"""
import pathlib

import pytest

import claude_cli
import model_server
import session as sessions
from model_server import ModelServer, text

PATIENCE = 30.0


def block(words, to=sessions.NAME):
    return f'<message to="{to}">{words}</message>'


def say(*words, **more):
    return text(*(block(w) for w in words), **more)


@pytest.fixture(scope="session", params=claude_cli.versions())
def cli(request):
    """The CLI of each pinned version, readable by the user whom the runner runs as."""
    try:
        return claude_cli.ensure(request.param)
    except RuntimeError as reason:
        pytest.skip(f"no Claude Code {request.param}: {reason}")


@pytest.fixture
def model():
    with ModelServer() as server:
        yield server


@pytest.fixture
def claude(make_session, cli, model):
    """Makes sessions with the real CLI on the model server; not started."""
    def make(env=None, **options):
        session = make_session(provider="claude", env={
            "AGENT_CLAUDE_PATH": str(cli), "AGENT_RETRY_MS": "10", **(env or {})}, **options)
        session.env.update({k: v for k, v in model_server.environment(
            model.url, session.home).items() if k not in session.env})
        # The runner says so itself where it is needed.
        session.env.pop("IS_SANDBOX")
        return session
    return make


# Errors end at once: the CLI's own retries are one test of their own.
IMPATIENT = {"CLAUDE_CODE_MAX_RETRIES": "0"}


def answer(session, words, reply, **columns):
    """Sends words, and waits until the message is completed with this reply."""
    message = session.add_chat(words, **columns)
    session.wait_answer(reply, timeout=PATIENCE)
    session.wait_ack(message)
    return message


def command_line(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/cmdline").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
