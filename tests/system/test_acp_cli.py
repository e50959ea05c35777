# SPDX-License-Identifier: MIT
"""
Real agents that speak ACP answer end to end through a model server on loopback, with our tools, over
restarts and interrupts: host → inbound.db → agent-runner → agent → model and back.
"""
import threading
import time

import pytest

import acp_cli
from claude_session import block, say
from model_server import error, tool

# Node.js programs of 100 MB, on a machine that builds meanwhile.
PATIENCE = 90.0


@pytest.fixture(params=acp_cli.pinned())
def agent(request):
    return acp_cli.AGENTS[request.param]


@pytest.fixture
def acp(make_session, agent, model):
    """Makes sessions with the real agent on the model server; not started."""
    try:
        path = acp_cli.ensure(agent.name)
    except RuntimeError as reason:
        pytest.skip(f"no {agent.name}: {reason}")

    def make(config=None, env=None, **options):
        return make_session(
            provider=agent.name, config={**({"model": agent.model} if agent.model else {}),
                                         **(config or {})},
            env={"AGENT_ACP_COMMAND": " ".join([str(path), *agent.arguments,
                                               *agent.options(model.url)]),
                 "AGENT_RETRY_MS": "10", **agent.environment(model.url), **(env or {})},
            **options)
    return make


def answer(session, words, *texts):
    before = len(session.texts())
    message = session.add_chat(words)
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts()[before:] == list(texts)
    return message


def test_it_answers_and_goes_on(acp, agent, model):
    """One test, since a start takes seconds: a tool of ours, an interrupt, a restart, a wrong key."""
    session = acp().start()
    model.script(tool(agent.prefix + "send_message", {"text": "on it"}), say("done"))
    message = answer(session, "work", "on it", "done")
    # At the latest.
    session_began = time.time()
    assert not session.lines("warning:")
    assert {a.in_reply_to for a in session.answers()} == {message}
    first = model.requests[0]
    # Our instructions reach the model, wherever the agent puts them.
    assert '<message to=\\"casa\\">' in first.everything
    assert agent.prefix + "send_message" in {t["name"] for t in first.body["tools"]}

    gate = threading.Event()
    model.script(say("x" * 500, piece=10, hold=gate))
    count = len(model.requests)
    message = session.add_chat("go on for ever")
    model.wait_for_requests(count + 1, timeout=PATIENCE)
    session.add_chat("/stop")
    session.wait_ack(message, timeout=PATIENCE)
    gate.set()
    # An agent may put what was stopped before the model once more, in one message with the new one.
    model.script(say("hello"))
    answer(session, "hello", "hello")
    assert len(session.lines("agent", "started")) == 1
    assert session.stop() == 0

    minute = session_began // 60
    while agent.forgets_young and time.time() // 60 == minute:
        time.sleep(0.1)
    session.start()
    count = len(model.requests)
    answer(session, "and now", "echo: and now")
    # The conversation is the old one.
    assert "on it" in model.requests[count].everything
    assert session.lines("started, resuming")

    model.otherwise(error(401, "invalid api key"))
    message = session.add_chat("hello again")
    session.wait(lambda: session.acks().get(message) in ("completed", "failed"), "the end",
                 PATIENCE)
    assert session.lines("auth"), session.explain()
    assert session.stop() == 0
