# SPDX-License-Identifier: MIT
"""
The session loop's socket, played: JSON-RPC 2.0, an object a line, answered as the test says.

    with FakeLoop({"agent-runner/ncl": lambda params: {"ok": True}}) as loop:
        subprocess.run([runner, "ncl", "help"], env=loop.env)
        assert loop.requests == [("agent-runner/ncl", {"command": "help", "args": {}})]
"""
import json
import os
import pathlib
import shutil
import socket
import tempfile
import threading

import session as sessions


class Refusal(Exception):
    """What a handler raises to answer with an error."""

    def __init__(self, code, message):
        super().__init__(message)
        self.answer = {"code": code, "message": message}


class HangUp(Exception):
    """What a handler raises to end the connection without an answer."""


def folder_name(workspace):
    """Of the folder that holds the socket of this workspace: FNV-1a of its path."""
    value = 2166136261
    for byte in str(workspace).encode():
        value = (value ^ byte) * 16777619 & 0xFFFFFFFF
    return f"agent-runner-{value:08x}"


class FakeLoop:
    """
    handlers: method -> function of params that returns the result; a method that has none is
    answered with itself and its params. talk: instead, a function of the connection.
    """

    def __init__(self, handlers=None, talk=None, workspace="/workspace"):
        self.handlers = handlers or {}
        self.talk = talk or self._talk
        self.workspace = workspace
        self.requests = []
        self.ended = threading.Event()  # a client has ended its side
        self.base = pathlib.Path(tempfile.mkdtemp(prefix="agent-runner-loop-"))
        self.folder = self.base / folder_name(workspace)
        self.path = self.folder / "socket"
        self.base.chmod(0o755)
        self.folder.mkdir(0o700)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.path))
        self._listener.listen()
        for path in (self.folder, self.path):
            os.chown(path, sessions.UID, sessions.GID)
        self._threads = [threading.Thread(target=self._accept, daemon=True)]

    @property
    def env(self):
        """For a client that finds it by the workspace."""
        return {"PATH": os.environ["PATH"], "TMPDIR": str(self.base),
                "AGENT_WORKSPACE": self.workspace, "ASAN_OPTIONS": "detect_leaks=0"}

    def __enter__(self):
        self._threads[0].start()
        return self

    def __exit__(self, *_):
        self.stop_listening()
        for thread in self._threads:
            thread.join(sessions.PATIENCE)
            assert not thread.is_alive(), "a connection of the fake loop goes on"
        shutil.rmtree(self.base)

    def stop_listening(self):
        """The socket stays, as a killed loop leaves it."""
        # close() alone would leave accept() waiting.
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._threads.append(threading.Thread(target=self._serve, args=(connection,),
                                                  daemon=True))
            self._threads[-1].start()

    def _serve(self, connection):
        with connection:
            try:
                self.talk(connection)
            except (HangUp, ConnectionError):
                pass

    def _talk(self, connection):
        for line in connection.makefile("rb"):
            request = json.loads(line)
            method, params = request["method"], request.get("params")
            self.requests.append((method, params))
            answer = {"jsonrpc": "2.0", "id": request.get("id")}
            try:
                handler = self.handlers.get(method)
                answer["result"] = (handler(params) if handler else
                                    {"method": method, "params": params})
            except Refusal as refusal:
                answer["error"] = refusal.answer
            connection.sendall(json.dumps(answer).encode() + b"\n")
        self.ended.set()
