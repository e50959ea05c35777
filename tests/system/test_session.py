# SPDX-License-Identifier: MIT
"""The life of a session: start, heartbeat, what is kept between containers, what is cleared."""
import os
import sqlite3
import time

import session as sessions

SLOW = {"AGENT_MOCK_DELAY_MS": "60000"}


def columns(session, table):
    return {row["name"] for row in session.read(f"SELECT name FROM pragma_table_info('{table}')")}


# The first trip


def test_a_message_is_answered(session):
    session.start()
    message = session.add_chat("hello")
    answer = session.wait_answer()
    assert answer.text == "echo: hello"
    assert answer.kind == "chat"
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, None)
    assert answer.in_reply_to == message
    session.wait_ack(message)
    assert session.stop() == 0


def test_what_waits_at_the_start_is_answered(session):
    message = session.add_chat("early")
    session.start()
    session.wait_ack(message)
    assert session.texts() == ["echo: early"]


def test_the_runner_says_nothing_on_stdout(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.stop() == 0
    assert session.stdout() == ""


def test_texts_and_prompts_stay_out_of_the_log(session):
    message = session.add_chat("a secret of mine")
    session.start().wait_ack(message)
    session.stop()
    assert "secret" not in session.stderr()


# What an agent can do with chmod, which has the same uid


LOCKED = ["inbound.db", "outbound.db", "."]


def lock_out(session, *more):
    for name in [*more, *LOCKED]:
        (session.workspace / name).chmod(0)


def open_again(session):
    """The owner's bits; as root the tests would not notice that they are missing."""
    return all((session.workspace / name).stat().st_mode & 0o400 for name in LOCKED)


def test_a_session_goes_on_after_it_was_locked_out(session):
    session.wait_ack(session.start().add_chat("before"))
    lock_out(session)
    sessions.wait_until(lambda: open_again(session), "the owner's rights")
    session.wait_ack(session.add_chat("after"))
    assert session.texts() == ["echo: before", "echo: after"]
    assert len(session.lines("which locks its owner out")) == len(LOCKED)


def test_a_session_starts_after_it_was_locked_out(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    session.stop()
    lock_out(session, "agent")
    session.start()
    session.wait_ack(session.add_chat("again"))
    assert open_again(session)
    assert (session.workspace / "agent").stat().st_mode & 0o700 == 0o700


def test_what_an_operator_narrows_stays(session):
    """Nobody is locked out by it, and so it is nobody's affair; at the start neither."""
    wanted = {".": 0o700, "outbound.db": 0o600, "inbound.db": 0o640, "agent": 0o555}
    for name in wanted:
        (session.workspace / name).chmod(0o777)
    session.wait_ack(session.start().add_chat("before"))
    for _ in range(2):
        for name, mode in wanted.items():
            (session.workspace / name).chmod(mode)
        time.sleep(1.2)
        session.wait_ack(session.add_chat("after"))
        assert {name: (session.workspace / name).stat().st_mode & 0o777
                for name in wanted} == wanted
        session.stop()
        session.start()
    assert not session.lines("had mode")


# The provider


def test_the_environment_overrides_the_provider(make_session):
    session = make_session(provider="claude", env={"AGENT_PROVIDER": "mock"})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]


def test_an_unknown_provider_is_a_configuration_error(make_session):
    session = make_session(provider="nonsense")
    assert session.start().wait_exit() == 78
    line, = session.lines("error:")
    assert '"nonsense"' in line and "AGENT_PROVIDER" in line and "mock" in line


def test_the_agent_is_started_before_there_is_a_message(session):
    session.start().wait_stderr("agent mock started")
    assert session.stop() == 0


# Heartbeat


def test_no_heartbeat_without_work(session):
    message = session.add_chat("context only", trigger=0)
    session.start({"AGENT_LOG_LEVEL": "debug"})
    session.wait_stderr("all that was due at the start is taken")
    assert session.heartbeat() is None
    assert message not in session.acks()


def test_a_heartbeat_at_the_claim_and_during_the_turn(session):
    session.start(SLOW)
    before = time.time() - 0.1
    message = session.add_chat("hello")
    session.wait_turn(message)
    first = session.wait(session.heartbeat, "a heartbeat")
    assert first >= before
    session.wait(lambda: session.heartbeat() > first, "the next heartbeat", 5)
    # A host takes one that is younger than 6 s for life.
    assert session.heartbeat() - first < 4


def test_no_heartbeat_after_the_turn(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    last = session.heartbeat()
    assert sessions.stays(lambda: session.heartbeat() == last, 3.5)


def test_the_heartbeat_is_an_empty_file(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert (session.workspace / ".heartbeat").read_bytes() == b""


# outbound.db at the start


def test_outbound_is_created_if_the_host_did_not(make_session):
    session = make_session(outbound=False)
    message = session.add_chat("hello")
    session.start()
    session.wait(session.outbound.exists, "outbound.db")
    session.wait_ack(message)
    assert session.texts() == ["echo: hello"]
    with sqlite3.connect(":memory:") as ours:
        ours.executescript(sessions.schema("outbound"))
        tables = [row[0] for row in ours.execute("SELECT name FROM sqlite_schema WHERE sql != ''")]
        for table in tables:
            want = {row[1] for row in ours.execute(f"PRAGMA table_info({table})")}
            assert columns(session, table) == want


def test_missing_columns_are_added_and_nothing_is_dropped(make_session):
    session = make_session(outbound=False)
    session.outbound_execute("""
        CREATE TABLE container_state (id INTEGER PRIMARY KEY CHECK (id = 1), current_tool TEXT,
            tool_declared_timeout_ms INTEGER, tool_started_at TEXT);
        CREATE TABLE session_state (key TEXT PRIMARY KEY, value TEXT NOT NULL, theirs TEXT);
        INSERT INTO session_state VALUES ('the host''s own', 'kept', 'too');
        CREATE TABLE of_the_host (x);""")
    os.chown(session.outbound, sessions.UID, sessions.GID)
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert "updated_at" in columns(session, "container_state")
    assert {"updated_at", "theirs"} <= columns(session, "session_state")
    assert columns(session, "of_the_host") == {"x"}
    assert session.state()["the host's own"] == "kept"


def test_a_stale_tool_is_cleared_at_the_start(session):
    session.outbound_execute("""INSERT INTO container_state
        VALUES (1, 'Bash', 3600000, '2026-02-04T13:30:00.000Z', '2026-02-04T13:30:00.000Z')""")
    session.start()
    session.wait(lambda: session.container_state()["current_tool"] is None, "the tool's end")
    state = session.container_state()
    assert state["tool_declared_timeout_ms"] is None and state["tool_started_at"] is None


def test_leftover_claims_are_taken_up_again(session):
    message = session.add_chat("left behind")
    done, failed = session.add_chats(["done", "failed"])
    session.outbound_execute(f"""INSERT INTO processing_ack VALUES
        ('{message}', 'processing', datetime('now')),
        ('{done}', 'completed', datetime('now')),
        ('{failed}', 'failed', datetime('now'))""")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: left behind"]
    assert session.acks() == {message: "completed", done: "completed", failed: "failed"}


def test_what_a_killed_container_had_claimed_is_taken_up_again(session):
    message = session.add_chat("once more")
    session.start(SLOW).wait_turn(message)
    session.kill()
    assert session.acks() == {message: "processing"}
    session.start().wait_ack(message)
    assert session.texts() == ["echo: once more"]


# The conversation


def test_the_conversation_is_kept_and_resumed(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    kept = session.state()["continuation:mock"]
    assert kept
    assert session.stop() == 0
    message = session.add_chat("again")
    session.start().wait_ack(message)
    assert session.lines("resuming", kept)
    assert session.state()["continuation:mock"] == kept


def test_updated_at_is_iso_with_milliseconds(session):
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    row, = session.read("SELECT updated_at FROM session_state WHERE key = 'continuation:mock'")
    assert time.strptime(row["updated_at"][:19], "%Y-%m-%dT%H:%M:%S")
    assert row["updated_at"][19] == "." and row["updated_at"][23:] == "Z"


def test_the_legacy_session_id_is_adopted_once(session):
    session.outbound_execute(
        "INSERT INTO session_state VALUES ('sdk_session_id', 'legacy-1', '')")
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.lines("resuming", "legacy-1")
    assert session.state()["continuation:mock"] == "legacy-1"
    assert "sdk_session_id" not in session.state()


def test_the_legacy_session_id_gives_way_to_a_newer_one_but_goes(session):
    session.outbound_execute("""INSERT INTO session_state VALUES
        ('sdk_session_id', 'legacy-1', ''), ('continuation:mock', 'newer', '')""")
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.state()["continuation:mock"] == "newer"
    assert "sdk_session_id" not in session.state()


def test_each_provider_has_its_own_conversation(session):
    session.outbound_execute(
        "INSERT INTO session_state VALUES ('continuation:claude', 'of claude', '')")
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.state()["continuation:claude"] == "of claude"
    assert session.state()["continuation:mock"] not in ("", "of claude")


def test_an_unknown_conversation_is_dropped_and_the_message_retried(session):
    session.outbound_execute(
        "INSERT INTO session_state VALUES ('continuation:mock', 'expired', '')")
    message = session.add_chat("hello")
    session.start({"AGENT_MOCK_ERROR": "invalid_session"}).wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert session.state()["continuation:mock"] != "expired"


# The configuration


def test_without_a_configuration_there_are_defaults(make_session):
    session = make_session(provider=None, env={"AGENT_PROVIDER": "mock"})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert session.texts() == ["echo: hello"]
    assert not session.lines("warning")


def test_unknown_keys_are_ignored(make_session):
    session = make_session(config={"futureKey": {"a": 1}, "skills": "all"})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    assert not session.lines("warning")


# Memory


def kib(pid, name):
    with open(f"/proc/{pid}/status", encoding="utf-8") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(f"{name}:"))


def faults(pid):
    """How often a page was brought in that was in memory already (proc_pid_stat(5))."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as stat:
        return int(stat.read().rpartition(")")[2].split()[7])


def test_memory_goes_back_when_there_is_nothing_to_do(session):
    """After a start without a message, after a commit without work, after a message."""
    session.start()
    loop = session.loop_pid()
    # A build with sanitizers keeps what is freed.
    if kib(loop, "VmHWM") > 10_000:
        return
    before = 0
    for work in (lambda: None,
                 lambda: session.inbound_execute("INSERT INTO delivered (message_out_id, delivered_at)"
                                                 " VALUES ('x', '2026-02-04 13:30:00')"),
                 lambda: session.wait_ack(session.add_chat("hello"))):
        work()
        sessions.wait_until(lambda b=before: faults(loop) > b + 30, "work")
        sessions.wait_until(lambda: 2 * kib(loop, "VmRSS") < kib(loop, "VmHWM"),
                            "memory given back")
        before = faults(loop)
