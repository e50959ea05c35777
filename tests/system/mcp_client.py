# SPDX-License-Identifier: MIT
"""
An MCP client on the standard input and output of a command, for whole-program tests.

    with McpClient(command, env) as client:
        client.initialize()
        text, is_error = client.call("send_message", {"text": "hello"})

It sends what it is told, sensible or not, and takes in whatever comes: a thread reads all the time,
so that neither end ever waits for the other. Several calls may be under way at once:

    call = client.start("tools/call", {"name": "ask_user_question", "arguments": {…}})
    client.request("ping")
    call.wait()

version "2026-07-28" puts into every request what that version wants in it.
"""
import itertools
import json
import os
import subprocess
import threading

import session as sessions

LEGACY = ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"]
MODERN = "2026-07-28"
META = "io.modelcontextprotocol/"
PATIENCE = sessions.PATIENCE


class McpError(Exception):
    """The server answered a request with an error."""

    def __init__(self, error):
        super().__init__(f"{error.get('code')}: {error.get('message')}")
        self.code = error.get("code")
        self.message = error.get("message")
        self.data = error.get("data")


class Pending:
    """A request under way."""

    def __init__(self, client, number):
        self.client = client
        self.id = number

    def response(self, timeout=PATIENCE):
        """The whole message that answers it."""
        return self.client.wait(lambda: self.client.responses.get(_key(self.id)),
                                f"an answer to request {self.id!r}", timeout)

    def wait(self, timeout=PATIENCE):
        """Its result. McpError if it is an error."""
        message = self.response(timeout)
        if "error" in message:
            raise McpError(message["error"])
        return message["result"]

    def wait_text(self, timeout=PATIENCE):
        """Of a tool: (text, is_error)."""
        return text_of(self.wait(timeout))

    @property
    def is_answered(self):
        return self.client.response_to(self.id) is not None

    def cancel(self, reason="the test wants it so"):
        self.client.notify("notifications/cancelled", {"requestId": self.id, "reason": reason})


def _key(number):
    """1 and "1" are different ids, and so are 1 and True."""
    return json.dumps(number)


def text_of(result):
    """(text, is_error) of what a tool answered."""
    assert all(block["type"] == "text" for block in result["content"]), result
    return "\n".join(block["text"] for block in result["content"]), result.get("isError", False)


class McpClient:
    """env: the whole environment; None: ours. options: more for Popen."""

    def __init__(self, command, env=None, version=None, **options):
        self.version = version
        self.responses = {}
        self.notifications = []
        self.odd = []               # lines that answer nothing and are no notification
        self._lock = threading.Condition()
        self._writing = threading.Lock()
        self._numbers = itertools.count(1)
        self._ended = False
        self._errors = []
        self.process = subprocess.Popen(
            [str(word) for word in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, env=env, **options)
        self._threads = [threading.Thread(target=work, daemon=True)
                         for work in (self._read, self._read_errors)]
        for thread in self._threads:
            thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    # What comes

    def _read(self):
        for line in self.process.stdout:
            self._take(line)
        with self._lock:
            self._ended = True
            self._lock.notify_all()

    def _read_errors(self):
        for line in self.process.stderr:
            self._errors.append(line.decode(errors="replace"))

    def _take(self, line):
        try:
            message = json.loads(line)
        except ValueError:
            message = None
        with self._lock:
            for one in message if isinstance(message, list) else [message]:
                self._sort(one, line)
            self._lock.notify_all()

    def _sort(self, message, line):
        if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
            self.odd.append(line)
        elif "method" in message and "id" not in message:
            self.notifications.append(message)
        elif message.get("id") is None or _key(message["id"]) in self.responses:
            self.odd.append(line)
        else:
            self.responses[_key(message["id"])] = message

    @property
    def stderr(self):
        return "".join(self._errors)

    def response_to(self, number):
        """The message that answers this id; None: not yet."""
        with self._lock:
            return self.responses.get(_key(number))

    def wait(self, probe, what, timeout=PATIENCE):
        """Waits until probe() is true, which is asked again after each line."""
        with self._lock:
            self._lock.wait_for(lambda: probe() or self._ended, timeout)
            value = probe()
        assert value, (f"{what}: {'the server ended' if self._ended else f'not within {timeout} s'}"
                       f"\nodd lines: {self.odd[-3:]}\nstderr: {self.stderr}")
        return value

    def wait_notification(self, method, timeout=PATIENCE, **params):
        """The first notification of this method with these params."""
        def probe():
            return next((n for n in self.notifications if n["method"] == method and all(
                n["params"].get(k) == v for k, v in params.items())), None)
        return self.wait(probe, f"a notification {method}", timeout)

    def progress_of(self, token):
        """The same as progress(), for who holds the lock: within wait()."""
        # 7 and "7" are two tokens.
        return [n["params"] for n in self.notifications
                if n["method"] == "notifications/progress" and
                _key(n["params"]["progressToken"]) == _key(token)]

    def progress(self, token):
        """What was said so far of the progress of the request with this token."""
        with self._lock:
            return self.progress_of(token)

    def wait_end(self, timeout=PATIENCE):
        """Waits until the server ends by itself; its exit code."""
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"the server does not end\nstderr: {self.stderr}") from None

    # What goes

    def send_raw(self, data):
        """These bytes, whatever they are."""
        with self._writing:
            self.process.stdin.write(data)
            self.process.stdin.flush()

    def send(self, message):
        self.send_raw(json.dumps(message).encode() + b"\n")

    def message(self, method, params=None, number=None):
        """A request as an object: for those who send many of them as one."""
        params = dict(params or {})
        if self.version == MODERN:
            params["_meta"] = {**modern_meta(), **params.get("_meta", {})}
        return {"jsonrpc": "2.0", "id": next(self._numbers) if number is None else number,
                "method": method, **({"params": params} if params else {})}

    def start(self, method, params=None, number=None):
        """Sends a request; number: its id. Pending."""
        message = self.message(method, params, number)
        self.send(message)
        return Pending(self, message["id"])

    def start_call(self, tool, arguments=None, progress_token=None):
        params = {"name": tool, "arguments": arguments or {}}
        if progress_token is not None:
            params["_meta"] = {"progressToken": progress_token}
        return self.start("tools/call", params)

    def request(self, method, params=None, timeout=PATIENCE):
        return self.start(method, params).wait(timeout)

    def notify(self, method, params=None):
        self.send({"jsonrpc": "2.0", "method": method, **({"params": params} if params else {})})

    def initialize(self, version=LEGACY[-1]):
        result = self.request("initialize", {
            "protocolVersion": version, "capabilities": {},
            "clientInfo": {"name": "test", "version": "1"}})
        self.notify("notifications/initialized")
        return result

    def tools(self):
        """name -> what is said of the tool, in the order listed."""
        return {tool["name"]: tool for tool in self.request("tools/list")["tools"]}

    def call(self, tool, arguments=None, timeout=PATIENCE):
        """(text, is_error)"""
        return self.start_call(tool, arguments).wait_text(timeout)

    # The end

    def hang_up(self):
        """The end of what it has to say."""
        with self._writing:
            self.process.stdin.close()

    def close(self, timeout=PATIENCE):
        """Hangs up and waits for the end; its exit code."""
        try:
            self.hang_up()
        except BrokenPipeError:
            pass
        try:
            return self.wait_end(timeout)
        finally:
            self.kill()

    def kill(self):
        """No goodbye."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for thread in self._threads:
            thread.join(PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


def modern_meta(version=MODERN):
    return {META + "protocolVersion": version, META + "clientCapabilities": {},
            META + "clientInfo": {"name": "test", "version": "1"}}


# Beside a session

OWN = (sessions.CHANNEL, sessions.PLACE, None)
# (required, optional) of each tool
TOOLS = {
    "send_message": (["text"], ["to"]),
    "send_file": (["path"], ["to", "text", "filename"]),
    "edit_message": (["messageId", "text"], []),
    "add_reaction": (["messageId", "emoji"], []),
    "ask_user_question": (["title", "question", "options"], ["timeout"]),
    "send_card": (["card"], ["fallbackText"]),
    "schedule_task": (["prompt", "processAfter"], ["recurrence", "script"]),
    "list_tasks": ([], ["status"]),
    "cancel_task": (["taskId"], []),
    "pause_task": (["taskId"], []),
    "resume_task": (["taskId"], []),
    "update_task": (["taskId"], ["prompt", "recurrence", "processAfter", "script"]),
    "create_agent": (["name"], ["instructions"]),
    "install_packages": ([], ["apt", "npm", "reason"]),
    "add_mcp_server": (["name", "command"], ["args", "env"]),
}
QUESTION = {"title": "Lunch", "question": "Which one?", "options": ["soup", "salad"]}


def command(session, *arguments):
    """The runner's command line for another mode beside this session."""
    return [str(sessions.runner_path()), "--workspace", str(session.workspace), *arguments]


def identity():
    """For Popen: the user whom the session runs as."""
    if os.getuid() != 0:
        return {}
    return {"user": sessions.UID, "group": sessions.GID, "extra_groups": []}


def connect(session, version=LEGACY[-1], env=None):
    """A client of the session's server, ready to call tools."""
    client = McpClient(command(session, "mcp"), {**session.env, **(env or {})},
                       version=version if version == MODERN else None, cwd="/", **identity())
    try:
        if version == MODERN:
            client.request("server/discover")
        else:
            client.initialize(version)
    except BaseException:
        client.kill()
        raise
    return client


def content(answer):
    return json.loads(answer.content)


def answer_question(session, question_id, option, **more):
    """As the host does when somebody presses a button."""
    return session.add({"type": "question_response", "questionId": question_id,
                        "selectedOption": option, **more},
                       kind="system", channel_type=None, platform_id=None)


def questions(session):
    return [content(a) for a in session.answers() if content(a).get("type") == "ask_question"]


def wait_question(session, number=1):
    """The content of a question's row, once there are so many."""
    return session.wait(lambda: questions(session) if len(questions(session)) >= number else None,
                        f"{number} questions")[number - 1]
