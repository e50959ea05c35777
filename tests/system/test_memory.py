# SPDX-License-Identifier: MIT
"""
Containers that run out of memory: the kernel takes the agent's tools or the agent, never PID 1 or the
loop; the user is told, and the next message is answered.
"""
import pathlib

import pytest
from containers import IDENTITY, IMAGE, Container, podman
import session as sessions

EATER = pathlib.Path(__file__).parent / "memory_eater.sh"
LIMIT = ["--memory=64m", "--memory-swap=64m"]
STRUCK = ("Memory ran out in my container (limit 64 MB): the kernel ended a program that I had started."
          " I went on without it.")
ENDED = ("My container ran out of memory, and the kernel ended my agent program. Please ask for less at"
         " once; whoever runs me can raise the limit.\n\n(Error: memory ran out (limit 64 MB): Claude"
         " Code was killed by signal 9")


@pytest.fixture(scope="module", autouse=True)
def limits_are_there():
    """Also before a test looks at what it leaves: without root, podman keeps a process of its own."""
    done = podman("run", "--rm", *IDENTITY, *LIMIT, IMAGE, "true")
    if done.returncode != 0:
        pytest.skip(f"no memory limits here: {done.stderr}")


@pytest.fixture
def container(make_session):
    session = make_session(provider="claude")
    options = ["-v", f"{session.workspace}:/workspace", "-v", f"{EATER}:/pnpm/claude:ro",
               "-e", "AGENT_RETRY_MS=10", *LIMIT]
    with Container(options=options) as running:
        running.session = session
        ask(running, "hello", "still here")
        yield running
        assert running.stop(1) == 0, running.log()


def ask(container, text, answer):
    container.session.wait_ack(container.session.add_chat(text))
    assert container.session.texts()[-1] == answer, container.log()


def survivors(container):
    return container.pid(), container.find("agent-session")


def score(pid):
    return int(pathlib.Path(f"/proc/{pid}/oom_score_adj").read_text(encoding="ascii"))


def test_the_order_in_which_the_kernel_takes_them(container):
    pid_1, loop = survivors(container)
    agent, = (pid for pid in sessions.descendants(loop))
    assert score(pid_1) == score(loop) < score(agent)
    assert score(agent) == 500


def test_a_tool_eats_all_memory(container):
    before = survivors(container)
    ask(container, "a tool eats", "the tool ended with 137")
    assert container.session.texts() == ["still here", STRUCK, "the tool ended with 137"]
    assert "warning: memory ran out (limit 64 MB): the kernel killed 1 process" in container.log()
    ask(container, "hello", "still here")
    assert survivors(container) == before
    # Once in a turn, and in the next one again.
    ask(container, "a tool eats", "the tool ended with 137")
    assert container.session.texts().count(STRUCK) == 2


def test_the_agent_eats_all_memory(container):
    before = survivors(container)
    message = container.session.add_chat("the agent eats")
    container.session.wait_answers(2)
    assert container.session.texts()[1].startswith(ENDED), container.log()
    assert container.session.acks()[message] == "failed"
    ask(container, "hello", "still here")
    assert survivors(container) == before
    assert container.session.texts().count("still here") == 2
