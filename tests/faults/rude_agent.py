#!/usr/bin/python3 -ISs
# SPDX-License-Identifier: MIT
"""
An agent CLI that speaks Claude Code's stream-json and misbehaves as it is told.

Beside this file lies plan.json, a list: its n-th item tells what the n-th process does, later ones
are polite. An item is an object; each member is a list of steps:

    start       before anything is read
    initialize  what the request of that name leads to; by default it is answered
    turn        what a user's message leads to; by default init, replay, text, result
    turns       a list of such lists, one for each message in its order; then as `turn`
    interrupt   what the request of that name leads to; by default an answer and a result
    eof         when stdin is closed; then it exits

A step is "name" or "name:argument", see STEPS. Each process appends what it is given to `log`, as
one JSON object a line. Polite, it answers each <message …>BODY</message> by a block "echo: BODY".
"""
import fcntl
import json
import os
import re
import resource
import signal
import socket
import sys
import time

FOLDER = os.path.dirname(os.path.abspath(__file__))
MEGABYTE = 1024 * 1024
# They give up by themselves.
RACER_SECONDS = 30

POLITE = {
    "start": [],
    "initialize": ["answer"],
    "turn": ["init", "replay", "text", "result"],
    "turns": [],
    "interrupt": ["answer", "interrupted"],
    "eof": [],
}


def count_this_process():
    number = 0
    while True:
        try:
            os.close(os.open(f"{FOLDER}/run-{number}", os.O_CREAT | os.O_EXCL, 0o644))
            return number
        except FileExistsError:
            number += 1


def conversation():
    resumed = [a.split("=", 1)[1] for a in sys.argv if a.startswith("--resume=")]
    return resumed[0] if resumed else f"conversation-{os.getpid()}"


def write(text, fd=1):
    """All of it; a reader that is gone is the end, as for the real one."""
    data = text if isinstance(text, bytes) else text.encode(errors="surrogatepass")
    view = memoryview(data)
    while view:
        try:
            view = view[os.write(fd, view):]
        except BrokenPipeError:
            sys.exit(1)


def emit(line):
    write(json.dumps(line) + "\n")


def block(text):
    return f'<message to="casa">{text}</message>'


class Agent:
    def __init__(self):
        self.number = count_this_process()
        with open(f"{FOLDER}/plan.json", encoding="utf-8") as file:
            plan = json.load(file)
        self.plan = {**POLITE, **(plan[self.number] if self.number < len(plan) else {})}
        self.conversation = conversation()
        self.unread = b""
        self.request = None  # the line that is acted upon
        self.answers = []
        self.turns = 0
        self.log({"event": "start", "pid": os.getpid()})

    def log(self, line):
        with open(f"{FOLDER}/log", "a", encoding="utf-8") as file:
            file.write(json.dumps({"run": self.number, **line}) + "\n")

    def read(self):
        """The next line as JSON; None: stdin is closed."""
        while b"\n" not in self.unread:
            more = os.read(0, MEGABYTE)
            if not more:
                return None
            self.unread += more
        line, self.unread = self.unread.split(b"\n", 1)
        return json.loads(line)

    def perform(self, steps):
        for step in steps:
            name, _, argument = step.partition(":")
            STEPS[name](self, argument)

    def run(self):
        self.perform(self.plan["start"])
        while (line := self.read()) is not None:
            self.take(line)
        self.perform(self.plan["eof"])

    def take(self, line):
        self.request = line
        if line["type"] == "control_request":
            subtype = line["request"]["subtype"]
            self.log({"event": subtype})
            self.perform(self.plan.get(subtype, ["answer"]))
        elif line["type"] == "user":
            content = line["message"]["content"]
            self.log({"event": "user", "text": content[:1000]})
            bodies = re.findall(r"<message [^>]*>(.*?)</message>", content, re.DOTALL)
            self.answers = [block(f"echo: {body[:1000]}") for body in bodies]
            turns = self.plan["turns"]
            steps = turns[self.turns] if self.turns < len(turns) else self.plan["turn"]
            self.turns += 1
            self.perform(steps)

    # What the protocol knows

    def answer(self, argument):
        body = {"subtype": "success", "request_id": self.request["request_id"],
                "response": {"commands": [{"name": "compact"}]}}
        if argument == "error":
            body = {"subtype": "error", "request_id": self.request["request_id"],
                    "error": "rude today"}
        emit({"type": "control_response", "response": body})

    def init(self, argument):
        emit({"type": "system", "subtype": "init", "slash_commands": ["compact"],
              "session_id": argument or self.conversation})

    def replay(self, _):
        emit({**self.request, "isReplay": True})

    def text(self, argument):
        line = {"type": "assistant", "message": {"content": [
            {"type": "text", "text": argument or "".join(self.answers)}]}}
        if argument == "half":
            line["message"]["content"][0]["text"] = "".join(self.answers)
            write(json.dumps(line)[:-20])
        else:
            emit(line)

    def tool_use(self, argument):
        emit({"type": "assistant", "message": {"content": [
            {"type": "tool_use", "id": argument or "tool-1", "name": "Bash",
             "input": {"timeout": 1000}}]}})

    def tool_result(self, argument):
        emit({"type": "user", "message": {"content": [
            {"type": "tool_result", "tool_use_id": argument or "tool-1", "content": "x"}]}})

    def result(self, argument):
        line = {"type": "result", "subtype": "success", "is_error": False,
                "session_id": self.conversation, "result": "".join(self.answers)}
        if argument == "named":
            line["user_message_uuids"] = [self.request["uuid"]]
        elif argument == "unknown":
            line["user_message_uuids"] = ["00000000-0000-4000-8000-000000000000"]
        elif argument == "empty":
            line["result"] = ""
        elif argument == "error":
            line.update(is_error=True, result="API Error: 400 rude", api_error_status=400)
        if argument == "half":
            write(json.dumps(line)[:-30])
        else:
            emit(line)

    def interrupted(self, _):
        emit({"type": "result", "subtype": "error_during_execution", "is_error": True,
              "errors": ["interrupted"]})

    def idle(self, _):
        emit({"type": "system", "subtype": "session_state_changed", "state": "idle"})

    # What no program should do

    def exit(self, argument):
        os._exit(int(argument or 0))

    def kill(self, argument):
        os.kill(os.getpid(), getattr(signal, argument))

    def kill_on(self, argument):
        """Dies of a word in the prompt."""
        if argument in self.request["message"]["content"]:
            self.kill("SIGKILL")

    def ignore(self, argument):
        signal.signal(getattr(signal, argument), signal.SIG_IGN)

    def hang(self, _):
        while True:
            time.sleep(3600)

    def sleep(self, argument):
        time.sleep(float(argument))

    def wait_eof(self, _):
        """Reads on, and does nothing about it."""
        while self.read() is not None:
            pass

    def close(self, argument):
        os.close(int(argument))

    def stderr(self, argument):
        """That many MB in lines; "N:1": in one."""
        size, _, one_line = argument.partition(":")
        piece = b"x" * (MEGABYTE - 1) + (b"x" if one_line else b"\n")
        for _ in range(int(size)):
            write(piece, 2)

    def line(self, argument):
        """That many MB without a newline."""
        for _ in range(int(argument)):
            write(b"x" * MEGABYTE)

    def raw(self, argument):
        write(argument)

    def newline(self, _):
        write(b"\n")

    def noise(self, argument):
        """That many short lines."""
        piece = b'{"type":"noise"}\nnoise\n\n{]\n' * 2500
        for _ in range(int(argument) // 10000):
            write(piece)

    def odd(self, argument):
        """Lines that a parser may stumble over, and a text that holds one more."""
        write(ODD[argument] + b"\n")

    def orphan(self, argument):
        """A child in a session of its own, deaf to SIGTERM; `pipes`: it keeps stdout and stderr."""
        ready, mark = os.pipe()
        if os.fork() > 0:
            os.close(mark)
            os.read(ready, 1)
            return
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        if argument != "pipes":
            null = os.open("/dev/null", os.O_RDWR)
            for fd in range(3):
                os.dup2(null, fd)
        self.log({"event": "orphan", "pid": os.getpid()})
        os.close(mark)
        self.hang("")


    def breed(self, argument):
        """
        Lines of processes that fork and exit, so that none of them lives for long. Whoever looks
        may see none; but each holds the lock that the first one took.
        """
        lock = os.open(f"{FOLDER}/racers", os.O_CREAT | os.O_RDWR, 0o644)
        fcntl.flock(lock, fcntl.LOCK_SH)
        null = os.open("/dev/null", os.O_RDWR)
        for _ in range(int(argument)):
            if os.fork() > 0:
                continue
            for fd in range(3):
                os.dup2(null, fd)
            end = time.monotonic() + RACER_SECONDS
            while time.monotonic() < end:
                if os.fork() > 0:
                    os._exit(0)
                os.setsid()
            os._exit(0)
        os.close(lock)
        # To be many.
        time.sleep(0.1)

    # What its uid allows it, against who started it

    def move_runtime(self, argument):
        """Nothing, or another thing, stands in the runtime directory's place."""
        runtime = os.path.dirname(os.environ["AGENT_SOCKET"])
        os.rename(runtime, f"{FOLDER}/moved")
        if argument == "link":
            os.symlink(f"{FOLDER}/moved", runtime)
        elif argument == "fifo":
            os.mkfifo(runtime)
        elif argument == "closed":
            os.mkdir(runtime, 0)

    def vandalize(self, argument):
        """
        "SECONDS NAME": another process takes all rights from NAME of the workspace ("": from itself)
        and gives them back, as fast as it can.
        """
        seconds, _, name = argument.partition(" ")
        path = os.path.join(os.path.dirname(os.getcwd()), name)
        mode = os.stat(path).st_mode & 0o7777
        null = os.open("/dev/null", os.O_RDWR)
        if os.fork() > 0:
            os.close(null)
            return
        os.setsid()
        for fd in range(3):
            os.dup2(null, fd)
        self.log({"event": "vandal", "pid": os.getpid()})
        end = time.monotonic() + float(seconds)
        while time.monotonic() < end:
            for _ in range(50):
                os.chmod(path, 0)
                os.chmod(path, mode)
        self.log({"event": "vandal ends"})
        os._exit(0)

    def plant_folders(self, _):
        """Where the runtime directory holds files; neither unlink nor rename gets rid of these."""
        runtime = os.path.dirname(os.environ["AGENT_SOCKET"])
        for name in os.listdir(runtime):
            os.unlink(f"{runtime}/{name}")
            os.makedirs(f"{runtime}/{name}/full")

    def check_tools(self, _):
        """Is there what it was promised: the list of servers, and who answers at the socket?"""
        with open(next(a.split("=", 1)[1] for a in sys.argv if a.startswith("--mcp-config=")),
                  encoding="utf-8") as file:
            servers = json.load(file)["mcpServers"]
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(os.environ["AGENT_SOCKET"])
        self.log({"event": "tools", "servers": list(servers)})


def text_line(raw):
    """An assistant's line with these bytes where the text stands."""
    return b'{"type":"assistant","message":{"content":[{"type":"text","text":"' + raw + b'"}]}}'


ODD = {
    "deep": b'{"type":"assistant","message":' + b"[" * 10000 + b"]" * 10000 + b"}",
    "deep-object": b'{"type":' * 10000 + b"1" + b"}" * 10000,
    "numbers": b'{"type":"rate_limit_event","rate_limit_info":{"resetsAt":' + b"9" * 400 + b"}}",
    "real": b'{"type":"rate_limit_event","rate_limit_info":{"status":"rejected","resetsAt":1e999}}',
    "negative": b'{"type":"rate_limit_event","rate_limit_info":{"resetsAt":-9223372036854775808}}',
    "utf8": text_line(b"scratch \xff\xfe\xc0\x80\xed\xa0\x80"),
    "nul": text_line(b"scratch \\u0000 \x00 end"),
    "surrogate": text_line(b"scratch \\ud83d \\udc00\\ud83d end"),
    "types": b'{"type":7,"message":[],"result":{},"is_error":"yes"}',
    "wrong": b'{"type":"assistant","message":"text"}\n{"type":"assistant","message":{"content":{}}}\n'
             b'{"type":"assistant","message":{"content":[7,null,[],{"type":"text","text":7}]}}\n'
             b'{"type":"user","uuid":7,"isReplay":true}\n{"type":"user","message":{"content":[{}]}}\n'
             b'{"type":"system","subtype":"init","session_id":7,"slash_commands":[7],"mcp_servers":7}\n'
             b'{"type":"control_response"}\n{"type":"control_response","response":{"request_id":7}}\n'
             b'{"type":"control_request"}\n{"type":"control_request","request_id":"x","request":7}\n'
             b'{"type":"stream_event","event":7}\n{"type":"system","subtype":"task_started"}',
    "empty": b'{}\n{"":""}\n[]\nnull\n0',
    "crlf": b'{"type":"noise"}\r',
}

STEPS = {name.replace("_", "-"): step for name, step in vars(Agent).items()
         if callable(step) and name not in ("__init__", "log", "read", "perform", "run", "take")}

if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    Agent().run()
