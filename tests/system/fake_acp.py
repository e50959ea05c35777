#!/usr/bin/python3 -ISs
# SPDX-License-Identifier: MIT
"""
An agent that speaks ACP, and misbehaves as it is told.

Arguments say what it can, and how it is rude:

    --resume --load --late-replay --auth --mode=ID --system-prompt    what it offers, or wants
    --hang-load --noise --die-at-start                                how it is rude

A word of the prompt says what becomes of that turn, else each <message …>BODY</message> is answered
by a block "echo: BODY". Whatever it is given is appended to $HOME/acp.log, one JSON object a line.
"""
import json
import os
import re
import signal
import sys
import time

ARGUMENTS = sys.argv[1:]
LOG = os.path.join(os.environ["HOME"], "acp.log")
STORE = os.path.join(os.environ["HOME"], "acp-sessions")
MODES = [a.split("=", 1)[1] for a in ARGUMENTS if a.startswith("--mode=")]
# Both sides number their requests from 0 or 1 on: they have to collide.
asked = 0


def note(value):
    with open(LOG, "a", encoding="utf-8") as log:
        log.write(json.dumps(value) + "\n")


def write(text):
    os.write(1, text.encode())


def send(value):
    write(json.dumps({"jsonrpc": "2.0", **value}) + "\n")


def receive():
    line = sys.stdin.readline()
    if not line:
        note({"eof": True})
        sys.exit(0)
    message = json.loads(line)
    note(message)
    return message


def ask(method, params):
    """A request of ours; what comes before its answer is kept for later."""
    global asked
    number, asked = asked, asked + 1
    send({"id": number, "method": method, "params": params})
    while True:
        message = receive()
        if "method" not in message and message["id"] == number:
            return message
        waiting.append(message)


def answer(request, result):
    send({"id": request["id"], "result": result})


def refuse(request, code, message, data=None):
    send({"id": request["id"], "error": {"code": code, "message": message,
                                         **({"data": data} if data else {})}})


# Sessions


def known():
    try:
        with open(STORE, encoding="utf-8") as store:
            return store.read().split()
    except FileNotFoundError:
        return []


def initialize(request):
    able = {"loadSession": "--load" in ARGUMENTS, "sessionCapabilities": {},
            "mcpCapabilities": {"http": True}}
    if "--resume" in ARGUMENTS:
        able["sessionCapabilities"]["resume"] = {}
    if "--system-prompt" in ARGUMENTS:
        able["sessionCapabilities"]["systemPrompt"] = {}
    answer(request, {"protocolVersion": 1, "agentCapabilities": able, "authMethods": []})


def opened():
    if not MODES:
        return {}
    return {"modes": {"currentModeId": "default",
                      "availableModes": [{"id": i, "name": i} for i in ["default", *MODES]]}}


authenticated = "--auth" not in ARGUMENTS


def authenticate(request):
    global authenticated
    if "GEMINI_API_KEY" not in os.environ:
        refuse(request, -32603, "there is no key")
        return
    authenticated = True
    answer(request, {})


def new(request):
    if not authenticated:
        refuse(request, -32000, "Authentication required")
        return
    session = f"session-{len(known()) + 1}"
    with open(STORE, "a", encoding="utf-8") as store:
        store.write(session + "\n")
    answer(request, {"sessionId": session, **opened()})
    update(session, {"sessionUpdate": "available_commands_update",
                     "availableCommands": [{"name": "frobnicate", "description": "x"}]})


def load(request):
    session = request["params"]["sessionId"]
    if "--hang-load" in ARGUMENTS:
        return
    if session not in known():
        refuse(request, -32603, "Internal error", {"details": "Invalid session identifier"})
        return
    if "--late-replay" in ARGUMENTS:
        answer(request, opened())
        for word in ("one", "two", "three"):
            time.sleep(0.1)
            chunk(session, f'<message to="casa">replayed {word}</message>')
        return
    chunk(session, '<message to="casa">replayed early</message>')
    answer(request, opened())


def resume(request):
    if request["params"]["sessionId"] not in known():
        refuse(request, -32002, "Resource not found")
        return
    answer(request, opened())


# Turns


def update(session, value):
    send({"method": "session/update", "params": {"sessionId": session, "update": value}})


def chunk(session, text, **more):
    update(session, {"sessionUpdate": "agent_message_chunk",
                     "content": {"type": "text", "text": text}, **more})


def tool(session, number, status, **more):
    update(session, {"sessionUpdate": "tool_call" if status == "pending" else "tool_call_update",
                     "toolCallId": number, "status": status, **more})


def end(request, reason="end_turn"):
    answer(request, {"stopReason": reason})


def block(text):
    return f'<message to="casa">{text}</message>'


def wait_for_cancel(request):
    while True:
        message = receive()
        if message.get("method") == "session/cancel":
            end(request, "cancelled")
            return
        waiting.append(message)


def do_die(request, session):
    chunk(session, block("never"))
    os.kill(os.getpid(), signal.SIGKILL)


def do_give_up(request, session):
    """As an agent does that takes two prompts for a change of mind: once."""
    if os.path.exists(LOG + ".gave-up"):
        do_echo(request, session)
        return
    open(LOG + ".gave-up", "w", encoding="utf-8").close()
    chunk(session, block("half"))
    end(request, "cancelled")


def do_fail(request, session):
    refuse(request, -32603, "Internal error", {"details": "401 the key is wrong"})


def do_say_error(request, session):
    chunk(session, "Error: 401 the key is wrong")
    end(request)


def do_permission(request, session):
    options = [{"optionId": "no-7", "kind": "reject_once", "name": "No"},
               {"optionId": "yes-3", "kind": "allow_once", "name": "Yes"}]
    given = ask("session/request_permission", {
        "sessionId": session, "options": options,
        "toolCall": {"toolCallId": "t1", "title": "rm", "kind": "execute"}})
    refused = ask("fs/read_text_file", {"sessionId": session, "path": "/etc/passwd"})
    tool(session, "t1", "completed")
    chunk(session, block(f"{given['result']['outcome']['optionId']} {refused['error']['code']}"))
    end(request)


def do_tool(request, session):
    chunk(session, block("before"))
    tool(session, "t1", "pending", title="Run a thing", kind="execute")
    go = os.path.join(os.environ["HOME"], "go")
    while not os.path.exists(go):
        time.sleep(0.01)
    tool(session, "t1", "completed")
    chunk(session, block("after"))
    end(request)


def do_messages(request, session):
    chunk(session, "thinking aloud", messageId="m1")
    chunk(session, '<message to="ca', messageId="m2")
    chunk(session, 'sa">second</message>', messageId="m2")
    update("another-session", {"sessionUpdate": "agent_message_chunk",
                               "content": {"type": "text", "text": block("a stranger")}})
    update(session, {"sessionUpdate": "agent_thought_chunk",
                     "content": {"type": "text", "text": block("a thought")}})
    update(session, {"sessionUpdate": "of the future", "content": 7})
    end(request)


def do_split(request, session):
    text = json.dumps({"jsonrpc": "2.0", "method": "session/update", "params": {
        "sessionId": session, "update": {"sessionUpdate": "agent_message_chunk",
                                         "content": {"type": "text", "text": block("mended ü")}}}},
        ensure_ascii=False)
    data = (text + "\n").encode()
    for at in range(0, len(data), 7):
        os.write(1, data[at:at + 7])
        time.sleep(0.001)
    end(request)


def do_sleep(request, session):
    chunk(session, block("half a sentence"))
    tool(session, "t9", "pending", title="sleep", kind="execute")
    wait_for_cancel(request)


def do_long_line(request, session):
    chunk(session, "x" * 5_000_000)
    chunk(session, block("it fitted"), messageId="m2")
    end(request)


def do_echo(request, session):
    text = request["params"]["prompt"][0]["text"]
    bodies = re.findall(r"<message [^>]*>(.*?)</message>", text.split("</system>")[-1], re.S)
    chunk(session, "\n".join(block("echo: " + b) for b in bodies) or "echo: " + text)
    end(request)


WORDS = {"please die": do_die, "give up": do_give_up, "please fail": do_fail,
         "say an error": do_say_error, "ask me": do_permission, "use a tool": do_tool,
         "many messages": do_messages, "in pieces": do_split, "please sleep": do_sleep,
         "a long line": do_long_line}


def prompt(request):
    session = request["params"]["sessionId"]
    text = request["params"]["prompt"][0]["text"]
    found = [do for word, do in WORDS.items() if word in text]
    (found[0] if found else do_echo)(request, session)


def set_mode(request):
    answer(request, {})


METHODS = {"initialize": initialize, "authenticate": authenticate, "session/new": new,
           "session/load": load, "session/resume": resume, "session/set_mode": set_mode,
           "session/prompt": prompt}
waiting = []


def main():
    note({"pid": os.getpid(), "arguments": ARGUMENTS})
    if "--die-at-start" in ARGUMENTS:
        sys.stderr.write("no libfoo\n")
        sys.exit(3)
    if "--noise" in ARGUMENTS:
        write("Welcome!\n[1, 2]\n{ not JSON\n\n")
        send({"id": 4711, "result": {"sessionId": "of nobody"}})
    while True:
        request = waiting.pop(0) if waiting else receive()
        if request.get("method") in METHODS and "id" in request:
            METHODS[request["method"]](request)


main()
