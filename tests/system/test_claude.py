# SPDX-License-Identifier: MIT
"""
The real Claude Code, in each pinned version, answers end to end through a model server on loopback:
host → inbound.db → agent-runner → claude → model → claude → agent-runner → outbound.db → host.
"""
import json
import os
import threading
import time

import pytest

import model_server
import session as sessions
from claude_session import IMPATIENT, PATIENCE, answer, block, command_line, say
from model_server import bash, cut, error, text, tool

STATE = "continuation:claude"


# The first trip


def test_first_answer(claude, model):
    session = claude()
    model.script(say("hello Ann"))
    message = session.add_chat("hello")
    session.start().wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["hello Ann"]
    assert session.answers()[0].in_reply_to == message
    request = model.requests[0]
    assert '<message id="2" from="casa" sender="Ann"' in request.last_text
    assert session.stop() == 0


def test_the_agent_is_started_as_it_should_be(claude, model):
    extra = ["CronCreate", "AskUserQuestion", "EnterPlanMode", "EnterWorktree", "ScheduleWakeup",
             "Monitor", "Workflow", "RemoteTrigger", "PushNotification"]
    session = claude(config={"model": "claude-sonnet-4-6", "assistantName": "Robin"})
    answer(session.start(), "hello", "echo: hello")
    request = model.requests[0]
    names = [t["name"] for t in request.body["tools"]]
    assert {"Bash", "Read", "Write", "Edit"} <= set(names)
    assert not set(extra) & set(names)
    assert not [name for name in extra if f'"{name}"' in request.everything]
    assert request.body["model"] == "claude-sonnet-4-6"
    # The instructions, with the destination that is known, stand in the system prompt.
    assert "Robin" in request.system and '<message to="casa">' in request.system


def test_it_is_initialised_before_there_is_a_message(claude, model):
    session = claude(env={"AGENT_LOG_LEVEL": "debug"}).start()

    def cli_is_up():
        return [pid for pid in sessions.descendants(session.process.pid)
                if "stream-json" in command_line(pid)]
    session.wait(cli_is_up, "the CLI's process")
    assert not model.all_requests
    started = cli_is_up()
    answer(session, "hello", "echo: hello")
    # It was this very process that answered.
    assert set(started) & set(cli_is_up())
    assert len(session.lines("agent claude started")) == 1


def test_one_process_and_one_conversation_for_many_messages(claude, model):
    session = claude().start()
    for word in ("one", "two", "three"):
        answer(session, word, f"echo: {word}")
    assert len(session.lines("agent claude started")) == 1
    assert "echo: one" in model.requests[2].everything
    assert session.state()[STATE]


# Within a turn


def test_tool_call_is_seen_by_the_host(claude, model):
    session = claude().start()
    model.script(bash("sleep 0.7; echo from the tool", timeout=45000), say("done"))
    message = session.add_chat("work")

    def in_tool():
        state = session.container_state()
        return state if state and state["current_tool"] == "Bash" else None
    state = session.wait(in_tool, "a tool in flight", PATIENCE)
    assert state["tool_declared_timeout_ms"] == 45000
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["done"]
    assert session.container_state()["current_tool"] is None
    assert "from the tool" in json.dumps(model.requests[1].tool_results)


def test_a_block_before_a_tool_call_arrives_at_once_and_once(claude, model):
    session = claude().start()
    mark = session.workspace / "agent" / "go"
    model.script(bash(f"until [ -e {mark} ]; do sleep 0.02; done", say=block("on it")),
                 say("done"))
    message = session.add_chat("work")
    session.wait_answer("on it", timeout=PATIENCE)
    assert session.acks()[message] == "processing"
    mark.touch()
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["on it", "done"]


def test_several_texts_are_delivered_in_order_and_once(claude, model):
    session = claude().start()
    model.script(say("first", "second", "third"))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    assert session.texts() == ["first", "second", "third"]


def test_follow_up_joins_the_turn_while_a_tool_runs(claude, model):
    session = claude().start()
    mark = session.workspace / "agent" / "go"
    model.script(bash(f"until [ -e {mark} ]; do sleep 0.02; done"), say("both"))
    first = session.add_chat("work")
    session.wait(lambda: (session.container_state() or {}).get("current_tool") == "Bash",
                 "a tool in flight", PATIENCE)
    second = session.add_chat("and hurry")
    session.wait_ack(second, "processing")
    mark.touch()
    session.wait_ack([first, second], timeout=PATIENCE)
    assert session.texts() == ["both"]
    assert len(model.requests) == 2
    assert "and hurry" in model.requests[1].everything


def test_follow_up_while_text_streams_is_answered_too(claude, model):
    session = claude().start()
    gate = threading.Event()
    model.script(say("first answer", piece=10, hold=gate), say("second answer"))
    first = session.add_chat("one")
    model.wait_for_requests(1)
    second = session.add_chat("two")
    session.wait_ack(second, "processing")
    gate.set()
    session.wait_ack([first, second], timeout=PATIENCE)
    assert session.texts() == ["first answer", "second answer"]


def test_an_empty_answer_ends_the_turn(claude, model):
    session = claude().start()
    model.otherwise(text(""))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    assert session.texts() == []
    model.otherwise(model_server.echo)
    answer(session, "again", "echo: again")


def test_a_long_generation_is_a_sign_of_life(claude, model):
    session = claude().start()
    answer(session, "warm up", "echo: warm up")
    model.script(say("x" * 200, piece=4, pace=0.08))
    message = session.add_chat("long")
    session.wait_turn(message)
    first = session.heartbeat()
    session.wait(lambda: session.heartbeat() > first, "another heartbeat", 10)
    assert session.acks()[message] == "processing"
    session.wait_ack(message, timeout=PATIENCE)


def test_work_in_the_background_reports_later(claude, model):
    session = claude().start()
    mark = session.workspace / "agent" / "go"
    wait = f"until [ -e {mark} ]; do sleep 0.02; done"
    model.script(tool("Bash", {"command": wait, "description": "waits",
                               "run_in_background": True}), say("started"), say("finished"))
    message = session.add_chat("work")
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["started"]
    mark.touch()
    session.wait_answer("finished", timeout=PATIENCE)
    assert "task-notification" in model.requests[2].everything
    answer(session, "more", "echo: more")


@pytest.mark.parametrize("limit, turn", [("agentIdleSeconds", 0), ("idleExitSeconds", 0),
                                         ("agentIdleSeconds", 1)])
def test_idle_waits_for_what_the_agent_does_by_itself(claude, model, limit, turn):
    """
    A task ends, after the turn or within it, and the model takes longer for its report than anybody
    may be idle. The time counts from then on.
    """
    session = claude(config={limit: 2}).start()
    model.script(tool("Bash", {"command": "sleep 0.1", "description": "waits",
                               "run_in_background": True}), say("started", delay=turn),
                 say("finished", delay=3))
    session.add_chat("work")
    session.wait_answer("finished", timeout=PATIENCE)
    finished = time.monotonic()
    session.wait(lambda: session.lines("nothing to do for 2 s"), "the end", PATIENCE)
    assert time.monotonic() - finished > 1.5
    assert session.texts() == ["started", "finished"]


# Commands


def test_a_command_of_the_cli_is_answered_by_it(claude, model):
    session = claude().start()
    answer(session, "hello", "echo: hello")
    message = session.add_chat("/cost")
    session.wait_ack(message, timeout=PATIENCE)
    assert "cost" in session.texts()[-1]
    assert len(model.requests) == 1


def test_messages_around_a_command_keep_their_order(claude, model):
    session = claude()
    messages = session.add_chats(["before", "/cost", "after"])
    session.start().wait_ack(messages, timeout=PATIENCE)
    texts = session.texts()
    assert (texts[0], texts[-1]) == ("echo: before", "echo: after")
    assert "cost" in texts[1] and len(texts) == 3


def test_stop_interrupts_the_turn(claude, model):
    session = claude().start()
    model.script(bash("until false; do sleep 0.05; done", say=block("on it")))
    first = session.add_chat("work")
    session.wait_answer("on it", timeout=PATIENCE)
    session.wait(lambda: (session.container_state() or {}).get("current_tool") == "Bash",
                 "a tool in flight", PATIENCE)
    second = session.add_chat("never mind")
    session.wait_turn(second)
    session.wait_ack([session.add_chat("/stop"), first, second], timeout=PATIENCE)
    assert session.texts() == ["on it", "Stopped."]
    answer(session, "now this", "echo: now this")
    # Neither the process nor the conversation was lost, and what was stopped is not made up for.
    assert len(session.lines("agent claude started")) == 1
    assert session.texts() == ["on it", "Stopped.", "echo: now this"]


def archived_page(session):
    folder = session.workspace / "agent" / "conversations"
    session.wait(lambda: folder.is_dir() and list(folder.glob("*.md")), "an archived conversation")
    pages = list(folder.iterdir())
    assert len(pages) == 1
    return pages[0].read_text()


def test_compaction_keeps_the_conversation_readable(claude, model):
    session = claude(config={"assistantName": "Robin"}).start()
    answer(session, "the blue house", "echo: the blue house")
    message = session.add_chat("/compact")
    session.wait_ack(message, timeout=PATIENCE)
    session.wait_stderr("summarised its conversation")
    page = archived_page(session)
    assert "**User**: " in page and "the blue house" in page
    assert "**Robin**: " in page and "echo: the blue house" in page
    assert len(model.of_kind("summary")) == 1
    # The notice is progress, not an answer.
    assert "echo: the blue house" == session.texts()[0]
    answer(session, "and now", "echo: and now")
    assert "The test talked about tests." in model.requests[-1].everything


def test_compaction_within_a_turn_is_no_answer(claude, model):
    session = claude().start()
    # The newer CLI does not summarise less than a few turns.
    for words in ("the blue house", "the red house", "the white house"):
        answer(session, words, f"echo: {words}")
    full = say("it is full")
    full.usage = {"input_tokens": 190_000}
    model.script(full, say("second"))
    answer(session, "the last house", "it is full")
    answer(session, "go on", "second")
    assert session.texts()[3:] == ["it is full", "second"]
    assert len(session.lines("summarised its conversation")) == 1
    page = archived_page(session)
    assert "the blue house" in page and "the last house" in page
    assert "The test talked about tests." in model.requests[-1].everything


# Conversations


def test_resume_after_a_restart(claude, model):
    session = claude().start()
    answer(session, "remember 17", "echo: remember 17")
    kept = session.state()[STATE]
    assert session.stop() == 0
    session.start()
    answer(session, "which number", "echo: which number")
    assert "remember 17" in model.requests[-1].everything
    assert session.state()[STATE] == kept


def test_an_idle_agent_comes_back(claude, model):
    session = claude(config={"agentIdleSeconds": 1}).start()
    answer(session, "remember 17", "echo: remember 17")
    session.wait_stderr("the agent ends until the next message", timeout=PATIENCE)
    answer(session, "which number", "echo: which number")
    assert "remember 17" in model.requests[-1].everything
    assert not session.lines("warning:")


@pytest.mark.parametrize("unknown", ["11111111-2222-4333-8444-555555555555", "nonsense"])
def test_unknown_continuation_starts_afresh_at_once(claude, unknown):
    session = claude()
    session.outbound_execute(
        f"INSERT INTO session_state VALUES ('{STATE}', '{unknown}', '2026-01-01T00:00:00.000Z')")
    message = session.add_chat("hello")
    session.start().wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["echo: hello"]
    assert session.state()[STATE] not in (unknown, "")


def test_clear_begins_a_new_conversation(claude, model):
    session = claude().start()
    answer(session, "remember 17", "echo: remember 17")
    session.wait_ack(session.add_chat("/clear"), timeout=PATIENCE)
    answer(session, "which number", "echo: which number")
    assert "remember 17" not in model.requests[-1].everything


# Large things


def test_a_message_of_a_megabyte(claude, model):
    session = claude().start()
    model.script(say("read it"))
    session.wait_ack(session.add_chat("y" * 1_000_000), timeout=PATIENCE)
    assert session.texts() == ["read it"]
    # It goes by file: as text it would fill the model's context for good.
    assert model.requests[0].size < 500_000
    files = [p for p in (session.workspace / "inbox").rglob("*") if p.is_file()]
    assert [p.stat().st_size for p in files] == [1_000_000]


def test_an_answer_of_a_megabyte(claude, model):
    session = claude().start()
    model.script(say("z" * 1_000_000, piece=100_000))
    session.wait_ack(session.add_chat("much"), timeout=PATIENCE)
    assert session.texts() == ["z" * 1_000_000]


def test_odd_characters_travel_both_ways(claude, model):
    session = claude().start()
    model.script(say("lone \ud83d, nul \x00, é 🙂"))
    session.wait_ack(session.add_chat("é 🙂 \u2028 \\ \"quoted\" <b>"), timeout=PATIENCE)
    assert "é 🙂 \u2028 \\ " in model.requests[0].last_text
    assert session.texts()[0].startswith("lone \ufffd, nul ")
    assert session.texts()[0].endswith(", é 🙂")


# Errors


@pytest.mark.parametrize("status, words", [
    (401, "cannot log in"),
    (403, "cannot log in"),
    (402, "usage limit"),
    (400, "went wrong"),
])
def test_a_lasting_error_is_said_once(claude, model, status, words):
    session = claude(env=IMPATIENT).start()
    model.otherwise(error(status))
    message = session.add_chat("hello")
    session.wait_ack(message, "failed", timeout=PATIENCE)
    assert len(session.texts()) == 1 and words in session.texts()[0]
    model.otherwise(model_server.echo)
    answer(session, "again", "echo: again")


@pytest.mark.parametrize("status", [429, 500, 529])
def test_a_passing_error_is_tried_again(claude, model, status):
    session = claude(env=IMPATIENT).start()
    model.script(error(status), error(status), say("at last"))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    assert session.texts() == ["at last"]
    assert len(session.lines("the agent failed (transient)")) == 2


@pytest.mark.parametrize("status", [429, 529])
def test_an_overload_without_end_is_said(claude, model, status):
    session = claude(env=IMPATIENT).start()
    model.otherwise(error(status))
    session.wait_ack(session.add_chat("hello"), "failed", timeout=PATIENCE)
    assert len(session.texts()) == 1 and "overloaded" in session.texts()[0]
    assert len(session.lines("the agent failed (transient)")) == 4


def test_a_failure_while_another_message_waits_answers_both_once(claude, model):
    session = claude(env=IMPATIENT).start()
    failure = error(529)
    gate = failure.hold = threading.Event()
    model.script(failure)
    first = session.add_chat("one")
    model.wait_for_requests(1)
    second = session.add_chat("two")
    session.wait_turn(second)
    gate.set()
    session.wait_ack([first, second], timeout=PATIENCE)
    assert session.texts() == ["echo: one", "echo: two"]


def test_stop_ends_the_wait_for_an_overloaded_model(claude, model):
    session = claude(env={"CLAUDE_CODE_MAX_RETRIES": "10"}).start()
    model.otherwise(error(529, retry_after=30))
    message = session.add_chat("hello")
    model.wait_for_requests(1)
    before = time.monotonic()
    session.wait_ack([session.add_chat("/stop"), message], timeout=PATIENCE)
    assert time.monotonic() - before < 4
    model.otherwise(say("here I am"))
    answer(session, "again", "here I am")
    assert session.texts() == ["Stopped.", "here I am"]
    assert len(session.lines("agent claude started")) == 1


def test_the_cli_tries_for_seconds_not_minutes(claude, model):
    session = claude().start()
    model.otherwise(error(529))
    before = time.monotonic()
    session.add_chat("hello")
    session.wait_stderr("the agent failed (transient)", timeout=PATIENCE)
    assert time.monotonic() - before < 15
    assert 2 <= len(model.requests) <= 4


def test_a_usage_limit_names_its_end(claude, model):
    session = claude(env={**IMPATIENT, "ANTHROPIC_API_KEY": "",
                          "CLAUDE_CODE_OAUTH_TOKEN": "sk-ant-oat01-of-the-test"}).start()
    reset = int(time.time()) + 7200
    model.otherwise(error(429, "limit", anthropic_ratelimit_unified_status="rejected",
                          anthropic_ratelimit_unified_reset=reset,
                          anthropic_ratelimit_unified_representative_claim="five_hour"))
    session.wait_ack(session.add_chat("hello"), "failed", timeout=PATIENCE)
    assert len(session.texts()) == 1
    assert time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(reset)) in session.texts()[0]


def test_a_conversation_that_grew_too_long_is_begun_anew(claude, model):
    session = claude(env=IMPATIENT).start()
    answer(session, "hello", "echo: hello")
    kept = session.state()[STATE]

    def full(request):
        return model_server.too_long() if "echo: hello" in request.everything else say("fresh")
    model.otherwise(full)
    model.summary = model_server.too_long()
    session.wait_ack(session.add_chat("go on"), timeout=PATIENCE)
    assert session.texts() == ["echo: hello", "fresh"]
    assert session.state()[STATE] != kept


def test_a_prompt_that_is_too_long_by_itself_is_said(claude, model):
    session = claude(env=IMPATIENT).start()
    model.otherwise(model_server.too_long())
    model.summary = model_server.too_long()
    session.wait_ack(session.add_chat("hello"), "failed", timeout=PATIENCE)
    assert len(session.texts()) == 1 and "too long" in session.texts()[0]


@pytest.mark.parametrize("after", [0, 2, 3, 4])
def test_a_connection_that_breaks_costs_nothing(claude, model, after):
    session = claude(env={"CLAUDE_CODE_MAX_RETRIES": "1"}).start()
    model.script(cut(after), say("whole"))
    session.wait_ack(session.add_chat("hello"), timeout=PATIENCE)
    assert session.texts() == ["whole"]


# One request on stdin


def once(claude, **request):
    session = claude(env={"AGENT_PROVIDER": "claude", **IMPATIENT})
    result = session.run(stdin=json.dumps({"prompt": "What is 2+2?", "groupFolder": "test",
                                           "chatJid": "test@g.us", "isMain": False, **request}))
    frames = [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]
    return session, result.returncode, frames


def test_one_request_is_answered(claude, model):
    model.script(text("4"))
    session, code, frames = once(claude)
    assert code == 0
    assert (frames[0]["status"], frames[0]["result"]) == ("success", "4")
    assert model.requests[0].last_text == "What is 2+2?"
    # The conversation that it named can be taken up again.
    model.script(text("5"))
    result = session.run(stdin=json.dumps({"prompt": "plus 1?", "groupFolder": "test",
                                           "chatJid": "test@g.us", "isMain": False,
                                           "sessionId": frames[0]["newSessionId"]}))
    assert '"result":"5"' in result.stdout
    assert "What is 2+2?" in model.requests[1].everything


def test_the_failure_of_one_request_is_said(claude, model):
    model.otherwise(error(401))
    _, code, frames = once(claude)
    assert code != 0
    assert frames[0]["status"] == "error" and "cannot log in" in frames[0]["error"]


# The end


def test_sigterm_in_a_turn_loses_nothing(claude, model):
    session = claude().start()
    model.script(say("cut short", piece=5, hold=threading.Event()))
    message = session.add_chat("hello")
    model.wait_for_requests(1)
    assert session.stop() == 0
    assert session.stop_seconds < 2
    assert message not in session.acks()
    session.start()
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["echo: hello"]


def test_sigterm_while_a_tool_runs_leaves_nothing_behind(claude, model):
    session = claude().start()
    model.script(bash("until false; do sleep 0.05; done"))
    message = session.add_chat("work")
    session.wait(lambda: (session.container_state() or {}).get("current_tool") == "Bash",
                 "a tool in flight", PATIENCE)
    below = sessions.descendants(session.process.pid)
    assert session.stop() == 0
    assert message not in session.acks()
    session.wait(lambda: not any(sessions.is_alive(pid) for pid in below), "the end of all tools")


def test_a_killed_cli_is_started_again(claude, model):
    session = claude().start()
    answer(session, "remember 17", "echo: remember 17")
    # It writes its transcript when it has time; what is not in there dies with it.
    session.wait(lambda: any("echo: remember 17" in path.read_text()
                             for path in session.home.rglob("*.jsonl")), "the transcript")
    model.script(say("never", piece=2, hold=threading.Event()))
    message = session.add_chat("which number")
    model.wait_for_requests(2)
    victims = [pid for pid in sessions.descendants(session.process.pid)
               if "stream-json" in command_line(pid)]
    sessions.kill_all(victims)
    session.wait_ack(message, timeout=PATIENCE)
    assert session.texts() == ["echo: remember 17", "echo: which number"]
    assert "remember 17" in model.requests[-1].everything


# A CLI that is missing or broken (no real one is needed)


def broken(make_session, path, env=None):
    session = make_session(provider="claude", env={
        "AGENT_CLAUDE_PATH": str(path), "AGENT_RETRY_MS": "10", **(env or {})})
    message = session.add_chat("hello")
    session.start().wait_ack(message, "failed", timeout=PATIENCE)
    return session


def script_file(tmp_path, body, mode=0o755):
    os.chmod(tmp_path, 0o755)
    for folder in list(tmp_path.parents)[:2]:
        os.chmod(folder, 0o755)
    path = tmp_path / "claude"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(mode)
    return path


def test_a_missing_cli_is_said_to_the_user_and_in_the_log(make_session):
    session = broken(make_session, "/nonexistent/claude")
    assert len(session.texts()) == 1
    assert "missing or does not start" in session.texts()[0]
    assert "/nonexistent/claude" in session.texts()[0]
    assert session.lines("AGENT_CLAUDE_PATH=/nonexistent/claude", "no such file")
    # Not tried for ever: one attempt a message, and one before the first.
    count = len(session.lines("agent claude started"))
    assert count <= 2
    assert sessions.stays(lambda: len(session.lines("agent claude started")) == count, 0.3)


@pytest.mark.parametrize("body, mode, words", [
    ("echo 'cannot load libfoo' >&2; exit 3", 0o755, "exit code 3: cannot load libfoo"),
    ("echo 'Welcome!'; echo '{ not json'; exit 0", 0o755, "exit code 0"),
    ("exit 0", 0o644, "cannot be executed"),
], ids=["exits", "prints-garbage", "not-executable"])
def test_a_broken_cli_is_said_too(make_session, tmp_path, body, mode, words):
    session = broken(make_session, script_file(tmp_path, body, mode))
    assert len(session.texts()) == 1
    assert "missing or does not start" in session.texts()[0]
    assert words in session.texts()[0]
    count = len(session.lines("agent claude started"))
    assert sessions.stays(lambda: len(session.lines("agent claude started")) == count, 0.3)


def test_a_cli_that_dies_by_signals_is_tried_a_few_times(make_session, tmp_path):
    session = broken(make_session, script_file(tmp_path, "kill -9 $$"))
    assert len(session.texts()) == 1 and "broke off" in session.texts()[0]
    assert "killed by signal 9" in session.texts()[0]
    # Three attempts; and one before the first message, perhaps.
    assert 3 <= len(session.lines("agent claude started")) <= 5
