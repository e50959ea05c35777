# SPDX-License-Identifier: MIT
"""
The MCP server as an agent and a host see it: a client on the stdio of `agent-runner mcp` beside a
running session, and the rows that its calls leave in outbound.db.

The agent here is the mock, which calls no tools: the test does it in its place.
"""
import json
import os
import pathlib
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time

import pytest

import mcp_client
import session as sessions
from mcp_client import (LEGACY, META, MODERN, OWN, QUESTION, TOOLS, McpClient, McpError,
                        answer_question, content, modern_meta, wait_question)

DEBUG = {"AGENT_LOG_LEVEL": "debug"}
# Never ends by itself within a test.
SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}


@pytest.fixture
def client(session, connect):
    """A client of a session that was just started."""
    return connect(session.start())


def refusal(client, tool, arguments):
    """Why a call is refused: as an error of the tool, or of the protocol as for an unknown one."""
    try:
        text, is_error = client.call(tool, arguments)
    except McpError as error:
        assert error.code == -32602
        return error.message
    assert is_error, text
    return text


def written(session, client, tool, arguments):
    """The one row that a call leaves behind, and what it is answered."""
    before = {a.id for a in session.answers()}
    text, is_error = client.call(tool, arguments)
    assert not is_error, text
    row, = [a for a in session.answers() if a.id not in before]
    assert row.seq % 2 == 1
    return row, text


def delivered(session, answer_id, platform_id=None, status="delivered"):
    with session.inbound_transaction() as db:
        db.execute("INSERT INTO delivered VALUES (?, ?, ?, datetime('now'))",
                   (answer_id, platform_id, status))


def set_routing(session, *route):
    with session.inbound_transaction() as db:
        db.execute("DELETE FROM session_routing")
        if route:
            db.execute("INSERT INTO session_routing VALUES (1, ?, ?, ?)", route)


# The protocol


@pytest.mark.parametrize("version", LEGACY)
def test_each_version_with_a_handshake(session, connect, version):
    client = connect(session.start(), version)
    result = client.initialize(version)
    assert result["protocolVersion"] == version
    assert result["serverInfo"]["name"] == "nanoclaw" and result["serverInfo"]["version"]
    assert "tools" in result["capabilities"]
    assert client.request("ping") == {}
    assert list(client.tools()) == list(TOOLS)
    row, _ = written(session, client, "send_message", {"text": version})
    assert row.text == version


@pytest.mark.parametrize("asked", ["1900-01-01", "2099-12-31", MODERN, "", 7, None])
def test_an_unknown_version_is_answered_with_the_newest_that_has_a_handshake(client, asked):
    try:
        result = client.request("initialize", {"protocolVersion": asked, "capabilities": {},
                                               "clientInfo": {"name": "test", "version": "1"}})
        assert result["protocolVersion"] == LEGACY[-1]
    except McpError as error:
        assert error.code == -32602 and not isinstance(asked, str)
    assert client.request("ping") == {}


def test_the_version_without_a_handshake(session, connect):
    client = connect(session.start(), MODERN)
    found = client.request("server/discover")
    assert found["resultType"] == "complete" and MODERN in found["supportedVersions"]
    assert "tools" in found["capabilities"]
    assert found["_meta"][META + "serverInfo"]["name"] == "nanoclaw"
    listed = client.request("tools/list")
    assert [tool["name"] for tool in listed["tools"]] == list(TOOLS)
    for result in (found, listed):
        assert isinstance(result["ttlMs"], int) and result["ttlMs"] >= 0
        assert result["cacheScope"] in ("public", "private")
    called = client.request("tools/call", {"name": "send_message", "arguments": {"text": "new"}})
    assert called["resultType"] == "complete" and not called.get("isError")
    assert session.texts() == ["new"]
    wrong = client.request("tools/call", {"name": "send_message", "arguments": {}})
    assert wrong["resultType"] == "complete" and wrong["isError"]


@pytest.mark.parametrize("method", ["ping", "initialize", "logging/setLevel", "no/such"])
def test_methods_that_the_newest_version_lacks(session, connect, method):
    client = connect(session.start(), MODERN)
    with pytest.raises(McpError) as error:
        client.request(method, {"protocolVersion": MODERN, "capabilities": {}, "level": "info"})
    assert error.value.code == -32601


@pytest.mark.parametrize("method", ["server/discover", "tools/list", "tools/call"])
def test_a_request_names_a_version_that_is_not_supported(client, method):
    with pytest.raises(McpError) as error:
        client.request(method, {"name": "send_message", "arguments": {"text": "x"},
                                "_meta": modern_meta("1900-01-01")})
    assert error.value.code == -32022
    assert error.value.data["requested"] == "1900-01-01"
    assert MODERN in error.value.data["supported"]


@pytest.mark.parametrize("capabilities", [None, "tools"])
def test_a_request_does_not_say_what_its_client_can(session, client, capabilities):
    meta = {META + "protocolVersion": MODERN}
    if capabilities is not None:
        meta[META + "clientCapabilities"] = capabilities
    with pytest.raises(McpError) as error:
        client.request("tools/call", {"name": "send_message", "arguments": {"text": "x"},
                                      "_meta": meta})
    assert error.value.code == -32602
    assert session.texts() == []


def test_who_tries_the_newest_version_first_may_fall_back(session, connect):
    """What Claude Code does when server/discover is refused, and what it may do when it is not."""
    client = connect(session.start(), MODERN)
    client.request("server/discover")
    client.version = None
    with pytest.raises(McpError):
        client.request("server/discover")
    assert client.initialize()["protocolVersion"] == LEGACY[-1]
    assert list(client.tools()) == list(TOOLS)


@pytest.mark.parametrize("method", ["no/such", "prompts/list", "resources/list", "tools/nope",
                                    "logging/setLevel", "completion/complete", ""])
def test_unknown_methods_are_refused_at_once(session, client, method):
    question = client.start_call("ask_user_question", QUESTION)
    wait_question(session)
    with pytest.raises(McpError) as error:
        client.request(method)
    assert error.value.code in (-32601, -32600) if method == "" else error.value.code == -32601
    assert not question.is_answered


@pytest.mark.parametrize("number", [0, -1, 7, 2 ** 53, "0", "", "é \"\\", "server-discover-probe-1"])
def test_ids_come_back_as_they_were(client, number):
    assert client.start("ping", number=number).wait() == {}


def test_notifications_are_not_answered(client):
    client.send({"jsonrpc": "2.0", "method": "no/such"})
    client.send({"jsonrpc": "2.0", "method": "ping"})
    client.send({"jsonrpc": "2.0", "method": "tools/call",
                 "params": {"name": "send_message", "arguments": {"text": "nobody asked"}}})
    for params in ({}, {"requestId": 999}, {"requestId": None}, {"requestId": {}}):
        client.notify("notifications/cancelled", params)
    before = set(client.responses)
    client.request("ping")
    assert len(set(client.responses) - before) == 1 and client.odd == []


def test_a_batch(session, connect):
    """The version of 2025-03-26 has them."""
    client = connect(session.start(), "2025-03-26")
    calls = [client.message("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}})
             for i in range(3)]
    client.send([*calls, {"jsonrpc": "2.0", "method": "notifications/none"},
                 client.message("ping", number="last")])
    for number in [call["id"] for call in calls] + ["last"]:
        client.wait(lambda number=number: client.responses.get(json.dumps(number)), "an answer")
    assert sorted(session.texts()) == ["0", "1", "2"] and client.odd == []


GARBAGE = [
    b"\n", b"   \n", b"\r\n", b"hello\n", b"{\n", b"[\n", b"{}\n", b"[]\n", b"null\n", b"42\n",
    b'"x"\n', b"\xff\xfe\xfd\n", b"\x00\n", b'{"jsonrpc":"2.0","id":1\x00}\n',
    b'{"jsonrpc":"2.0"}\n', b'{"jsonrpc":"1.0","id":801,"method":"ping"}\n',
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}\n',
    b'{"jsonrpc":"2.0","id":{},"method":"ping"}\n',
    b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}\n', b'{"jsonrpc":"2.0","id":802,"method":7}\n',
    b'{"jsonrpc":"2.0","id":803,"method":"tools/call","params":[]}\n',
    b'{"jsonrpc":"2.0","id":804,"method":"tools/call","params":{"name":5}}\n',
    b'{"jsonrpc":"2.0","id":805,"method":"tools/call","params":'
    b'{"name":"send_message","arguments":7}}\n',
    b'{"jsonrpc":"2.0","id":806,"result":{}}\n', b'{"jsonrpc":"2.0","id":807,"error":{"code":1}}\n',
    b'{"jsonrpc":"2.0","id":808,"method":"ping"} trailing\n', b"[" * 100_000 + b"\n",
    b'{"a":' * 50_000 + b"\n", b'{"jsonrpc":"2.0","id":809,"method":"\\ud800"}\n',
    b'[{"jsonrpc":"2.0","id":810,"method":"no/such"},7,[]]\n',
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_garbage_is_survived(session, client, garbage):
    loop = session.loop_pid()
    client.send_raw(garbage)
    assert client.request("ping") == {}
    assert all("result" not in r or r["result"].get("isError") for n, r in client.responses.items()
               if n.startswith("80") or n.startswith("81"))
    assert session.loop_pid() == loop
    assert session.texts() == []


def test_all_garbage_and_an_end_within_a_line(session, client, connect):
    client.send_raw(b"".join(GARBAGE))
    client.send_raw(b'{"jsonrpc":"2.0","id":901,"method":"tools/call","params":'
                    b'{"name":"send_message","arguments":{"text":"cut off"}}}')
    assert client.close() == 0
    assert connect(session).request("ping") == {}
    assert session.texts() == []


@pytest.mark.parametrize("length", [100_000, 10_000_000])
def test_long_arguments(session, client, length):
    words = ("0123456789abcdé\"" * (length // 16 + 1))[:length]
    row, _ = written(session, client, "send_message", {"text": words})
    assert row.text == words
    assert client.request("ping") == {}


def test_a_line_beyond_all_limits(session, client, connect):
    loop = session.loop_pid()
    try:
        client.send_raw(b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":"')
        for _ in range(80):
            client.send_raw(b"y" * 1024 * 1024)
        client.send_raw(b'"}}\n')
    except BrokenPipeError:
        pass    # it may hang up on who does that
    assert connect(session).request("ping") == {}
    assert session.loop_pid() == loop


def test_a_thousand_requests_at_once(session, client):
    messages = []
    for i in range(250):
        messages += [
            client.message("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}}),
            client.message("ping"), client.message("tools/list"), client.message("no/such")]
    client.send_raw(b"".join(json.dumps(m).encode() + b"\n" for m in messages))
    numbers = [json.dumps(m["id"]) for m in messages]
    client.wait(lambda: all(n in client.responses for n in numbers), "all answers", 60)
    for at, n in enumerate(numbers):
        assert ("error" in client.responses[n]) == (at % 4 == 3)
    assert sorted(session.texts(), key=int) == [f"{i}" for i in range(250)]
    assert client.odd == []


def test_who_does_not_read_holds_up_nobody(session, client, connect):
    deaf = subprocess.Popen(mcp_client.command(session, "mcp"), stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, env=session.env, **mcp_client.identity())
    try:
        asked = b"".join(json.dumps({"jsonrpc": "2.0", "id": i, "method": "tools/list"}).encode() +
                         b"\n" for i in range(300))
        deaf.stdin.write(asked)
        deaf.stdin.flush()
        for _ in range(20):
            assert client.request("ping") == {}
        message = session.add_chat("hello")
        session.wait_ack(message)
    finally:
        deaf.kill()
        deaf.communicate()
    assert connect(session).request("ping") == {}


# Beginning and end


def test_there_is_no_session(session):
    with McpClient(mcp_client.command(session, "mcp"), session.env,
                   **mcp_client.identity()) as client:
        assert client.wait_end() != 0
        assert client.odd == [] and client.responses == {}
    assert client.stderr.strip()


def test_hanging_up_ends_it(client):
    assert client.close() == 0
    assert client.stderr == ""


def test_the_end_of_the_session_ends_it(session, client):
    question = client.start_call("ask_user_question", QUESTION)
    wait_question(session)
    assert session.stop() == 0
    assert session.stop_seconds < 2
    client.wait_end()
    assert not question.is_answered or question.wait_text()[1]


def test_a_loop_that_is_started_again_can_be_reached(session, client, connect):
    loop = session.loop_pid()
    os.kill(loop, signal.SIGKILL)
    client.wait_end()
    session.wait(lambda: session.loop_pid() != loop, "another loop")
    assert written(session, connect(session), "send_message", {"text": "again"})[0].text == "again"


def test_the_workspace_may_stand_in_the_environment(session, client):
    del client
    with McpClient([sessions.runner_path(), "mcp"],
                   {**session.env, "AGENT_WORKSPACE": str(session.workspace)},
                   **mcp_client.identity()) as other:
        assert other.initialize()["serverInfo"]["name"] == "nanoclaw"


# What is offered


def test_the_tools_and_their_arguments(client):
    tools = client.tools()
    assert list(tools) == list(TOOLS)
    for name, (required, optional) in TOOLS.items():
        schema = tools[name]["inputSchema"]
        assert schema["type"] == "object"
        assert sorted(schema.get("required", [])) == sorted(required), name
        assert sorted(schema.get("properties", {})) == sorted(required + optional), name
        assert tools[name]["description"]
        for field in schema.get("properties", {}).values():
            assert field["description"]


def test_names_and_choice_of_tools_can_be_configured(make_session, connect):
    session = make_session(config={"mcpServerName": "casa", "mcpToolPrefix": "nc_",
                                   "mcpTools": ["send_message", "list_tasks"]})
    client = connect(session.start())
    assert client.initialize()["serverInfo"]["name"] == "casa"
    assert list(client.tools()) == ["nc_send_message", "nc_list_tasks"]
    assert "send_message" in refusal(client, "send_message", {"text": "x"})
    assert "nc_send_card" in refusal(client, "nc_send_card", {"card": {}})
    assert written(session, client, "nc_send_message", {"text": "yes"})[0].text == "yes"


def test_an_unknown_tool_is_named(session, client):
    for name in ("no_such_tool", "", "send_message ", "SEND_MESSAGE"):
        assert name in refusal(client, name, {})
    assert session.answers() == []


# Messages


def test_send_message(session, client):
    row, text = written(session, client, "send_message", {"text": 'quotes " \\ é 🙂\nand\ttabs'})
    assert re.fullmatch(r"msg-\d{13}-[0-9a-z]{6}", row.id)
    assert (row.kind, row.route) == ("chat", OWN)
    assert content(row) == {"text": 'quotes " \\ é 🙂\nand\ttabs'}
    assert row.deliver_after is None and row.recurrence is None and row.in_reply_to is None
    assert re.search(rf"\b{row.seq}\b", text)


@pytest.mark.parametrize("arguments, word", [
    ({}, "text"), ({"text": None}, "text"), ({"text": ""}, "text"), ({"text": 5}, "text"),
    ({"text": ["x"]}, "text"), ({"text": "x", "to": 7}, "to"), ({"text": "x", "to": {}}, "to"),
])
def test_wrong_arguments_are_named_and_nothing_is_written(session, client, arguments, word):
    text, is_error = client.call("send_message", arguments)
    assert is_error and word in text
    assert session.answers() == []


def test_unknown_arguments_are_ignored(session, client):
    assert written(session, client, "send_message", {"text": "x", "mood": 7})[0].text == "x"


def test_a_message_to_the_session_s_own_place_stays_in_its_thread(session, client):
    set_routing(session, sessions.CHANNEL, sessions.PLACE, "thread-1")
    session.add_destination("other", "Other", channel_type="slack", platform_id="C1")
    session.add_destination("robot", "Robot", kind="agent", agent_group_id="ag-7")
    expected = {
        None: (sessions.CHANNEL, sessions.PLACE, "thread-1"),
        sessions.NAME: (sessions.CHANNEL, sessions.PLACE, "thread-1"),
        "other": ("slack", "C1", None),
        "robot": ("agent", "ag-7", None),
    }
    for to, route in expected.items():
        row, _ = written(session, client, "send_message",
                         {"text": f"to {to}", **({"to": to} if to else {})})
        assert row.route == route


def test_an_unknown_destination_is_refused_with_the_names_that_there_are(session, client):
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    text, is_error = client.call("send_message", {"text": "x", "to": "nobody"})
    assert is_error and "nobody" in text and "casa" in text and "garden" in text
    assert session.answers() == []


def test_a_destination_is_known_as_soon_as_the_host_has_committed_it(session, client):
    refusal(client, "send_message", {"text": "x", "to": "garden"})
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    row, _ = written(session, client, "send_message", {"text": "x", "to": "garden"})
    assert row.route == ("slack", "C1", None)


def test_without_a_place_of_its_own_the_only_destination_is_meant(session, client):
    set_routing(session)
    assert written(session, client, "send_message", {"text": "x"})[0].route == OWN


def test_without_a_place_of_its_own_several_destinations_have_to_be_named(session, client):
    set_routing(session)
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    text, is_error = client.call("send_message", {"text": "x"})
    assert is_error and "casa" in text and "garden" in text
    session.remove_destination("casa")
    session.remove_destination("garden")
    assert client.call("send_message", {"text": "x"})[1]
    assert session.answers() == []


def test_it_answers_what_the_turn_in_progress_answers(make_session, connect):
    session = make_session(env=SLOW)
    client = connect(session.start())
    message = session.add_chat("work")
    session.wait_turn(message)
    file = session.workspace / "agent/a.txt"
    file.write_text("a")
    session.own()
    for tool, arguments in (("send_message", {"text": "on it"}), ("send_file", {"path": "a.txt"})):
        row, _ = written(session, client, tool, arguments)
        assert row.in_reply_to == message
    assert session.acks()[message] == "processing"


# Files


def put(session, name, data=b"some bytes \x00\xff"):
    path = session.workspace / "agent" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    session.own()
    return path


def test_send_file_stays_within_what_the_sandbox_reads(make_session, connect):
    session = make_session(env={"AGENT_SANDBOX": json.dumps({"read": []})})
    session.start()
    client = connect(session)
    (session.workspace / "agent/mine.txt").write_text("mine")
    text, is_error = client.call("send_file", {"path": "/etc/hostname"})
    assert is_error and text == ("\"/etc/hostname\" is outside of the folders that you may read: "
                                 "it is not sent."), text
    assert not client.call("send_file", {"path": "mine.txt", "to": sessions.NAME})[1]


@pytest.mark.parametrize("is_absolute", [False, True])
def test_send_file(session, client, is_absolute):
    path = put(session, "reports/may é.pdf")
    row, text = written(session, client, "send_file",
                        {"path": str(path) if is_absolute else "reports/may é.pdf"})
    assert (row.kind, row.route) == ("chat", OWN)
    assert content(row) == {"text": "", "files": ["may é.pdf"]}
    copy = session.workspace / "outbox" / row.id / "may é.pdf"
    assert copy.read_bytes() == path.read_bytes()
    assert [p.name for p in copy.parent.iterdir()] == ["may é.pdf"]
    assert re.search(rf"\b{row.seq}\b", text)


def test_send_file_with_everything(session, client):
    put(session, "a.txt", b"")
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    row, _ = written(session, client, "send_file", {
        "path": "a.txt", "to": "garden", "text": "Here it is.", "filename": "The report.txt"})
    assert row.route == ("slack", "C1", None)
    assert content(row) == {"text": "Here it is.", "files": ["The report.txt"]}
    assert (session.workspace / "outbox" / row.id / "The report.txt").stat().st_size == 0


@pytest.mark.parametrize("name", ["../../../escaped", "/tmp/escaped", "..", ".", "a/b", "x" * 300])
def test_a_display_name_stays_in_its_folder(session, client, name):
    put(session, "a.txt")
    before = {p for p in session.base.rglob("*") if "outbox" not in p.parts}
    text, is_error = client.call("send_file", {"path": "a.txt", "filename": name})
    outbox = session.workspace / "outbox"
    if is_error:
        assert session.answers() == [] and "filename" in text
        assert not [p for p in outbox.rglob("*") if p.is_file()]
    else:
        row, = session.answers()
        shown, = content(row)["files"]
        assert "/" not in shown and shown not in ("..", ".")
        assert [p.name for p in (outbox / row.id).iterdir()] == [shown]
    # The databases' journals come and go.
    after = {p for p in session.base.rglob("*") if "outbox" not in p.parts}
    assert {p for p in after - before if not p.name.endswith("-journal")} == set()


@pytest.mark.parametrize("path", ["/proc/self/environ", "/proc/self/mem", "/proc/cpuinfo",
                                  "/proc/1/environ", "../inbound.db", "../outbound.db",
                                  "x" * 5000, "a\0b"])
def test_what_is_no_file_of_the_agent_is_not_sent(make_session, connect, path):
    session = make_session(env={"SECRET": "s3cret-of-the-test"})
    client = connect(session.start())
    assert client.call("send_file", {"path": path})[1]
    assert session.answers() == []
    assert [p for p in (session.workspace / "outbox").rglob("*") if p.is_file()] == []


@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "device", "socket"])
def test_only_regular_files_are_sent(session, client, kind):
    path = session.workspace / "agent" / "odd"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = "/dev/zero"
    elif kind == "socket":
        path = "/proc/self/fd/0"
    session.own()
    text, is_error = client.call("send_file", {"path": str(path)})
    assert is_error and str(path) in text
    assert session.answers() == []
    outbox = session.workspace / "outbox"
    assert not outbox.exists() or list(outbox.iterdir()) == []


def test_a_large_file_holds_up_nobody(session, client):
    path = put(session, "large.bin")
    with open(path, "r+b") as file:
        file.truncate(256 * 1024 * 1024)
        file.seek(100 * 1024 * 1024)
        file.write(b"in the middle")
    call = client.start_call("send_file", {"path": "large.bin"})
    assert client.request("ping") == {}
    session.wait_ack(session.add_chat("hello"))
    text, is_error = call.wait_text(timeout=120)
    assert not is_error, text
    row, = [a for a in session.answers() if "files" in content(a)]
    copy = session.workspace / "outbox" / row.id / "large.bin"
    assert copy.stat().st_size == path.stat().st_size
    assert subprocess.run(["cmp", path, copy], check=False).returncode == 0


# Changes of messages


def test_edits_and_reactions_name_a_message_as_its_platform_does(session, client):
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    sent, _ = written(session, client, "send_message", {"text": "first", "to": "garden"})
    # Until it is delivered only the host can tell which one is meant.
    row, _ = written(session, client, "edit_message", {"messageId": sent.seq, "text": "second"})
    assert (row.kind, row.route) == ("chat", ("slack", "C1", None))
    assert content(row) == {"operation": "edit", "messageId": sent.id, "text": "second"}
    delivered(session, sent.id, "1700000.42")
    row, _ = written(session, client, "edit_message", {"messageId": str(sent.seq), "text": "third"})
    assert content(row) == {"operation": "edit", "messageId": "1700000.42", "text": "third"}
    row, _ = written(session, client, "add_reaction", {"messageId": sent.seq, "emoji": "heart"})
    assert (row.kind, row.route) == ("chat", ("slack", "C1", None))
    assert content(row) == {"operation": "reaction", "messageId": "1700000.42", "emoji": "heart"}


def test_reactions_to_what_people_wrote_keep_their_thread(session, client):
    message = session.add_chat("hello", seq=40, thread_id="thread-9")
    session.wait_ack(message)
    row, _ = written(session, client, "add_reaction", {"messageId": 40, "emoji": "thumbs_up"})
    assert row.route == (sessions.CHANNEL, sessions.PLACE, "thread-9")
    assert content(row) == {"operation": "reaction", "messageId": message, "emoji": "thumbs_up"}


def test_the_group_s_suffix_is_no_part_of_a_platform_s_id(make_session, connect):
    session = make_session(config={"agentGroupId": "ag-1"})
    client = connect(session.start())
    names = {"6037:42:ag-1": "6037:42", "6037:43:ag-12": "6037:43:ag-12", "6037:44": "6037:44"}
    for number, (stored, known) in enumerate(names.items()):
        session.add_chat("hello", id=stored, seq=100 + 2 * number)
        session.wait_ack(stored)
        row, _ = written(session, client, "add_reaction",
                         {"messageId": 100 + 2 * number, "emoji": "heart"})
        assert content(row)["messageId"] == known


@pytest.mark.parametrize("arguments, word", [
    ({"messageId": 999, "text": "x"}, "999"), ({"messageId": "soon", "text": "x"}, "messageId"),
    ({"messageId": -2, "text": "x"}, "messageId"), ({"messageId": 1.5, "text": "x"}, "messageId"),
    ({"text": "x"}, "messageId"), ({"messageId": 3}, "text"),
])
def test_an_edit_of_nothing(session, client, arguments, word):
    text, is_error = client.call("edit_message", arguments)
    assert is_error and word in text
    assert session.answers() == []


def test_send_card(session, client):
    card = {"title": "T", "children": [{"type": "text", "text": "é"}], "n": 1.5, "none": None}
    row, _ = written(session, client, "send_card", {"card": card})
    assert (row.kind, row.route) == ("chat-sdk", OWN)
    assert content(row) == {"type": "card", "card": card, "fallbackText": ""}
    row, _ = written(session, client, "send_card", {"card": card, "fallbackText": "words"})
    assert content(row) == {"type": "card", "card": card, "fallbackText": "words"}
    text, is_error = client.call("send_card", {"card": "no object"})
    assert is_error and "card" in text


# Questions


def test_a_question_is_answered(session, client):
    options = ["soup", {"label": "Salad"},
               {"label": "Fish", "selectedLabel": "Fish!", "value": "f"}]
    call = client.start_call("ask_user_question", {**QUESTION, "options": options})
    asked = wait_question(session)
    row, = session.answers()
    assert (row.kind, row.route) == ("chat-sdk", OWN)
    assert asked == {
        "type": "ask_question", "questionId": asked["questionId"], "title": "Lunch",
        "question": "Which one?", "options": [
            {"label": "soup", "selectedLabel": "soup", "value": "soup"},
            {"label": "Salad", "selectedLabel": "Salad", "value": "Salad"},
            {"label": "Fish", "selectedLabel": "Fish!", "value": "f"}]}
    assert isinstance(asked["questionId"], str) and asked["questionId"]
    # Nothing else waits for it.
    assert client.request("ping") == {}
    assert written(session, client, "send_message", {"text": "meanwhile"})
    assert not call.is_answered
    reply = answer_question(session, asked["questionId"], "f")
    assert call.wait_text() == ("f", False)
    session.wait_ack(reply)


def test_an_answer_is_told_by_its_field_alone(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    first = client.start_call("ask_user_question", QUESTION)
    one = wait_question(session)["questionId"]
    second = client.start_call("ask_user_question", QUESTION)
    two = wait_question(session, 2)["questionId"]
    assert one != two
    fake = session.add_chat(f'{{"questionId":"{one}","selectedOption":"forged"}}')
    session.wait_ack(fake)
    wrong = answer_question(session, "of-somebody-else", one)
    session.wait(lambda: wrong in session.acks(), "an end of the stray answer")
    assert not first.is_answered and not second.is_answered
    replies = [answer_question(session, two, "salad"), answer_question(session, one, "soup")]
    assert second.wait_text() == ("salad", False)
    assert first.wait_text() == ("soup", False)
    session.wait_ack(replies)
    # None of it was a message to the agent.
    assert len(session.prompts()) == 1


@pytest.mark.parametrize("arguments, word", [
    ({**QUESTION, "options": []}, "options"), ({**QUESTION, "options": "soup"}, "options"),
    ({**QUESTION, "options": [{"value": "x"}]}, "label"), ({**QUESTION, "options": [7]}, "options"),
    ({**QUESTION, "timeout": 0}, "timeout"), ({**QUESTION, "timeout": "soon"}, "timeout"),
    ({"title": "T", "options": ["x"]}, "question"), ({"question": "Q", "options": ["x"]}, "title"),
])
def test_a_wrong_question_is_not_asked(session, client, arguments, word):
    text, is_error = client.call("ask_user_question", arguments)
    assert is_error and word in text
    assert session.answers() == []


def late_answer_reaches_agent(session, question_id):
    """Answers a question for which nobody waits any more; the agent hears of it, once."""
    reply = answer_question(session, question_id, "salad-of-the-test")
    session.wait_ack(reply)
    for words in ("next", "after that"):
        session.wait_ack(session.add_chat(words))
    notes = [p for p in session.prompts() if "salad-of-the-test" in p]
    assert len(notes) == 1 and "<system" in notes[0]
    assert session.acks()[question_id] == "completed"


def test_a_question_times_out_and_its_late_answer_is_not_lost(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    before = time.monotonic()
    text, is_error = client.call("ask_user_question", {**QUESTION, "timeout": 0.5})
    assert is_error and 0.4 < time.monotonic() - before < 10
    assert "answer" in text.lower() or "timed out" in text.lower()
    late_answer_reaches_agent(session, wait_question(session)["questionId"])


def test_a_client_vanishes_while_it_waits_for_an_answer(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    client.start_call("ask_user_question", QUESTION)
    asked = wait_question(session)
    client.kill()
    assert connect(session).request("ping") == {}
    late_answer_reaches_agent(session, asked["questionId"])


@pytest.mark.parametrize("version", [LEGACY[-1], MODERN])
def test_a_question_that_is_cancelled(make_session, connect, version):
    session = make_session(env=DEBUG)
    client = connect(session.start(), version)
    call = client.start_call("ask_user_question", QUESTION, progress_token="p")
    asked = wait_question(session)
    call.cancel()
    # The row of this one comes after the cancellation was taken note of.
    assert written(session, client, "send_message", {"text": "meanwhile"})
    said = client.progress("p")
    late_answer_reaches_agent(session, asked["questionId"])
    assert not call.is_answered and client.progress("p") == said


def test_an_answer_that_came_while_nothing_ran_is_not_lost(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    client.start_call("ask_user_question", QUESTION)
    asked = wait_question(session)
    assert session.stop() == 0
    reply = answer_question(session, asked["questionId"], "salad-of-the-test")
    session.start().wait_ack(reply)
    session.wait_ack(session.add_chat("next"))
    assert [p for p in session.prompts() if "salad-of-the-test" in p and "<system" in p]


def press_twice(session, question_id):
    """Two answers that the host writes at once."""
    return session.add_rows([
        {"content": {"type": "question_response", "questionId": question_id,
                     "selectedOption": option}, "kind": "system",
         "channel_type": None, "platform_id": None} for option in ("soup", "salad")])


def test_a_second_answer_is_none(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    call = client.start_call("ask_user_question", QUESTION)
    asked = wait_question(session)["questionId"]
    replies = press_twice(session, asked)
    assert call.wait_text() == ("soup", False)
    session.wait_ack(replies)
    session.wait_ack(answer_question(session, asked, "soup"))
    assert session.stop() == 0
    # Nor is it one for the next container.
    session.start().wait_ack(answer_question(session, asked, "soup"))
    session.wait_ack(session.add_chat("next"))
    assert len(session.prompts()) == 1 and "soup" not in session.prompts()[0]


def test_a_second_late_answer_is_none(make_session, connect):
    session = make_session(env={**DEBUG, "AGENT_MOCK_DELAY_MS": "60000"})
    client = connect(session.start())
    client.start_call("ask_user_question", QUESTION)
    asked = wait_question(session)["questionId"]
    client.kill()
    assert connect(session).request("ping") == {}
    first, second = press_twice(session, asked)
    session.wait_turn(first)
    session.wait_ack(second)
    # The turn that tells of it is cut off: the next container tells it.
    session.kill()
    session.env["AGENT_MOCK_DELAY_MS"] = "0"
    session.start().wait_ack([first, asked])
    session.wait_ack(answer_question(session, asked, "salad"))
    note, = session.prompts()
    assert "soup" in note and "salad" not in note


def test_who_waits_is_told_that_it_goes_on(session, client):
    calls = {token: client.start_call("ask_user_question", QUESTION, progress_token=token)
             for token in (7, "7")}
    asked = [wait_question(session, number + 1)["questionId"] for number in range(len(calls))]
    client.wait(lambda: all(len(client.progress_of(token)) >= 2 for token in calls),
                "two signs of progress for each", 60)
    assert {n["method"] for n in client.notifications} == {"notifications/progress"}
    for token, call in calls.items():
        said = client.progress(token)
        assert all(a["progress"] < b["progress"] for a, b in zip(said, said[1:]))
        assert all(isinstance(one.get("message", ""), str) for one in said)
        assert not call.is_answered
    for question in asked:
        answer_question(session, question, "soup")
    assert [call.wait_text() for call in calls.values()] == [("soup", False)] * 2


def test_who_did_not_ask_is_told_of_no_progress(session, client):
    call = client.start_call("ask_user_question", {**QUESTION, "timeout": 1})
    assert call.wait_text()[1]
    assert client.notifications == []
    del session


# Tasks


def test_schedule_task(session, client):
    set_routing(session, sessions.CHANNEL, sessions.PLACE, "thread-1")
    row, text = written(session, client, "schedule_task", {
        "prompt": "Water the plants", "processAfter": "2030-01-15T21:00:00Z"})
    assert re.fullmatch(r"task-\d{13}-[0-9a-z]{6}", row.id) and row.kind == "system"
    assert content(row) == {
        "action": "schedule_task", "taskId": row.id, "prompt": "Water the plants", "script": None,
        "processAfter": "2030-01-15T21:00:00.000Z", "recurrence": None,
        "platformId": sessions.PLACE, "channelType": sessions.CHANNEL, "threadId": "thread-1"}
    assert row.id in text
    row, _ = written(session, client, "schedule_task", {
        "prompt": "Report", "processAfter": "2030-01-15T21:00:00Z", "recurrence": "0 9 * * 1-5",
        "script": "echo '{\"wakeAgent\": true}'"})
    assert content(row)["recurrence"] == "0 9 * * 1-5"
    assert content(row)["script"] == "echo '{\"wakeAgent\": true}'"


@pytest.mark.parametrize("given, utc", [
    ("2030-01-15T21:00:00", "2030-01-15T20:00:00.000Z"),
    ("2030-07-01T09:00", "2030-07-01T07:00:00.000Z"),
    ("2030-07-01T09:00:00Z", "2030-07-01T09:00:00.000Z"),
    ("2030-07-01T09:00:00+00:00", "2030-07-01T09:00:00.000Z"),
    ("2030-07-01T09:00:00.250-05:30", "2030-07-01T14:30:00.250Z"),
])
def test_times_are_meant_in_the_container_s_zone(make_session, connect, given, utc):
    session = make_session(env={"TZ": "Europe/Berlin"})
    client = connect(session.start())
    row, _ = written(session, client, "schedule_task", {"prompt": "p", "processAfter": given})
    assert content(row)["processAfter"] == utc


@pytest.mark.parametrize("arguments, words", [
    ({"prompt": "p", "processAfter": "tomorrow at nine"}, ["tomorrow at nine"]),
    ({"prompt": "p", "processAfter": "2030-02-30T09:00:00"}, ["2030-02-30T09:00:00"]),
    ({"prompt": "p", "processAfter": 1893456000}, ["processAfter"]),
    ({"prompt": "p"}, ["processAfter"]),
    ({"processAfter": "2030-01-01T09:00:00"}, ["prompt"]),
    ({"prompt": "p", "processAfter": "2030-01-01T09:00:00", "recurrence": "every day"},
     ["every day"]),
    ({"prompt": "p", "processAfter": "2030-01-01T09:00:00", "recurrence": "0 25 * * *"},
     ["0 25 * * *"]),
])
def test_a_wrong_task_is_not_scheduled(session, client, arguments, words):
    text, is_error = client.call("schedule_task", arguments)
    assert is_error and all(word in text for word in words), text
    assert session.answers() == []


def test_list_tasks(session, client):
    text, is_error = client.call("list_tasks")
    assert not is_error and "task-" not in text
    future = "2030-01-01T00:00:00.000Z"
    rows = [("task-a", "completed", None, "first"),
            ("task-a", "pending", "0 9 * * *", "daily words"),
            ("task-b", "paused", None, "resting words"), ("task-c", "completed", None, "over")]
    session.add_rows([{"content": {"prompt": words, "script": None}, "kind": "task",
                       "series_id": series, "status": status, "recurrence": recurrence,
                       "process_after": future} for series, status, recurrence, words in rows])
    text, is_error = client.call("list_tasks")
    lines = [line for line in text.splitlines() if "task-" in line]
    assert not is_error and len(lines) == 2
    daily, = [line for line in lines if "task-a" in line]
    assert "pending" in daily and "0 9 * * *" in daily and "daily words" in daily
    assert "2030-01-01" in daily
    paused, = [line for line in lines if "task-b" in line]
    assert "paused" in paused and "resting words" in paused
    text, _ = client.call("list_tasks", {"status": "paused"})
    assert "task-b" in text and "task-a" not in text
    assert session.answers() == []


@pytest.mark.parametrize("action", ["cancel_task", "pause_task", "resume_task"])
def test_changes_of_a_task(session, client, action):
    row, _ = written(session, client, action, {"taskId": "task-1-abc"})
    assert re.fullmatch(r"sys-\d{13}-[0-9a-z]{6}", row.id) and row.kind == "system"
    assert content(row) == {"action": action, "taskId": "task-1-abc"}
    text, is_error = client.call(action, {})
    assert is_error and "taskId" in text


@pytest.mark.parametrize("fields, expected", [
    ({"prompt": "new"}, {"prompt": "new"}),
    ({"recurrence": ""}, {"recurrence": None}),
    ({"script": ""}, {"script": None}),
    ({"processAfter": "2030-01-01T09:00:00Z"}, {"processAfter": "2030-01-01T09:00:00.000Z"}),
    ({"recurrence": "*/5 * * * *", "script": "true", "prompt": "p"},
     {"recurrence": "*/5 * * * *", "script": "true", "prompt": "p"}),
])
def test_update_task(session, client, fields, expected):
    row, _ = written(session, client, "update_task", {"taskId": "task-1-abc", **fields})
    assert re.fullmatch(r"sys-\d{13}-[0-9a-z]{6}", row.id) and row.kind == "system"
    assert content(row) == {"action": "update_task", "taskId": "task-1-abc", **expected}


@pytest.mark.parametrize("fields, word", [
    ({}, ""), ({"processAfter": "soon"}, "soon"), ({"recurrence": "often"}, "often"),
    ({"prompt": 5}, "prompt"),
])
def test_a_wrong_update(session, client, fields, word):
    text, is_error = client.call("update_task", {"taskId": "task-1-abc", **fields})
    assert is_error and word in text
    assert session.answers() == []


# Requests to the host


def test_create_agent(session, client):
    row, _ = written(session, client, "create_agent", {"name": "Researcher"})
    assert row.kind == "system"
    assert content(row) == {"action": "create_agent", "requestId": content(row)["requestId"],
                            "name": "Researcher", "instructions": None}
    assert content(row)["requestId"]
    row, _ = written(session, client, "create_agent", {"name": "R", "instructions": "Be brief."})
    assert content(row)["instructions"] == "Be brief."


def test_install_packages(session, client):
    row, _ = written(session, client, "install_packages", {
        "apt": ["curl", "libstdc++6", "g++-12"], "npm": ["left-pad", "@scope/pkg.js"],
        "reason": "to fetch"})
    assert row.kind == "system"
    assert content(row) == {"action": "install_packages", "apt": ["curl", "libstdc++6", "g++-12"],
                            "npm": ["left-pad", "@scope/pkg.js"], "reason": "to fetch"}
    row, _ = written(session, client, "install_packages", {"apt": ["jq"]})
    assert content(row) == {"action": "install_packages", "apt": ["jq"], "npm": [], "reason": ""}


@pytest.mark.parametrize("arguments, word", [
    ({"apt": ["Curl"]}, "Curl"), ({"apt": ["curl; rm -rf /"]}, "curl; rm"), ({"apt": ["-y"]}, "-y"),
    ({"apt": [""]}, "apt"), ({"npm": ["left-pad@1.0.0"]}, "left-pad@1.0.0"),
    ({"npm": ["../x"]}, "../x"), ({"npm": ["@scope"]}, "@scope"), ({"npm": "left-pad"}, "npm"),
    ({"apt": [f"p{i}" for i in range(11)], "npm": [f"p{i}" for i in range(10)]}, "20"),
    ({}, ""), ({"apt": [], "npm": []}, ""),
])
def test_wrong_packages(session, client, arguments, word):
    text, is_error = client.call("install_packages", arguments)
    assert is_error and word in text
    assert session.answers() == []


def test_add_mcp_server(session, client):
    row, _ = written(session, client, "add_mcp_server", {"name": "github", "command": "npx"})
    assert row.kind == "system"
    assert content(row) == {"action": "add_mcp_server", "name": "github", "command": "npx",
                            "args": [], "env": {}}
    row, _ = written(session, client, "add_mcp_server", {
        "name": "github", "command": "npx", "args": ["-y", "server"], "env": {"TOKEN": "t"}})
    assert content(row)["args"] == ["-y", "server"] and content(row)["env"] == {"TOKEN": "t"}
    for arguments, word in (({"name": "x", "command": "y", "args": "z"}, "args"),
                            ({"name": "x", "command": "y", "env": {"A": 1}}, "env"),
                            ({"name": "x"}, "command")):
        text, is_error = client.call("add_mcp_server", arguments)
        assert is_error and word in text


# Files that somebody else holds


class Held:
    """An exclusive lock on a database, as during a commit whose sync takes long."""

    def __init__(self, path, seconds):
        self.db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self.db.execute("BEGIN EXCLUSIVE")
        self.timer = threading.Timer(seconds, self.db.execute, ["ROLLBACK"])
        self.timer.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.timer.join()
        self.db.close()


@pytest.mark.parametrize("name", ["inbound", "outbound"])
def test_a_lock_is_waited_for_and_holds_up_nobody(session, connect, name):
    session.start()
    client, other = connect(session), connect(session)
    client.call("send_message", {"text": "before"})
    with Held(getattr(session, name), 1.5):
        calls = [client.start("tools/call", {"name": tool, "arguments": arguments})
                 for tool, arguments in [("send_message", {"text": "held"}),
                                         ("add_reaction", {"messageId": 1, "emoji": "eyes"}),
                                         ("list_tasks", {})]]
        for _ in range(10):
            before = time.monotonic()
            other.request("ping")
            assert time.monotonic() - before < 0.5
    for call in calls:
        assert not call.wait().get("isError"), call.wait()
    session.wait_answer("held")


@pytest.mark.parametrize("name", ["inbound", "outbound"])
def test_the_end_waits_for_no_lock(session, connect, name):
    session.start()
    client = connect(session)
    with Held(getattr(session, name), 3):
        for i in range(20):
            client.start("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}})
        client.request("ping")
        assert session.stop() == 0
        assert session.stop_seconds < 1


def test_the_end_comes_in_the_midst_of_many_calls(session, connect):
    session.start()
    client = connect(session)
    for i in range(1000):
        client.start("tools/call", {"name": "send_message", "arguments": {"text": f"{i}"}})
    assert session.stop() == 0
    assert session.stop_seconds < 1


# Many at once

# The host's half: looks a number up, and takes it a moment later, by when it may be taken.
HOST = """
import select, sqlite3, sys, time
written = 0
while not select.select([sys.stdin], [], [], 0.002)[0]:
    db = sqlite3.connect(sys.argv[1], timeout=10)
    try:
        db.execute("PRAGMA journal_mode = DELETE")
        top = db.execute("SELECT coalesce(max(seq), 0) FROM messages_out").fetchone()[0]
        db.execute("INSERT INTO messages_out (id, seq, timestamp, kind, content) VALUES "
                   "(?, ?, datetime('now'), 'chat', '{\\"text\\": \\"of the host\\"}')",
                   (f"host-{written}", ((top + 1) | 1) + 2 * (written % 3)))
        db.commit()
        written += 1
    except sqlite3.IntegrityError:
        pass
    except sqlite3.OperationalError as error:
        assert "locked" in str(error), error
    finally:
        db.close()
print(written)
"""
CLIENTS, CALLS = 8, 125


def send_from_all(session, connect, container):
    """Every client sends its texts, one after the other; what went wrong."""
    clients = [connect(session) for _ in range(CLIENTS)]
    problems = []

    def work(number):
        for i in range(CALLS):
            try:
                text, is_error = clients[number].call(
                    "send_message", {"text": f"{number}-{container}-{i}"}, 60)
            except (AssertionError, OSError, McpError) as error:
                text, is_error = error, True
            if is_error:
                problems.append(text)
                return
    threads = [threading.Thread(target=work, args=(n,)) for n in range(CLIENTS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return problems


def test_many_clients_of_two_containers_while_the_host_writes_too(session, connect):
    host = None
    for container in range(2):
        session.start()
        if not host:
            host = subprocess.Popen([sys.executable, "-c", HOST, session.outbound], text=True,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                    **mcp_client.identity())
        problems = send_from_all(session, connect, container)
        assert problems == [] and session.stop() == 0
    theirs = int(host.communicate("\n", timeout=30)[0])
    assert host.returncode == 0 and theirs > 0
    answers = session.answers()
    ours = [a for a in answers if not a.id.startswith("host-")]
    assert len(answers) - len(ours) == theirs
    assert len(ours) == 2 * CLIENTS * CALLS and len({a.id for a in ours}) == len(ours)
    seqs = [a.seq for a in answers]
    assert all(seq % 2 == 1 for seq in seqs) and len(set(seqs)) == len(seqs)
    # In the order of their numbers.
    for number in range(CLIENTS):
        assert [a.text for a in ours if a.text.startswith(f"{number}-")] == [
            f"{number}-{container}-{i}" for container in range(2) for i in range(CALLS)]


def test_a_file_that_somebody_holds_costs_patience_only(session, client):
    held = sqlite3.connect(session.outbound, isolation_level=None)
    try:
        held.execute("BEGIN IMMEDIATE")
        call = client.start_call("send_message", {"text": "later"})
        for _ in range(100):
            assert client.request("ping", timeout=2) == {}
        assert not call.is_answered
        held.execute("COMMIT")
    finally:
        held.close()
    assert not call.wait_text()[1]
    assert session.texts() == ["later"]


def test_numbers_go_above_both_databases(session, client):
    first, _ = written(session, client, "send_message", {"text": "one"})
    session.wait_ack(session.add_chat("hello", seq=500))
    second, _ = written(session, client, "send_message", {"text": "two"})
    assert first.seq < 500 < second.seq


# What could not be delivered


def test_the_agent_is_told_once_what_could_not_be_delivered(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    lost, _ = written(session, client, "send_message", {"text": "words that got lost"})
    arrived, _ = written(session, client, "send_message", {"text": "words that arrived"})
    delivered(session, arrived.id, "p-1")
    delivered(session, lost.id, status="failed")
    for words in ("next", "after that"):
        session.wait_ack(session.add_chat(words))
    first, second = session.prompts()
    assert "<system" in first and "words that got lost" in first
    assert "words that arrived" not in first
    assert "<system" not in second and "words that got lost" not in second


def test_more_than_is_told_one_by_one(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    for number in range(12):
        lost, _ = written(session, client, "send_message", {"text": f"lost words {number}."})
        delivered(session, lost.id, status="failed")
    for words in ("next", "after that"):
        session.wait_ack(session.add_chat(words))
    first, second = session.prompts()
    assert [n for n in range(12) if f"lost words {n}." in first] == list(range(2, 12))
    assert first.count("<system>") == 11 and "More that you sent" in first
    assert "<system>" not in second


def test_the_next_container_does_not_tell_it_again(make_session, connect):
    session = make_session(env=DEBUG)
    client = connect(session.start())
    lost, _ = written(session, client, "send_message", {"text": "words that got lost"})
    delivered(session, lost.id, status="failed")
    session.wait_ack(session.add_chat("next"))
    assert "words that got lost" in session.prompts()[0]
    assert session.stop() == 0
    session.start().wait_ack(session.add_chat("after that"))
    assert "words that got lost" not in session.prompts()[0]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_the_next_container_tells_it_again_if_the_turn_was_cut_off(make_session, connect, end):
    session = make_session(env={**DEBUG, "AGENT_MOCK_DELAY_MS": "60000"})
    client = connect(session.start())
    lost, _ = written(session, client, "send_message", {"text": "words that got lost"})
    delivered(session, lost.id, status="failed")
    message = session.add_chat("next")
    session.wait_turn(message)
    session.wait_stderr(f"could not deliver the message {lost.id}")
    getattr(session, end)()
    session.env["AGENT_MOCK_DELAY_MS"] = "0"
    session.start().wait_ack(message)
    session.wait_ack(session.add_chat("after that"))
    first, second = session.prompts()
    assert "words that got lost" in first and "words that got lost" not in second


def test_an_answer_that_could_not_be_delivered_is_told_too(make_session):
    session = make_session(env=DEBUG)
    session.start().wait_ack(session.add_chat("hello"))
    answer, = session.answers()
    delivered(session, answer.id, status="failed")
    session.wait_ack(session.add_chat("next"))
    first, second = session.prompts()
    assert "<system" not in first and "<system" in second and "echo: hello" in second


# The clients of the command line


class Command:
    """Another mode of the runner, running beside a session."""

    def __init__(self, session, *arguments, words=None, env=None):
        self.process = subprocess.Popen(
            words or mcp_client.command(session, *arguments), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**session.env, **(env or {})}, cwd="/", **mcp_client.identity())

    def result(self):
        """(exit code, stdout, stderr)"""
        try:
            out, err = self.process.communicate(timeout=sessions.PATIENCE)
        finally:
            self.process.kill()
            self.process.wait()
        return self.process.returncode, out, err


def ready(session, connect):
    """A session whose socket is there."""
    connect(session.start()).close()
    return session


def serve(session, frame):
    """As the host: answers the one command that it is asked to carry out; its content."""
    def probe():
        return [content(a) for a in session.answers() if content(a).get("action") == "cli_request"]
    request, = session.wait(probe, "a command")
    reply = session.add({"type": "cli_response", "requestId": request["requestId"],
                         "frame": {"id": request["requestId"], **frame}},
                        kind="system", channel_type=None, platform_id=None)
    session.wait_ack(reply)
    return request


GROUPS = [{"id": "g1", "name": "Casa"}, {"id": "g2", "name": "Garden"}]


def test_ncl_as_json(session, connect):
    command = Command(ready(session, connect), "ncl", "groups", "list", "--json", "--limit", "5",
                      "--all")
    request = serve(session, {"ok": True, "data": GROUPS})
    row, = session.answers()
    assert row.kind == "system" and re.fullmatch(r"cli-\d{13}-[0-9a-z]{6}", row.id)
    assert request == {"action": "cli_request", "requestId": request["requestId"],
                       "command": "groups-list", "args": {"limit": "5", "all": True}}
    code, out, err = command.result()
    assert (code, err) == (0, "")
    assert json.loads(out) == {"id": request["requestId"], "ok": True, "data": GROUPS}


def test_ncl_as_a_table(session, connect):
    command = Command(ready(session, connect), "ncl", "groups", "list")
    assert serve(session, {"ok": True, "data": GROUPS})["args"] == {}
    code, out, err = command.result()
    assert (code, err) == (0, "")
    words = [line.split() for line in out.splitlines()]
    assert words[0] == ["id", "name"] and words[-2:] == [["g1", "Casa"], ["g2", "Garden"]]


def test_ncl_with_something_else_than_a_table(session, connect):
    command = Command(ready(session, connect), "ncl", "groups", "get", "g1")
    assert serve(session, {"ok": True, "data": {"id": "g1", "tags": ["a"]}})["command"] == \
        "groups-get-g1"
    code, out, _ = command.result()
    assert code == 0 and json.loads(out) == {"id": "g1", "tags": ["a"]}


def test_ncl_refused(session, connect):
    command = Command(ready(session, connect), "ncl", "groups", "delete", "g9")
    serve(session, {"ok": False, "error": {"code": "not-found", "message": "no group g9"}})
    code, out, err = command.result()
    assert (code, out) == (1, "")
    assert "not-found" in err and "no group g9" in err


def test_ncl_wrongly_used(session, connect):
    code, out, err = Command(ready(session, connect), "ncl", "--limit", "5").result()
    assert code == 2 and err.startswith("ncl: ")
    assert session.answers() == []
    # Without a word, it says how it is used.
    code, out, _ = Command(session, "ncl").result()
    assert code == 0 and "ncl" in out


def test_ncl_by_its_own_name(session, connect):
    ready(session, connect)
    link = session.home / "ncl"
    link.symlink_to(sessions.runner_path())
    command = Command(session, words=[str(link), "groups", "list", "--json"],
                      env={"AGENT_WORKSPACE": str(session.workspace)})
    serve(session, {"ok": True, "data": []})
    code, out, _ = command.result()
    assert code == 0 and json.loads(out)["data"] == []


def test_an_answer_to_an_ncl_that_is_gone(session, connect):
    command = Command(ready(session, connect), "ncl", "groups", "list")

    def asked():
        return [a for a in session.answers() if content(a).get("action") == "cli_request"]
    session.wait(asked, "a command")
    command.process.kill()
    assert command.result()[0] == -signal.SIGKILL
    serve(session, {"ok": True, "data": []})


def test_ncl_without_a_session(session):
    code, out, err = Command(session, "ncl", "groups", "list").result()
    assert code != 0 and out == "" and err


def test_what_a_summary_has_to_keep(session, connect):
    session.add_destination("garden", "Garden", channel_type="slack", platform_id="C1")
    code, out, err = Command(ready(session, connect), "compact-instructions").result()
    assert (code, err) == (0, "")
    for word in ("casa", "garden", "<message", "<task", "<webhook", "from="):
        assert word in out


def test_the_socket_is_there_before_the_inbox_is(session, connect):
    session.inbound.rename(session.inbound.with_suffix(".away"))
    session.start()
    assert connect(session).request("ping", {}) == {}


def test_the_relay_is_small(session, connect):
    """Beside PID 1 and the loop, with whom it shares the program, as everywhere; and again after a call."""
    session.start()
    client = connect(session)
    pid = client.process.pid

    def pss():
        rollup = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        return int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])
    # A build with sanitizers is another program.
    if "libasan" in pathlib.Path(f"/proc/{pid}/maps").read_text(encoding="utf-8"):
        return
    assert pss() < 1024
    for _ in range(2):
        client.request("tools/list", {})
        busy = pss()
        sessions.wait_until(lambda b=busy: pss() < b, "memory given back")
