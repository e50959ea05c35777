# SPDX-License-Identifier: MIT
"""
The real Claude Code, in each pinned version, calls the session's tools: model → claude → relay →
session loop → outbound.db, and what a person answers, all the way back.
"""
import json
import os
import stat
import subprocess

import mcp_client
import session as sessions
from claude_session import PATIENCE, answer, block, command_line, say
from mcp_client import QUESTION, answer_question, content, wait_question
from model_server import text, tool

PREFIX = "mcp__nanoclaw__"


def call(name, arguments, say=None):
    """A step of the model: it calls a tool of ours."""
    return tool(PREFIX + name, arguments, say)


def results(request):
    """What the model is told of the tools that it called: [(text, is_error)]"""
    found = []
    for result in request.tool_results:
        words = result["content"]
        if not isinstance(words, str):
            words = "\n".join(block["text"] for block in words)
        found.append((words, bool(result.get("is_error"))))
    return found


def names(request):
    """The tools that the model was given in full."""
    return {t["name"] for t in request.body["tools"] if not t.get("defer_loading")}


def told(model):
    """Our notes to the agent, in the order in which they came."""
    found = []
    for message in model.requests[-1].messages:
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if message["role"] == "user":
            found += [b["text"] for b in blocks if b["type"] == "text" and "<system>" in b["text"]]
    return found


def current_tool(session):
    return (session.container_state() or {}).get("current_tool")


# Its own tools


def test_every_tool_is_there_from_the_start(claude, model):
    session = claude().start()
    answer(session, "hello", "echo: hello")
    assert {PREFIX + name for name in mcp_client.TOOLS} <= names(model.requests[0])


def test_send_message(claude, model):
    session = claude().start()
    model.script(call("send_message", {"text": "on it"}), say("done"))
    message = session.add_chat("work")
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["on it", "done"]
    on_it, done = session.answers()
    assert on_it.route == done.route == mcp_client.OWN
    assert on_it.in_reply_to == done.in_reply_to == message
    (words, is_error), = results(model.requests[1])
    assert not is_error and str(on_it.seq) in words


def test_what_a_tool_sent_is_not_sent_again(claude, model):
    session = claude().start()
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    model.script(call("send_message", {"text": "dinner at eight"}),
                 text(block("dinner at eight") + block("dinner at eight", to="garden")))
    session.wait_ack(session.add_chat("when?"), timeout=PATIENCE)
    assert [(a.text, a.route) for a in session.answers()] == [
        ("dinner at eight", mcp_client.OWN), ("dinner at eight", ("slack", "C1", None))]
    # In the next turn it may be said again.
    model.script(say("dinner at eight"))
    session.wait_ack(session.add_chat("when, please?"), timeout=PATIENCE)
    assert session.texts() == ["dinner at eight"] * 3


def test_who_sent_something_by_a_tool_is_not_asked_why_it_said_nothing(claude, model):
    session = claude().start()
    model.script(call("send_message", {"text": "all is well"}), text("I have told them."))
    session.wait_ack(session.add_chat("how is it?"), timeout=PATIENCE)
    assert session.texts() == ["all is well"]
    answer(session, "next", "echo: next")
    assert len(model.requests) == 3 and told(model) == []


def test_a_call_that_failed_has_told_nobody_anything(claude, model):
    session = claude().start()
    model.script(call("send_message", {"text": "hi", "to": "nobody"}), text("I have told them."),
                 say("hi"))
    session.wait_ack(session.add_chat("say hi"), timeout=PATIENCE)
    assert session.texts() == ["hi"]
    (words, is_error), = results(model.requests[1])
    assert is_error and "nobody" in words and "casa" in words
    assert len(told(model)) == 1


def test_a_block_before_a_call_goes_first(claude, model):
    session = claude().start()
    model.script(call("send_message", {"text": "two"}, say=block("one")), say("three"))
    session.wait_ack(session.add_chat("count"), timeout=PATIENCE)
    assert session.texts() == ["one", "two", "three"]


def test_send_file(claude, model):
    session = claude().start()
    (session.workspace / "agent/report.txt").write_text("the report")
    session.own()
    model.script(call("send_file", {"path": "report.txt", "text": "Here."}), text("Sent it."))
    session.wait_ack(session.add_chat("the report, please"), timeout=PATIENCE)
    row, = session.answers()
    assert content(row) == {"text": "Here.", "files": ["report.txt"]}
    assert (session.workspace / "outbox" / row.id / "report.txt").read_text() == "the report"


def test_schedule_task(claude, model):
    session = claude().start()
    model.script(call("schedule_task", {"prompt": "Water", "processAfter": "2030-01-01T09:00:00",
                                        "recurrence": "0 9 * * *"}), say("It is noted."))
    session.wait_ack(session.add_chat("remind me"), timeout=PATIENCE)
    row = session.answers()[0]
    assert row.kind == "system"
    assert content(row)["processAfter"] == "2030-01-01T09:00:00.000Z"
    assert session.answers()[1].text == "It is noted."


def test_a_question_waits_for_a_person(claude, model):
    session = claude().start()
    model.script(call("ask_user_question", QUESTION), lambda r: say(f"{results(r)[0][0]} it is"))
    message = session.add_chat("lunch?")
    asked = wait_question(session)
    session.wait(lambda: current_tool(session) == PREFIX + "ask_user_question", "a tool in flight")
    assert session.acks()[message] == "processing"
    reply = answer_question(session, asked["questionId"], "salad")
    session.wait_ack([message, reply], timeout=PATIENCE)
    assert session.answers()[1].text == "salad it is"
    assert session.container_state()["current_tool"] is None
    assert told(model) == []


def test_stop_while_a_question_waits(claude, model):
    session = claude().start()
    model.script(call("ask_user_question", QUESTION))
    message = session.add_chat("lunch?")
    asked = wait_question(session)
    session.wait_ack([session.add_chat("/stop"), message], timeout=PATIENCE)
    assert session.answers()[-1].text == "Stopped."
    # An answer that comes all the same is not lost.
    model.script(say("I heard"))
    session.wait_ack(answer_question(session, asked["questionId"], "salad"), timeout=PATIENCE)
    session.wait_answer("I heard", timeout=PATIENCE)
    answer(session, "next", "echo: next")
    note, = told(model)
    assert "salad" in note and "Which one?" in note


def test_sigterm_while_a_question_waits(claude, model):
    session = claude().start()
    model.script(call("ask_user_question", QUESTION))
    message = session.add_chat("lunch?")
    wait_question(session)
    assert session.stop() == 0
    assert session.stop_seconds < 2
    assert message not in session.acks()


def test_the_agent_learns_its_tool_s_errors(claude, model):
    session = claude().start()
    model.script(call("send_message", {"text": 5}), call("schedule_task", {"prompt": "p"}),
                 say("sorry"))
    session.wait_ack(session.add_chat("try"), timeout=PATIENCE)
    assert session.texts() == ["sorry"]
    assert results(model.requests[1])[0][1] and "text" in results(model.requests[1])[0][0]
    assert results(model.requests[2])[0][1] and "processAfter" in results(model.requests[2])[0][0]


def test_tools_go_on_when_the_cli_is_started_again(claude, model):
    session = claude().start()
    answer(session, "hello", "echo: hello")
    victims = [pid for pid in sessions.descendants(session.process.pid)
               if "stream-json" in command_line(pid)]
    assert victims
    sessions.kill_all(victims)
    model.script(call("send_message", {"text": "still here"}), text("Done."))
    session.wait_ack(session.add_chat("are you there?"), timeout=PATIENCE)
    assert session.texts() == ["echo: hello", "still here"]


def test_other_names_and_a_choice(claude, model):
    session = claude(config={"mcpServerName": "casa", "mcpToolPrefix": "nc_",
                             "mcpTools": ["send_message"]}).start()
    model.script(tool("mcp__casa__nc_send_message", {"text": "by another name"}), text("Done."))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    assert session.texts() == ["by another name"]
    assert {n for n in names(model.requests[0]) if n.startswith("mcp__")} == {
        "mcp__casa__nc_send_message"}


# Further servers

SERVER = """#!/usr/bin/python3
import json, os, sys
for line in sys.stdin:
    message = json.loads(line)
    number, method, params = message.get("id"), message.get("method"), message.get("params", {})
    if number is None:
        continue
    if method == "initialize":
        result = {"protocolVersion": params["protocolVersion"], "capabilities": {"tools": {}},
                  "serverInfo": {"name": "weather", "version": "1"}}
    elif method == "tools/list":
        result = {"tools": [{"name": "forecast", "description": "The weather to come",
                             "inputSchema": {"type": "object"}}]}
    elif method == "tools/call":
        result = {"content": [{"type": "text", "text": "sunny, " + os.environ["WEATHER_TOKEN"]}]}
    else:
        print(json.dumps({"jsonrpc": "2.0", "id": number,
                          "error": {"code": -32601, "message": "no such method"}}), flush=True)
        continue
    print(json.dumps({"jsonrpc": "2.0", "id": number, "result": result}), flush=True)
"""
# Answers nothing, ever.
HANGING = "#!/bin/sh\nwhile read -r line; do :; done\n"
SECRET = "s3cret-of-the-test"


def script(session, name, words):
    path = session.workspace / "agent" / name
    path.write_text(words)
    path.chmod(0o755)
    return str(path)


def with_server(claude, words=None, command=None):
    """A session with a further server, a script of these words or a command; not started."""
    session = claude()
    server = {"command": command or script(session, "weather", words),
              "env": {"WEATHER_TOKEN": SECRET}}
    session.write_config({"provider": "claude", "mcpServers": {"weather": server}})
    session.own()
    return session


def probe(session):
    """The checks of --healthcheck: name -> (status, text)"""
    result = subprocess.run(
        mcp_client.command(session, "--healthcheck", "--json"), stdin=subprocess.DEVNULL,
        capture_output=True, text=True, env=session.env, timeout=sessions.PATIENCE, check=False,
        **mcp_client.identity())
    return {c["name"]: (c["status"], c["text"]) for c in json.loads(result.stdout)["checks"]}


def test_a_further_server(claude, model):
    session = with_server(claude, SERVER).start()
    model.script(tool("mcp__weather__forecast", {}), lambda r: say(results(r)[0][0]))
    session.wait_ack(session.add_chat("the weather?"), timeout=PATIENCE)
    assert session.texts() == [f"sunny, {SECRET}"]
    assert told(model) == []
    assert probe(session)["mcp"][0] == "ok"


def test_secrets_of_a_server_stand_in_no_command_line(claude):
    session = with_server(claude, SERVER).start()
    answer(session, "hello", "echo: hello")
    lines = [command_line(pid) for pid in sessions.descendants(session.process.pid)]
    assert not [line for line in lines if SECRET in line]
    line, = [line for line in lines if "stream-json" in line and "--mcp-config" in line]
    words = line.split("\0")
    config = next(w.split("=", 1)[1] if "=" in w else words[i + 1]
                  for i, w in enumerate(words) if w.startswith("--mcp-config"))
    mode = os.stat(config).st_mode
    assert stat.S_IMODE(mode) == 0o600
    assert SECRET not in session.stderr()


def test_a_server_that_is_missing(claude, model):
    session = with_server(claude, command="/nonexistent/weather").start()
    model.script(call("send_message", {"text": "on it"}), say("done"))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    answer(session, "next", "echo: next")
    answer(session, "and then", "echo: and then")
    assert session.texts() == ["on it", "done", "echo: next", "echo: and then"]
    # Said once to each: the log, the agent, and whoever asks.
    note, = told(model)
    assert "weather" in note and "nanoclaw" not in note
    assert len(session.lines("weather")) == 1
    status, words = probe(session)["mcp"]
    assert status != "ok" and "weather" in words


def test_a_server_that_ends_at_once(claude, model):
    session = with_server(claude, "#!/bin/sh\nexit 3\n").start()
    answer(session, "hello", "echo: hello")
    session.wait(lambda: probe(session)["mcp"][0] != "ok", "a complaint")
    assert "weather" in probe(session)["mcp"][1]
    answer(session, "next", "echo: next")
    answer(session, "and then", "echo: and then")
    assert [n for n in told(model) if "weather" in n]


def test_a_server_that_hangs_does_not_hold_up_the_first_answer_for_long(claude, model):
    session = with_server(claude, HANGING).start()
    model.script(call("send_message", {"text": "on it"}), say("done"))
    session.wait_ack(session.add_chat("hello"), timeout=15)
    assert session.texts() == ["on it", "done"]
