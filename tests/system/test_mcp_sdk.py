# SPDX-License-Identifier: MIT
"""
The MCP server with clients that others wrote: both generations of the protocol's own SDK, and the
inspector's command line. What they check that our own client does not: every message against the
protocol's schemas, and every tool's schema with a JSON schema validator.
"""
import json
import os
import queue
import re
import shutil
import subprocess
import threading

import pytest

import mcp_client
import npm_packages
import session as sessions
from mcp_client import MODERN, OWN, QUESTION, TOOLS, answer_question, content, wait_question

DRIVER = npm_packages.ROOT / "tests/system/mcp_driver.cjs"
SCOPE = "@modelcontextprotocol/"
# What each of them wants.
NODE_MIN = {"sdk": 18, "client": 20, "inspector": 20}
# package, and the way in which it comes to a version; None: the handshake
CLIENTS = [("sdk", None), ("client", None), ("client", "auto"), ("client", MODERN)]


def fetched(package):
    """The folder of the newest pinned version; skips the test if there is none."""
    node = shutil.which("node")
    if not node:
        pytest.skip("node is not installed: apt-get install nodejs")
    version = subprocess.run([node, "--version"], capture_output=True, text=True,
                             check=True).stdout.strip()
    if int(version[1:].split(".")[0]) < NODE_MIN[package]:
        pytest.skip(f"node is {version}, but {package} wants {NODE_MIN[package]}")
    try:
        # Their scripts fetch what is not needed here.
        return npm_packages.ensure(SCOPE + package, npm_packages.versions(SCOPE + package)[-1],
                                   options=["--ignore-scripts"])
    except RuntimeError as reason:
        pytest.skip(f"no {package}: {reason}")


class Driver:
    """The SDK's client in a process of its own, which is told what to do."""

    def __init__(self, folder, generation, home):
        self.answers = {}
        self.progress = {}
        self.odd = queue.Queue()
        self._number = 0
        self._lock = threading.Condition()
        self._ended = False
        self.process = subprocess.Popen(
            [shutil.which("node"), DRIVER, folder, generation], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True, env={"PATH": os.environ["PATH"], "HOME": str(home)},
            **mcp_client.identity())
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self):
        for line in self.process.stdout:
            message = json.loads(line)
            with self._lock:
                if "odd" in message:
                    self.odd.put(message["odd"])
                elif "progress" in message:
                    self.progress.setdefault(message["id"], []).append(message["progress"])
                else:
                    self.answers[message["id"]] = message
                self._lock.notify_all()
        with self._lock:
            self._ended = True
            self._lock.notify_all()

    def start(self, what, **more):
        """Has something done; its number."""
        self._number += 1
        self.process.stdin.write(json.dumps({"id": self._number, "do": what, **more}) + "\n")
        self.process.stdin.flush()
        return self._number

    def wait_for(self, probe, what, timeout=mcp_client.PATIENCE):
        with self._lock:
            self._lock.wait_for(lambda: probe() or self._ended, timeout)
            value = probe()
        assert value, f"{what}: {'it ended' if self._ended else f'not within {timeout} s'}"
        return value

    def wait(self, number, timeout=mcp_client.PATIENCE):
        """The whole answer: {"ok": …} or {"error": …}."""
        return self.wait_for(lambda: self.answers.get(number), f"an answer to {number}", timeout)

    def run(self, what, **more):
        answer = self.wait(self.start(what, **more))
        assert "ok" in answer, answer
        return answer["ok"]

    def call(self, tool, arguments):
        """(text, is_error)"""
        return mcp_client.text_of(self.run("call", name=tool, arguments=arguments))

    def close(self):
        self.process.stdin.close()
        try:
            assert self.process.wait(mcp_client.PATIENCE) == 0
        finally:
            self.process.kill()
            self.process.wait()
            self._thread.join()
            self.process.stdout.close()


@pytest.fixture
def ready(session, connect):
    """A session whose server can be reached."""
    connect(session.start()).close()
    return session


@pytest.fixture(params=CLIENTS, ids=["sdk", "client", "client-auto", "client-newest"])
def driver(request, ready):
    package, version = request.param
    one = Driver(fetched(package), package, ready.home)
    try:
        command = mcp_client.command(ready, "mcp")
        found = one.run("connect", command=command[0], args=command[1:], env=ready.env,
                        version=version)
        assert found["server"]["name"] == "nanoclaw"
        if version:
            assert found["version"] == MODERN
        one.is_modern = bool(version)
        yield one
        assert one.odd.empty(), one.odd.get()
    finally:
        one.close()


# Arguments that are as they should be, one set a tool.
EXAMPLES = {
    "send_message": {"text": "hello"},
    "send_file": {"path": "a.txt"},
    "edit_message": {"messageId": 3, "text": "x"},
    "add_reaction": {"messageId": 3, "emoji": "heart"},
    "ask_user_question": {"title": "T", "question": "Q", "timeout": 60,
                          "options": ["x", {"label": "y"}, {"label": "z", "value": "v"}]},
    "send_card": {"card": {"title": "T"}},
    "schedule_task": {"prompt": "p", "processAfter": "2030-01-01T09:00:00"},
    "list_tasks": {},
    "cancel_task": {"taskId": "t"},
    "pause_task": {"taskId": "t"},
    "resume_task": {"taskId": "t"},
    "update_task": {"taskId": "t", "recurrence": ""},
    "create_agent": {"name": "n"},
    "install_packages": {"apt": ["curl"], "npm": ["@a/b"]},
    "add_mcp_server": {"name": "n", "command": "c", "args": ["a"], "env": {"A": "b"}},
}


def test_every_schema_means_what_it_should(driver):
    tools = {tool["name"]: tool for tool in driver.run("tools")}
    assert list(tools) == list(TOOLS)
    for name, example in EXAMPLES.items():
        schema = tools[name]["inputSchema"]

        def valid(value, schema=schema):
            return driver.run("validate", schema=schema, value=value)["valid"]
        assert valid(example), name
        assert not valid("no object"), name
        for missing in TOOLS[name][0]:
            assert not valid({k: v for k, v in example.items() if k != missing}), (name, missing)
        for field in example:
            assert not valid({**example, field: {"an": ["object"]}}) or field in ("card", "env"), (
                name, field)


def test_calls(driver, ready):
    text, is_error = driver.call("send_message", {"text": "from the SDK é"})
    assert not is_error
    row, = ready.answers()
    assert (row.text, row.route) == ("from the SDK é", OWN)
    assert re.search(rf"\b{row.seq}\b", text)
    _, is_error = driver.call("schedule_task", {"prompt": "p", "processAfter": "2030-01-01T09:00Z"})
    assert not is_error and content(ready.answers()[1])["action"] == "schedule_task"
    text, is_error = driver.call("list_tasks", {})
    assert not is_error and text
    text, is_error = driver.call("send_message", {"words": "x"})
    assert is_error and "text" in text
    assert len(ready.answers()) == 2


def test_an_unknown_tool(driver):
    answer = driver.wait(driver.start("call", name="no_such_tool", arguments={}))
    if "ok" in answer:
        assert answer["ok"]["isError"] and "no_such_tool" in answer["ok"]["content"][0]["text"]
    else:
        assert answer["error"]["code"] == -32602 and "no_such_tool" in answer["error"]["message"]


def test_a_question_with_progress(driver, ready):
    call = driver.start("call", name="ask_user_question", arguments=QUESTION, progress=True)
    asked = wait_question(ready)
    driver.wait_for(lambda: driver.progress.get(call), "progress", 60)
    # The connection is free for others.
    assert not driver.call("send_message", {"text": "meanwhile"})[1]
    reply = answer_question(ready, asked["questionId"], "soup")
    assert driver.wait(call)["ok"]["content"] == [{"type": "text", "text": "soup"}]
    ready.wait_ack(reply)


def test_cancellation(driver, ready):
    call = driver.start("call", name="ask_user_question", arguments=QUESTION)
    asked = wait_question(ready)
    driver.run("cancel", of=call)
    assert "error" in driver.wait(call)
    # After this one is answered, the cancellation has been taken note of.
    assert not driver.call("send_message", {"text": "meanwhile"})[1]
    ready.wait_ack(answer_question(ready, asked["questionId"], "soup"))
    assert not driver.call("send_message", {"text": "afterwards"})[1]


def test_ping(driver):
    answer = driver.wait(driver.start("ping"))
    # The newest version has none.
    assert ("error" in answer) == driver.is_modern


# The inspector


def inspect(session, *arguments):
    """What the inspector's command line prints, and its exit code."""
    folder = fetched("inspector") / "node_modules"
    # What begins with - would be the inspector's.
    variables = {"AGENT_WORKSPACE": session.workspace, "TMPDIR": session.env["TMPDIR"]}
    result = subprocess.run(
        [shutil.which("node"), folder / ".bin/mcp-inspector", "--cli",
         sessions.runner_path(), "mcp",
         *(word for name, value in variables.items() for word in ("-e", f"{name}={value}")),
         *arguments],
        capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL,
        env={**session.env, "PATH": os.environ["PATH"]}, cwd=session.home, **mcp_client.identity())
    assert result.returncode == 0, result.stdout + result.stderr
    return json.loads(result.stdout), result.stderr


def test_the_inspector_finds_no_fault_with_the_tools(ready):
    listed, complaints = inspect(ready, "--method", "tools/list", "--strict")
    assert [tool["name"] for tool in listed["tools"]] == list(TOOLS)
    assert complaints == ""


def test_the_inspector_calls_a_tool(ready):
    result, _ = inspect(ready, "--method", "tools/call", "--tool-name", "send_message",
                        "--tool-arg", "text=inspected")
    assert not result.get("isError")
    assert ready.texts() == ["inspected"]
