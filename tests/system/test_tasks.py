# SPDX-License-Identifier: MIT
"""Scheduled tasks, and the scripts that decide whether one wakes the agent."""
import os
import time

import pytest

import session as sessions

DEBUG = {"AGENT_LOG_LEVEL": "debug"}
QUIET = 'echo \'{"wakeAgent": false}\''
WAKE = 'echo \'{"wakeAgent": true, "data": {"n": 1, "s": "<b>"}}\''
WAIT = "until [ -e go ]; do sleep 0.02; done"


def go_on(session):
    """What WAIT waits for."""
    (session.workspace / "agent/go").touch()


def test_a_task_without_a_script_wakes_the_agent(session):
    task = session.add_task("water the plants")
    session.start(DEBUG).wait_ack(task)
    answer, = session.answers()
    assert answer.text == "echo: water the plants"
    assert answer.route == (sessions.CHANNEL, sessions.PLACE, None)
    prompt, = session.prompts()
    assert '<task from="casa" time="' in prompt
    assert "Instructions:?water the plants" in prompt and "Script output" not in prompt


def test_a_script_that_says_true_wakes_it_with_its_data(session):
    task = session.add_task("look", script=f"echo noise; {WAKE}")
    session.start(DEBUG).wait_ack(task)
    assert session.texts() == ["echo: look"]
    prompt, = session.prompts()
    assert "Script output:?" in prompt and "noise" not in prompt
    assert "&quot;n&quot;: 1" in prompt and "&lt;b&gt;" in prompt
    assert prompt.index("Script output") < prompt.index("Instructions:?look")


def test_a_script_that_says_false_lets_it_sleep(session):
    task = session.add_task("look", script=QUIET)
    session.start(DEBUG).wait_ack(task)
    assert session.answers() == [] and session.prompts() == []
    assert not session.lines("warning")


@pytest.mark.parametrize("script, complaint", [
    ("exit 3", "exit status 3"),
    (f"{WAKE}; exit 1", "exit status 1"),
    ("true", "no output"),
    ("echo hello", "not JSON"),
    (f"{WAKE}; echo behind it", "not JSON"),
    ("echo '[true]'", '"wakeAgent"'),
    ("echo '{\"wakeAgent\": \"true\"}'", '"wakeAgent"'),
    ("echo '{\"wakeAgent\": 1}'", '"wakeAgent"'),
    ("head -c 3000000 /dev/zero", "more than"),
    ("printf '\\377\\376\\000garbage'", "not JSON"),
    ("if then", "exit status"),
    ("kill -9 $$", "signal 9")])
def test_a_script_that_fails_completes_its_task_with_a_line(session, script, complaint):
    task = session.add_task("look", script=script)
    session.start(DEBUG).wait_ack(task)
    assert session.answers() == [] and session.prompts() == []
    line, = session.lines("warning", task)
    assert complaint in line and "not woken" in line


def test_a_script_without_a_newline_at_the_end(session):
    task = session.add_task("look", script="printf '{\"wakeAgent\": true}'")
    session.start().wait_ack(task)
    assert session.texts() == ["echo: look"]


def test_a_script_is_run_by_bash_in_the_agent_s_folder_with_no_input(session):
    script = '[[ $(pwd) == */workspace/agent ]] && ! read -r line && ' + WAKE
    task = session.add_task("look", script=script)
    session.start().wait_ack(task)
    assert session.texts() == ["echo: look"]


def test_a_script_has_a_process_session_of_its_own(session):
    script = f"cut -d' ' -f6 /proc/self/stat > sid; {QUIET}"
    task = session.add_task("look", script=script)
    session.start().wait_ack(task)
    sid = int((session.workspace / "agent/sid").read_text())
    assert sid not in (os.getsid(session.process.pid), os.getsid(session.loop_pid()))


def test_a_claim_is_written_before_the_script_starts(session):
    task = session.add_task("look", script=f"{WAIT}; {QUIET}")
    session.start().wait_turn(task)
    assert session.heartbeat() is not None
    go_on(session)
    session.wait_ack(task)


def test_the_loop_stays_responsive_while_a_script_runs(session):
    task = session.add_task("look", script=f"{WAIT}; {QUIET}")
    session.start().wait_turn(task)
    session.wait_ack(session.add_chat("quick"))
    assert session.acks()[task] == "processing"
    go_on(session)
    session.wait_ack(task)


def test_a_child_left_behind_holds_nothing_up(session):
    """It even keeps the script's output open."""
    task = session.add_task("look", script=f"sleep 1000 & {WAKE}")
    session.start().wait_ack(task, timeout=5)
    assert session.texts() == ["echo: look"]
    assert session.stop() == 0


def test_a_script_in_the_way_of_a_stop(session):
    task = session.add_task("look", script="trap '' TERM; sleep 1000 & sleep 1000; sleep 1000")
    session.start().wait_turn(task)
    session.wait(lambda: any(sessions.process_name(p) == "sleep"
                             for p in sessions.descendants(session.process.pid)), "the script")
    assert session.stop() == 0
    assert session.stop_seconds < 1
    assert session.acks() == {}


def test_a_script_that_never_ends_is_ended(session):
    """After 30 s, SIGTERM or no SIGTERM, with all that it started; nobody waits meanwhile."""
    first = session.add_chat("first")
    session.start().wait_ack(first)
    beat = session.heartbeat()
    before = time.monotonic()
    task = session.add_task("look", script="trap '' TERM; sleep 1000 & "
                                           "while :; do sleep 1000; done")
    session.wait_turn(task)
    session.wait_ack(session.add_chat("meanwhile"), timeout=5)
    session.wait(lambda: session.heartbeat() > beat + 3, "a heartbeat during the script", 10)
    session.wait_ack(task, timeout=45)
    assert 29 < time.monotonic() - before < 40
    line, = session.lines("warning", task)
    assert "30000 ms" in line
    session.wait(lambda: not any(sessions.process_name(p) == "sleep"
                                 for p in sessions.descendants(session.process.pid)),
                 "the end of all that the script started", 5)
    assert session.texts() == ["echo: first", "echo: meanwhile"]


def test_scripts_run_one_after_the_other(session):
    log = session.workspace / "agent/log"
    tasks = [session.add_task(f"{i}", script=f"echo start >> {log}; sleep 0.2; echo end >> {log}; {WAKE}")
             for i in range(3)]
    session.start().wait_ack(tasks)
    assert log.read_text().split() == ["start", "end"] * 3
    assert session.texts() == ["echo: 0", "echo: 1", "echo: 2"]


def test_a_task_that_a_kill_cut_off_is_taken_up_again(session):
    task = session.add_task("look", script="[[ -e again ]] || { touch again; sleep 1000; }; " + WAKE)
    session.start().wait_turn(task)
    session.wait((session.workspace / "agent/again").exists, "the script")
    session.kill()
    session.start().wait_ack(task)
    assert session.texts() == ["echo: look"]


@pytest.mark.parametrize("script", ["", 7, None, ["x"]])
def test_what_is_no_script_is_none(session, script):
    task = session.add({"prompt": "look", "script": script}, kind="task")
    session.start().wait_ack(task)
    assert session.texts() == ["echo: look"]


def test_tasks_come_behind_chat_in_a_prompt(session):
    ids = [session.add_task("a task"), session.add_chat("a chat")]
    session.start(DEBUG).wait_ack(ids)
    prompt, = session.prompts()
    assert prompt.index("a chat") < prompt.index("a task")
