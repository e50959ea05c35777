#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
Shows agent-runner at work: makes a private session folder as a host makes it, runs the runner on
it, sends one message, prints each step as it happens, and cleans up. `make demo` runs it.
"""
import argparse
import os
import pathlib
import shutil
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
# The tests' session folder plays the host here, too.
sys.path.insert(0, str(ROOT / "tests/system"))

import claude_cli  # noqa: E402
import session as sessions  # noqa: E402

# Slow enough that a person could see the claim stand in outbound.db.
MOCK_DELAY_MS = "500"
PATIENCE = {"mock": 10, "claude": 180}
QUESTION = {"mock": "Hello, runner!", "claude": "What is 2+2? Answer with the number."}
# What the real agent may need to reach its model; nothing else of the environment goes in.
PASSED_ON = ("ANTHROPIC_", "CLAUDE_CODE_", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "NODE_EXTRA_CA")


class Wrong(Exception):
    """The demo cannot go on; the text says why and what helps."""


def find_claude():
    for path in (os.environ.get("AGENT_CLAUDE_PATH"), "/pnpm/claude", shutil.which("claude")):
        if path and os.access(path, os.X_OK):
            return path
    version = claude_cli.versions()[-1]
    if not claude_cli.path(version).exists():
        print(f"No claude CLI is installed: fetching version {version} with npm into .cache",
              flush=True)
    try:
        return str(claude_cli.ensure(version))
    except RuntimeError as error:
        raise Wrong(error) from None


def environment(provider):
    if provider == "mock":
        return {"AGENT_MOCK_DELAY_MS": MOCK_DELAY_MS}
    if not (os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_BASE_URL")):
        raise Wrong("PROVIDER=claude needs ANTHROPIC_API_KEY or ANTHROPIC_BASE_URL "
                    "in the environment")
    # A model server of one's own may want no key, but the CLI does not start without one.
    passed_on = {k: v for k, v in os.environ.items() if k.startswith(PASSED_ON)}
    return {"ANTHROPIC_API_KEY": "none", **passed_on, "AGENT_CLAUDE_PATH": find_claude()}


class Clock:
    """Prints what happened, and when."""

    def __init__(self):
        self.start = time.monotonic()

    def tell(self, what, text):
        seconds = time.monotonic() - self.start
        first, *rest = text.splitlines() or [""]
        print(f"{seconds:6.3f} s  {what:<9} {first}", flush=True)
        for line in rest:
            print(f"{'':20}{line}", flush=True)


def logged_prompt(session):
    """The prompt as the mock logs it: on one line, each line break shown as a question mark."""
    lines = session.lines("mock prompt: ")
    return lines[0].split("mock prompt: ", 1)[1].replace(">?", ">\n") if lines else None


def show(session, provider):
    clock, patience = Clock(), PATIENCE[provider]
    session.start()
    clock.tell("start", f"agent-runner on {session.workspace}, provider {provider}")
    message = session.add_chat(QUESTION[provider])
    clock.tell("message", f"{message}: {QUESTION[provider]}")

    session.wait(lambda: message in session.acks(), "a claim", patience)
    clock.tell("claim", f"processing_ack: {message} is processing")
    if provider == "mock":
        session.wait(lambda: logged_prompt(session), "the prompt", patience)
        clock.tell("prompt", logged_prompt(session))
    answer = session.wait_answer(timeout=patience)
    clock.tell("answer", f"messages_out: {answer.id} to {answer.channel_type} "
                         f"{answer.platform_id}, in reply to {answer.in_reply_to}\n{answer.text}")
    session.wait_ack(message, timeout=patience)
    clock.tell("done", f"processing_ack: {message} is completed")
    code = session.stop()
    clock.tell("stop", f"SIGTERM: exit code {code} after {session.stop_seconds * 1000:.0f} ms")
    return code


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", choices=sorted(QUESTION), default="mock")
    provider = parser.parse_args().provider
    try:
        with sessions.Session(provider=provider, args=["--log-level", "debug"],
                              env=environment(provider)) as session:
            return show(session, provider)
    except (Wrong, FileNotFoundError) as wrong:
        print(f"demo: {wrong}", file=sys.stderr)
    except AssertionError as nothing:
        print(f"demo: {nothing}", file=sys.stderr)
    return 1


sys.exit(main())
