#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
A model API on loopback: what Claude Code asks of POST /v1/messages, answered from a script; the same
in the words of other APIs, model_*.py.

In a test:

    with ModelServer() as model:
        model.script(text("one"), bash("sleep 1"), text("two"))   # one step a request, in order
        model.otherwise(error(529))                               # when the script is used up
        ... environment(model.url) for the agent ...
        model.requests[0].last_text

By hand: python3 tests/system/model_server.py 8080 [--record FILE]

Without a script each chat message of the prompt is answered with a block to where it came from.
Only requests of the conversation itself use up the script: token counts, titles and summaries are
answered by the way, and recorded under their own kind.
"""
import dataclasses
import html
import json
import re
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import model_gemini
import model_responses

ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    529: "overloaded_error",
}
# Other APIs than Anthropic's.
DIALECTS = (model_gemini, model_responses)
# What stands in the prompt with which the CLI asks for a summary of the conversation.
SUMMARY_MARKS = ("create a detailed summary of the conversation",
                 "detailed summary of our conversation",
                 "detailed summary of this conversation")
# No model takes more bytes than this in one request; the API says so with 413.
REQUEST_MAX = 32 * 1024 * 1024


@dataclasses.dataclass
class Step:
    """One answer. `blocks` are content blocks; an `error` replaces them."""
    blocks: list = dataclasses.field(default_factory=list)
    status: int = 200
    error: dict = None
    headers: dict = dataclasses.field(default_factory=dict)
    stop_reason: str = None
    delay: float = 0          # seconds before the first byte
    pace: float = 0           # seconds before each piece of text
    piece: int = 1000         # characters in a piece of text
    cut_after: int = -1       # this many events, then the connection is gone
    hold: threading.Event = None  # it waits for this: an error at once, a text after a piece
    usage: dict = None


def text(*texts, **more):
    """An answer of one or several text blocks."""
    return Step([{"type": "text", "text": t} for t in texts], **more)


def tool(name, arguments, say=None, **more):
    """A tool call, perhaps with a text before it."""
    blocks = [{"type": "text", "text": say}] if say else []
    blocks.append({"type": "tool_use", "name": name, "input": arguments})
    return Step(blocks, stop_reason="tool_use", **more)


def bash(command, say=None, timeout=None, **more):
    arguments = {"command": command, "description": "a step of the test"}
    if timeout is not None:
        arguments["timeout"] = timeout
    return tool("Bash", arguments, say, **more)


def error(status, message="scripted failure", kind=None, **headers):
    """An error answer; headers as keywords: retry_after=1 is `retry-after: 1`."""
    return Step(status=status,
                error={"type": kind or ERROR_TYPES.get(status, "api_error"), "message": message},
                headers={k.replace("_", "-"): str(v) for k, v in headers.items()})


def too_long():
    return error(400, "prompt is too long: 214000 tokens > 200000 maximum")


def cut(after=0):
    """The connection ends after so many events; 0: before any byte of an answer."""
    return Step([{"type": "text", "text": "This answer is never complete. " * 20}], cut_after=after)


def echo(request):
    """The default: a block for each chat message of the prompt, to where it came from."""
    blocks = []
    # What we tell the agent may stand in front of it, with examples.
    prompt = request.last_text.split("</system>")[-1]
    for attributes, body in re.findall(r"<message ([^>]*)>(.*?)</message>", prompt, re.S):
        name = re.search(r'from="([^"]*)"', attributes)
        body = body.split("</quoted_message>\n")[-1]
        if name:
            blocks.append(f'<message to="{html.unescape(name.group(1))}">'
                          f"echo: {html.unescape(body)}</message>")
    return text("\n".join(blocks) or "echo: " + request.last_text[:2000])


@dataclasses.dataclass
class Request:
    path: str
    headers: dict
    body: dict
    size: int
    at: float
    kind: str = "turn"    # turn, summary, side (titles and the like), count

    @property
    def messages(self):
        return self.body.get("messages", [])

    @property
    def last(self):
        """The last user message's content blocks; newer CLIs put system messages behind it."""
        content = next((m["content"] for m in reversed(self.messages) if m["role"] == "user"), [])
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    @property
    def last_text(self):
        """Texts of the last user message, without the CLI's own reminders."""
        texts = [b.get("text", "") for b in self.last if b.get("type") == "text"]
        return "\n".join(t for t in texts if not t.lstrip().startswith("<system-reminder>"))

    @property
    def tool_results(self):
        return [b for b in self.last if b.get("type") == "tool_result"]

    @property
    def system(self):
        system = self.body.get("system", "")
        return system if isinstance(system, str) else "\n".join(b.get("text", "") for b in system)

    @property
    def everything(self):
        return json.dumps(self.body, ensure_ascii=False)

    def classify(self):
        if self.path.endswith("/count_tokens"):
            return "count"
        if any(mark in self.last_text for mark in SUMMARY_MARKS):
            return "summary"
        return "turn" if self.body.get("tools") else "side"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.answer_json(200, {})

    def do_GET(self):
        self.answer_json(404, {"type": "error", "error": {"type": "not_found_error",
                                                          "message": self.path}})

    def do_POST(self):
        path = self.path.split("?")[0]
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.dialect = next((d for d in DIALECTS if d.is_ours(path)), None)
        if not path.startswith("/v1/messages") and not self.dialect:
            self.do_GET()
            return
        try:
            body = json.loads(raw)
            if self.dialect:
                body = self.dialect.read(path, body)
        except ValueError:
            self.answer_json(400, {"type": "error", "error": {"type": "invalid_request_error",
                                                              "message": "not JSON"}})
            return
        request = Request(path, {k.lower(): v for k, v in self.headers.items()}, body, len(raw), time.monotonic())
        request.kind = request.classify()
        try:
            self.answer(request, self.server.model.choose(request))
        except (BrokenPipeError, ConnectionResetError):
            pass    # the CLI was stopped or interrupted: that is its right
        finally:
            self.server.model.answered()

    def answer(self, request, step):
        if request.kind == "count":
            self.answer_json(200, {"input_tokens": request.size // 4})
            return
        if request.size > REQUEST_MAX:
            step = error(413, "Request exceeds the maximum size")
        if step.delay:
            self.server.model.sleep(step.delay)
        if step.error and step.hold:
            self.server.model.wait(step.hold)
        if step.cut_after == 0 or (step.cut_after > 0 and not request.body.get("stream")):
            self.hang_up()
        elif step.error:
            self.answer_json(step.status, self.dialect.error(step) if self.dialect else
                             {"type": "error", "error": step.error,
                              "request_id": "req_scripted"}, step.headers)
        elif request.body.get("stream"):
            self.answer_stream(request, step)
        else:
            self.answer_json(200, self.dialect.whole(step) if self.dialect else
                             self.message(request, step, step.blocks), step.headers)

    def hang_up(self):
        self.close_connection = True
        self.connection.shutdown(2)

    def answer_json(self, status, value, headers=None):
        data = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(data)))
        for name, content in (headers or {}).items():
            self.send_header(name, content)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def message(self, request, step, blocks):
        usage = {"input_tokens": request.size // 4, "output_tokens": 1,
                 "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0}
        for number, block in enumerate(blocks):
            if block["type"] == "tool_use":
                block.setdefault("id", f"toolu_{self.server.model.next_id():06}_{number}")
        return {"id": f"msg_{self.server.model.next_id():06}", "type": "message",
                "role": "assistant", "model": request.body.get("model", "scripted"),
                "content": blocks, "stop_reason": step.stop_reason or "end_turn",
                "stop_sequence": None, "usage": {**usage, **(step.usage or {})}}

    def events(self, request, step):
        """The answer as the stream's events; None: a place to wait."""
        message = self.message(request, step, [dict(block) for block in step.blocks])
        yield {"type": "message_start",
               "message": {**message, "content": [], "stop_reason": None}}
        for index, block in enumerate(message["content"]):
            is_text = block["type"] == "text"
            whole = block["text"] if is_text else json.dumps(block["input"])
            start = {**block, "text": ""} if is_text else {**block, "input": {}}
            yield {"type": "content_block_start", "index": index, "content_block": start}
            for at in range(0, len(whole), step.piece):
                piece = whole[at:at + step.piece]
                delta = ({"type": "text_delta", "text": piece} if is_text else
                         {"type": "input_json_delta", "partial_json": piece})
                yield {"type": "content_block_delta", "index": index, "delta": delta}
                yield None
            yield {"type": "content_block_stop", "index": index}
        yield {"type": "message_delta",
               "delta": {"stop_reason": message["stop_reason"], "stop_sequence": None},
               "usage": {"output_tokens": max(1, sum(len(str(b)) for b in step.blocks) // 4)}}
        yield {"type": "message_stop"}

    def answer_stream(self, request, step):
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("cache-control", "no-cache")
        self.send_header("transfer-encoding", "chunked")
        for name, content in step.headers.items():
            self.send_header(name, content)
        self.end_headers()
        count = 0
        held = False
        for event in self.dialect.events(step) if self.dialect else self.events(request, step):
            if event is None:
                if step.hold and not held:
                    held = True
                    self.server.model.wait(step.hold)
                if step.pace:
                    self.server.model.sleep(step.pace)
                continue
            if count == step.cut_after:
                self.hang_up()
                return
            count += 1
            name = f"event: {event['type']}\n" if "type" in event else ""
            data = f"{name}data: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True
    # Several CLIs connect at once.
    request_queue_size = 64

    def handle_error(self, request, client_address):
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class ModelServer:
    """The server, its script, and what it was asked."""

    def __init__(self, port=0, record=None):
        self.http = Server(("127.0.0.1", port), Handler)
        self.http.model = self
        self.url = f"http://127.0.0.1:{self.http.server_address[1]}"
        self.record = record
        self.lock = threading.Condition()
        self.all_requests = []
        self.done = 0
        self.steps = []
        self.default = echo
        self.side = text("A title")
        self.summary = text("<analysis>a</analysis>\n<summary>\nThe test talked about tests.\n"
                            "</summary>")
        self.ids = 0
        self.closing = threading.Event()
        self.thread = threading.Thread(target=self.http.serve_forever, args=(0.05,), daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        self.http.shutdown()
        self.http.server_close()

    # The script

    def script(self, *steps):
        """Steps for the next requests of the conversation: a Step, or a function of the request."""
        with self.lock:
            self.steps += steps

    def otherwise(self, step):
        """What is answered when the script is used up."""
        with self.lock:
            self.default = step

    def choose(self, request):
        with self.lock:
            self.all_requests.append(request)
            if self.record:
                self.record.write(json.dumps({"kind": request.kind, "body": request.body}) + "\n")
                self.record.flush()
            if request.kind in ("turn", "summary"):
                # A summary has its own answer, unless the script waits for one to fail.
                step = self.summary if request.kind == "summary" else (
                    self.steps.pop(0) if self.steps else self.default)
            else:
                step = self.side
            self.lock.notify_all()
        return step(request) if callable(step) else step

    # What happened

    @property
    def requests(self):
        """Requests of the conversation itself, in order."""
        return self.of_kind("turn")

    def of_kind(self, kind):
        with self.lock:
            return [r for r in self.all_requests if r.kind == kind]

    def wait_for_requests(self, count, timeout=20, kind="turn"):
        """Waits until so many requests of the kind have come; returns the newest of them."""
        with self.lock:
            enough = self.lock.wait_for(
                lambda: sum(r.kind == kind for r in self.all_requests) >= count, timeout)
        found = self.of_kind(kind)
        assert enough, f"{len(found)} of {count} requests ({kind}) within {timeout} s"
        return found[count - 1]

    # For the handler

    def next_id(self):
        with self.lock:
            self.ids += 1
            return self.ids

    def answered(self):
        with self.lock:
            self.done += 1
            self.lock.notify_all()

    def sleep(self, seconds):
        self.closing.wait(seconds)

    def wait(self, event):
        while not event.wait(0.02) and not self.closing.is_set():
            pass


def environment(url, home):
    """What an agent needs to speak to this server and to nobody else."""
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_API_KEY": "sk-ant-test",
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "IS_SANDBOX": "1",
        "HOME": str(home),
    }


def main():
    port = int(sys.argv[1]) if len(sys.argv) > 1 else 8080
    record = None
    if "--record" in sys.argv:
        record = open(sys.argv[sys.argv.index("--record") + 1], "w", encoding="utf-8")
    with ModelServer(port, record) as model:
        print(model.url, flush=True)
        try:
            model.thread.join()
        except KeyboardInterrupt:
            pass


if __name__ == "__main__":
    main()
