# SPDX-License-Identifier: MIT
"""
An agent CLI that dies, lies, floods and hangs: what its user sees all the same.

What it does is a plan for tests/faults/rude_agent.py. Where only a watchdog could help, what is
asked for is that the loop lives on: a /stop frees the session, and a SIGTERM ends it in time.
"""
import fcntl
import threading
import time

import pytest

import faults
import session as sessions

DEATHS = ["exit:0", "exit:1", "kill:SIGKILL", "kill:SIGSEGV", "kill:SIGTERM"]

BEGUN = ["init", "replay"]
SAID = [*BEGUN, "text"]

# Where it dies, and what the user sees: the answer, an error, or the answer and perhaps an error.
STAGES = {
    "before any output": (lambda d: {"start": [d]}, "either"),
    "after initialize": (lambda d: {"initialize": ["answer", d]}, "answer"),
    "after the user line": (lambda d: {"turn": [d]}, "answer"),
    "after init": (lambda d: {"turn": ["init", d]}, "answer"),
    "after the replay": (lambda d: {"turn": [*BEGUN, d]}, "answer"),
    "in the midst of a text": (lambda d: {"turn": [*BEGUN, "text:half", d]}, "answer"),
    "after a text": (lambda d: {"turn": [*SAID, d]}, "said"),
    "after a tool was called": (lambda d: {"turn": [*SAID, "tool-use", d]}, "said"),
    "after its result": (lambda d: {"turn": [*SAID, "tool-use", "tool-result", d]}, "said"),
    "in a tool, silent": (lambda d: {"turn": [*BEGUN, "tool-use", d]}, "answer"),
    "in the midst of the result": (lambda d: {"turn": [*SAID, "result:half", d]}, "said"),
    "right after the result": (lambda d: {"turn": [*SAID, "result", d]}, "answer"),
}


def check_sees(session, outcome, sees):
    (status, said, errors), = outcome.values()
    if sees == "answer":
        assert (status, said, errors) == ("completed", 1, 0), session.explain()
    elif sees == "said":
        assert said == 1, session.explain()
    elif sees == "error":
        assert (status, said, errors) == ("failed", 0, 1), session.explain()
    else:
        assert said + errors == 1, session.explain()


def see(session, sees, timeout=sessions.PATIENCE):
    """One message to an agent that is rude once; then it, and the next, are as they should be."""
    message = session.add_chat("hello")
    session.start()
    outcome = faults.check_outcome(session, {message: "hello"}, timeout)
    check_sees(session, outcome, sees)
    faults.goes_on(session)


@pytest.mark.parametrize("death", DEATHS)
@pytest.mark.parametrize("stage", STAGES)
def test_it_dies(make_rude, stage, death):
    plan, sees = STAGES[stage]
    see(make_rude(plan(death)), sees)


@pytest.mark.parametrize("stage", [s for s, (_, sees) in STAGES.items()
                                   if sees == "answer" and s != "right after the result"])
def test_it_dies_each_time(make_rude, stage):
    """It is tried a few times, then the sender is told, once."""
    session = make_rude(*[STAGES[stage][0]("kill:SIGKILL")] * 4)
    see(session, "error")
    assert "broke off" in next(t for t in session.texts() if faults.is_notice(t))


def test_it_dies_while_several_wait(make_rude):
    session = make_rude({"turns": [["init", "replay", "tool-use"], ["kill:SIGKILL"]]})
    first = session.add_chat("one")
    session.start().wait_turn(first)
    session.wait(lambda: faults.rude_log(session, "user"), "the first message at the agent")
    more = session.add_chats(["two", "three"])
    messages = dict(zip([first, *more], ["one", "two", "three"]))
    outcome = faults.check_outcome(session, messages)
    assert [o[0] for o in outcome.values()] == ["completed"] * 3, session.explain()
    faults.goes_on(session)


# Out of order

ORDERS = {
    "a result before the init": (["result", "init", "replay"], "answer"),
    "a result before the replay": (["init", "text", "result", "replay"], "answer"),
    "a named result before the replay": (["init", "text", "result:named", "replay"], "answer"),
    "no replay": (["init", "text", "result"], "answer"),
    "no init": (["replay", "text", "result"], "answer"),
    "two results": ([*SAID, "result", "result"], "answer"),
    "two named results": ([*SAID, "result:named", "result:named"], "answer"),
    "two replays": ([*BEGUN, "replay", "text", "result"], "answer"),
    "a result for an unknown push, then a true one": ([*SAID, "result:unknown", "result"], "answer"),
    "an end of a tool that never began": ([*BEGUN, "tool-result:other", "text", "result"], "answer"),
    "a tool that never ends": ([*BEGUN, "tool-use", "text", "result"], "answer"),
    "a tool twice": ([*BEGUN, "tool-use", "tool-use", "tool-result", "tool-result", "text",
                      "result"], "answer"),
    "another conversation": (["init", "init:another", "replay", "text", "result"], "answer"),
    "an idle in the midst": (["init", "idle", "replay", "text", "idle", "result"], "answer"),
    "an empty result": ([*SAID, "result:empty"], "answer"),
    "an error after the text": ([*SAID, "result:error"], "said"),
    "only an error": ([*BEGUN, "result:error"], "error"),
}


@pytest.mark.parametrize("order", ORDERS)
def test_out_of_order(make_rude, order):
    turn, sees = ORDERS[order]
    session = make_rude({"turns": [turn]})
    see(session, sees)
    assert (session.container_state() or {}).get("current_tool") is None
    # And nothing of the first turn shows up behind the second.
    assert sessions.stays(lambda: session.texts().count("echo: hello") <= 1, 0.2)


def test_another_conversation_is_the_one_that_is_kept(make_rude):
    session = make_rude({"turns": [["init", "init:another", "replay", "text", "result"],
                                   ["kill:SIGKILL"]]})
    see(session, "answer")
    assert session.lines("agent claude started", "resuming another")


# Floods

# 100 MB without a newline: then the line ends, or the process does.
FLOODS = {
    "100 MB on stderr": ([*BEGUN, "stderr:100", "text", "result"], "answer"),
    "100 MB on stderr in one line": ([*BEGUN, "stderr:100:1", "text", "result"], "answer"),
    "a line of 100 MB": ([*BEGUN, "line:100", "newline", "text", "result"], "answer"),
    "a line of 60 MB": ([*BEGUN, "line:60", "newline", "text", "result"], "answer"),
    "a line of 100 MB at its end": ([*BEGUN, "line:100", "exit:1"], "answer"),
    "a million short lines": ([*BEGUN, "noise:1000000", "text", "result"], "answer"),
}


class Peak:
    """The most memory that the loop had at any moment, in MB."""

    def __init__(self, pid):
        self.pid, self.kb = pid, 0
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)

    def watch(self):
        while not self.over.wait(0.01):
            self.kb = max(self.kb, faults.memory_kb(self.pid))

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.thread.join()

    @property
    def mb(self):
        return self.kb // 1024


@pytest.mark.parametrize("flood", FLOODS)
def test_floods(make_rude, flood):
    turn, sees = FLOODS[flood]
    session = make_rude({"turns": [turn]}).start()
    before = faults.memory_kb(session.loop_pid())
    with Peak(session.loop_pid()) as peak:
        message = session.add_chat("hello")
        outcome = faults.check_outcome(session, {message: "hello"}, 60)
    check_sees(session, outcome, sees)
    faults.goes_on(session)
    # A build with sanitizers keeps what is freed.
    if b"__asan_init" not in sessions.runner_path().read_bytes():
        assert 0 < peak.mb < 150
        # One huge line is not paid for ever after.
        assert faults.memory_kb(session.loop_pid()) - before < 10 * 1024
    assert len(session.stderr()) < 100000


@pytest.mark.parametrize("flood", [["stderr:1000"], ["noise:100000000"], ["line:5000"]],
                         ids=["stderr", "lines", "one line"])
def test_a_flood_does_not_keep_a_stop_waiting(make_rude, flood):
    """It writes on and on, and never reads."""
    session = make_rude({"turns": [[*BEGUN, *flood * 10]]})
    message = session.add_chat("hello")
    session.start()
    session.wait(lambda: faults.rude_log(session, "user"), "the message at the agent")
    assert session.stop() == 0
    assert session.stop_seconds < 1
    assert message not in session.acks()
    faults.check_rows(session)
    faults.check_databases(session)


# Odd bytes


@pytest.mark.parametrize("odd", [
    "deep", "deep-object", "numbers", "real", "negative", "utf8", "nul", "surrogate", "types",
    "wrong", "empty", "crlf"])
def test_odd_bytes(make_rude, odd):
    see(make_rude({"turns": [[*BEGUN, f"odd:{odd}", "text", "result"]]}), "answer")


@pytest.mark.parametrize("words", ["a\ud83db", "a\x00b", "\x1b[31m", "a\u2028\ufffe\U0010ffff"])
def test_odd_characters_in_an_answer(make_rude, words):
    session = make_rude({"turns": [[*BEGUN, f'text:<message to="casa">{words}</message>',
                                    "result:empty"]]})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    answer, = session.texts()
    assert len(answer) == len(words) and answer[-1] == words[-1]
    faults.check_databases(session)
    faults.goes_on(session)


# Processes that it leaves behind


@pytest.mark.parametrize("argument", ["", "pipes"])
@pytest.mark.parametrize("end", ["exit:0", "kill:SIGKILL"])
def test_orphans_die_with_it(make_rude, end, argument):
    session = make_rude({"turns": [[*BEGUN, f"orphan:{argument}", f"orphan:{argument}", end]]})
    see(session, "answer")
    orphans = [line["pid"] for line in faults.rude_log(session, "orphan")]
    assert len(orphans) == 2
    session.wait(lambda: not any(sessions.is_alive(pid) for pid in orphans), "the end of orphans")


@pytest.mark.parametrize("argument", ["", "pipes"])
def test_orphans_die_with_the_container(make_rude, argument):
    session = make_rude({"turns": [[*BEGUN, f"orphan:{argument}", "text", "result"]]})
    see(session, "answer")
    orphan = faults.rude_log(session, "orphan")[0]["pid"]
    assert sessions.is_alive(orphan)
    assert session.stop() == 0 and session.stop_seconds < 1
    session.wait(lambda: not sessions.is_alive(orphan), "the end of the orphan")


def races(session):
    """Is there still a process of those that fork and exit all the time?"""
    with open(session.rude / "racers", "rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def test_nothing_outruns_its_end(make_rude):
    session = make_rude({"turns": [[*BEGUN, "breed:4", "exit:0"]]})
    see(session, "answer")
    session.wait(lambda: not races(session), "the end of all racers", 5)


def test_nothing_outruns_the_end_of_the_container(make_rude):
    session = make_rude({"turns": [[*BEGUN, "breed:4", "text", "result"]]})
    see(session, "answer")
    assert races(session)
    assert session.stop() == 0 and session.stop_seconds < 1
    assert not races(session)


# What it may do by its uid

TAKEN_AWAY = {
    "the runtime directory is gone": "move-runtime",
    "it is a link": "move-runtime:link",
    "it is a FIFO": "move-runtime:fifo",
    "it is closed": "move-runtime:closed",
    "folders stand for its files": "plant-folders",
}


@pytest.mark.parametrize("vandal", TAKEN_AWAY)
def test_the_next_one_has_its_tools(make_rude, vandal):
    session = make_rude({"turns": [[*SAID, "result", TAKEN_AWAY[vandal], "exit:0"]]},
                        {"start": ["check-tools"]})
    see(session, "said")
    assert faults.rude_log(session, "tools") == [
        {"run": 1, "event": "tools", "servers": ["nanoclaw"]}], session.explain()
    assert len(session.lines("was taken away: made anew")) == 1


# Streams


STREAMS = {
    "it closes stdout": [*BEGUN, "close:1", "hang"],
    "it closes stdout, deaf to SIGTERM": [*BEGUN, "ignore:SIGTERM", "close:1", "hang"],
    "it closes stdout and stderr": [*BEGUN, "close:1", "close:2", "hang"],
    "it closes stdout after a text": [*SAID, "close:1", "hang"],
    "it closes stdout after the result": [*SAID, "result", "close:1", "hang"],
}


def test_closed_streams(make_rude):
    """Each is given up within seconds; nobody spins meanwhile. Side by side, since they wait."""
    rows = {}
    for name, turn in STREAMS.items():
        session = make_rude({"turns": [turn]})
        rows[name] = session, session.add_chat("hello")
        session.start()
    loops = {name: session.loop_pid() for name, (session, _) in rows.items()}
    for name, (session, message) in rows.items():
        outcome = faults.check_outcome(session, {message: "hello"})
        check_sees(session, outcome, "said")
        assert faults.cpu_seconds(loops[name]) < 0.5, name
    for session, _ in rows.values():
        faults.goes_on(session)


def test_a_closed_stderr_is_nobody_s_business(make_rude):
    session = make_rude({"start": ["close:2"]})
    see(session, "answer")
    assert len(session.lines("agent claude started")) == 1


def test_it_closes_stdin_and_answers(make_rude):
    """What was handed to it already, it answers; for the next a successor is started."""
    session = make_rude({"turns": [[*SAID, "close:0", "result", "hang"]]})
    see(session, "answer")


def test_it_closes_stdin_with_messages_waiting(make_rude):
    session = make_rude({"turns": [["close:0", "hang"]]})
    first = session.add_chat("one")
    session.start()
    session.wait(lambda: faults.rude_log(session, "user"), "the message at the agent")
    second = session.add_chat("two")
    faults.check_outcome(session, {first: "one", second: "two"})
    faults.goes_on(session)


def test_a_result_behind_the_end_of_stdin(make_rude):
    """It is ended while it has its answer ready: nothing of it is written, nothing is lost."""
    session = make_rude({"turn": BEGUN, "interrupt": [], "eof": ["text", "result"]})
    message = session.add_chat("hello")
    session.start()
    session.wait(lambda: faults.rude_log(session, "user"), "the message at the agent")
    assert session.stop() == 0 and session.stop_seconds < 1
    assert message not in session.acks() and session.texts() == []
    session.start()
    check_sees(session, faults.check_outcome(session, {message: "hello"}), "answer")


@pytest.mark.parametrize("megabytes", [1, 10])
def test_it_never_reads(make_rude, megabytes):
    """All that waits for it is kept, and is answered by its successor."""
    session = make_rude({"turns": [[*BEGUN, "sleep:1.5", "kill:SIGKILL"]]},
                        config={"maxMessagesPerPrompt": 20})
    first = session.add_chat("hello")
    session.start()
    session.wait(lambda: faults.rude_log(session, "user"), "the message at the agent")
    words = "x" * 60000
    texts = [f"{i} {words}" for i in range(megabytes * 1024 * 1024 // len(words) + 1)]
    more = session.add_chats(texts)
    faults.wait_settled(session, [first, *more], 60)
    assert set(session.acks().values()) == {"completed"}, session.explain()
    assert session.texts() == [f"echo: {t[:1000]}" for t in ["hello", *texts]]
    faults.check_rows(session)
    faults.check_databases(session)
    faults.goes_on(session)


def test_it_never_reads_at_all(make_rude):
    session = make_rude({"start": ["hang"]})
    first = session.add_chat("hello")
    session.start().wait_turn(first)
    session.add_chats(["x" * 60000] * 20)
    assert session.stop() == 0 and session.stop_seconds < 1
    assert session.acks() == {}


# Starts


def test_initialize_answered_with_an_error(make_rude):
    session = make_rude({"initialize": ["answer:error"]})
    see(session, "error")
    assert "rude today" in session.texts()[0]


def test_initialize_answered_twice(make_rude):
    see(make_rude({"initialize": ["answer", "answer"]}), "answer")


def test_initialize_answered_first_well_then_badly(make_rude):
    see(make_rude({"initialize": ["answer", "answer:error"]}), "either")


def test_a_result_before_it_is_ready(make_rude):
    see(make_rude({"initialize": ["result", "init", "text", "answer"]}), "answer")


# Hanging: only what does not depend on a watchdog

HANGS = {
    "before it is ready": {"start": ["hang"]},
    "deaf before it is ready": {"start": ["ignore:SIGTERM", "hang"]},
    "initialize never answered": {"initialize": []},
    "in a turn": {"turn": [*BEGUN, "hang"]},
    "deaf in a turn": {"turn": [*BEGUN, "ignore:SIGTERM", "hang"]},
    "stopped": {"turn": [*BEGUN, "kill:SIGSTOP", "hang"]},
    "in a tool": {"turn": [*BEGUN, "tool-use", "hang"]},
    "reads on, and ignores the interrupt": {"turn": BEGUN, "interrupt": []},
    "answers the interrupt without a result": {"turns": [BEGUN], "interrupt": ["answer"]},
    "reads on, deaf": {"start": ["ignore:SIGTERM"], "turn": BEGUN, "interrupt": [],
                       "eof": ["hang"]},
    "dies of the interrupt": {"turn": BEGUN, "interrupt": ["exit:1"]},
    "is killed in the interrupt": {"turn": BEGUN, "interrupt": ["kill:SIGKILL"]},
    "ends well at the interrupt": {"turn": BEGUN, "interrupt": ["answer", "exit:0"]},
    "a result without an answer to the interrupt": {"turns": [BEGUN], "interrupt": ["interrupted"]},
}


def hanging(make_rude):
    """Sessions side by side, each with an agent that hangs with its message."""
    rows = {}
    for name, plan in HANGS.items():
        session = make_rude(plan)
        rows[name] = session, session.add_chat("hello")
        session.start()
    for name, (session, message) in rows.items():
        session.wait_turn(message)
        if "ready" not in name and "never" not in name:
            session.wait(lambda s=session: faults.rude_log(s, "user"), f"the message ({name})")
    return rows


def test_a_stop_frees_from_an_agent_that_hangs(make_rude):
    rows = hanging(make_rude)
    before = time.monotonic()
    stops = {name: session.add_chat("/stop") for name, (session, _) in rows.items()}
    for name, (session, message) in rows.items():
        session.wait_ack([message, stops[name]])
        # The interrupt's time, and that for an end in good order.
        assert time.monotonic() - before < 9, name
        assert session.texts() == ["Stopped."], f"{name}\n{session.explain()}"
    for session, _ in rows.values():
        faults.goes_on(session)
        faults.check_rows(session)
        faults.check_databases(session)


def test_a_hanging_agent_does_not_keep_the_container(make_rude):
    for name, (session, message) in hanging(make_rude).items():
        pids = sessions.descendants(session.process.pid)
        assert session.stop() == 0, name
        assert session.stop_seconds < 1, name
        assert not any(sessions.is_alive(pid) for pid in pids), name
        assert message not in session.acks() and session.texts() == [], name


def test_it_hangs_after_the_result(make_rude):
    """Its answer stands; a /stop frees the next message, which it never reads."""
    session = make_rude({"turns": [[*SAID, "result", "hang"]]})
    message = session.add_chat("hello")
    session.start().wait_ack(message)
    second = session.add_chat("again")
    session.wait_turn(second)
    session.wait_ack([session.add_chat("/stop"), second])
    assert session.texts() == ["echo: hello", "Stopped."]
    faults.goes_on(session)


# Whoever owns a file changes its mode

VANDALS = ["", "outbound.db", "inbound.db", ".heartbeat", "agent", "inbox"]


def test_a_workspace_that_is_closed_in_each_turn(make_rude):
    """Several at once; the last one to look may leave it closed."""
    session = make_rude({"turn": ["init", "vandalize:2 ", "replay", "text", "result"]})
    messages = {}
    session.start()
    loop = session.loop_pid()
    for number in range(12):
        messages[session.add_chat(f"message {number}")] = f"message {number}"
        time.sleep(0.5)
    outcome = faults.check_outcome(session, messages, 60)
    assert [o[0] for o in outcome.values()] == ["completed"] * len(messages), session.explain()
    faults.goes_on(session)
    assert session.loop_pid() == loop, session.explain()


@pytest.mark.parametrize("name", VANDALS)
def test_modes_that_change_all_the_time(make_rude, name):
    """Whether a file is there or may be looked at is not the same; and no message pays for it."""
    turn = ["init", "replay", "text", "result"]
    session = make_rude({"turns": [[f"vandalize:6 {name}", *turn]]})
    messages = {session.add_chat("first"): "first"}
    session.start()
    session.wait(lambda: faults.rude_log(session, "vandal"), "a vandal")
    loop = session.loop_pid()
    for number in range(12):
        messages[session.add_chat(f"message {number}")] = f"message {number}"
        time.sleep(0.3)
    outcome = faults.check_outcome(session, messages, 60)
    assert [o[0] for o in outcome.values()] == ["completed"] * len(messages), session.explain()
    session.wait(lambda: faults.rude_log(session, "vandal ends"), "the end of the vandal")
    faults.goes_on(session)
    assert session.loop_pid() == loop, session.explain()
