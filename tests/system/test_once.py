# SPDX-License-Identifier: MIT
"""One JSON request on stdin, framed answers on stdout (v1 hosts, and by hand)."""
import json
import os
import signal
import subprocess
import time

import pytest

import landlock
import session as sessions

START = "---NANOCLAW_OUTPUT_START---\n"
END = "\n---NANOCLAW_OUTPUT_END---\n"

REQUEST = {"prompt": "What is 2+2?", "groupFolder": "test", "chatJid": "test@g.us", "isMain": False}
SCRIPTED = {**REQUEST, "isScheduledTask": True}
MOCK = {"AGENT_PROVIDER": "mock"}


@pytest.fixture
def once(make_session):
    """Runs a request in a workspace without databases, as such a host has it."""
    session = make_session(provider=None)
    session.inbound.unlink()
    session.outbound.unlink()

    def run(request, **env):
        text = request if isinstance(request, str) else json.dumps(request)
        return session.run(stdin=text, env={**MOCK, **env})
    run.workspace = session.workspace
    run.copy = session.home / "input.json"
    return run


def frames(result):
    """The frames on stdout; there may be nothing else."""
    text, found = result.stdout, []
    while text:
        assert text.startswith(START), result.stdout
        body, text = text[len(START):].split(END, 1)
        assert "\n" not in body
        found.append(json.loads(body))
    return found


def test_a_prompt_is_answered(once):
    result = once(REQUEST)
    assert result.returncode == 0, result.stderr
    answer, end = frames(result)
    assert answer["status"] == "success" and answer["result"] == "echo: What is 2+2?"
    assert end["status"] == "success" and end["result"] is None
    assert end["newSessionId"] and "error" not in end


def test_a_session_is_resumed(once):
    end = frames(once({**REQUEST, "sessionId": "mock-of-yesterday"}))[-1]
    assert end["newSessionId"] == "mock-of-yesterday"


def test_a_scheduled_prompt_is_marked(once):
    answer, _ = frames(once({**REQUEST, "isScheduledTask": True}))
    assert "[SCHEDULED TASK" in answer["result"] and "What is 2+2?" in answer["result"]


@pytest.mark.parametrize("text, words", [
    ("{", "line 1"), ("not JSON", "line 1"), ("[]", "prompt"), ("{}", "prompt"), ("7", ""),
    ('{"prompt": ""}', "prompt"), ('{"prompt": 7}', "prompt"), ('{"prompt": null}', "prompt")])
def test_no_request_is_an_error_frame(once, text, words):
    result = once(text)
    assert result.returncode == 1
    frame, = frames(result)
    assert frame["status"] == "error" and frame["result"] is None
    assert "stdin" in frame["error"] and words in frame["error"]
    assert len([line for line in result.stderr.splitlines() if "error:" in line]) == 1


@pytest.mark.parametrize("error, words", [
    ("auth", "log in"), ("quota", "limit"), ("other", "went wrong"), ("transient", "AI service"),
    ("crashed", "broke off"), ("unavailable", "missing")])
def test_a_failure_is_an_error_frame(once, error, words):
    result = once(REQUEST, AGENT_MOCK_ERROR=error)
    assert result.returncode == 1
    frame, = frames(result)
    assert frame["status"] == "error" and frame["result"] is None and words in frame["error"]


def test_a_copy_is_kept_without_the_secrets(once):
    secret = "sk-very-secret"
    result = once({**REQUEST, "secrets": {"API_KEY": secret}}, AGENT_LOG_LEVEL="debug")
    assert result.returncode == 0
    assert json.loads(once.copy.read_text()) == REQUEST
    assert once.copy.stat().st_mode & 0o777 == 0o600
    assert secret not in result.stderr + result.stdout


def test_a_copy_of_somebody_else_s_does_not_stand_in_the_way(once):
    # As in /tmp: what root wrote there, an ordinary user cannot replace.
    shared = once.workspace.with_name("shared")
    shared.mkdir()
    shared.chmod(0o1777)
    (shared / "input.json").write_text("not ours")
    result = once(REQUEST, TMPDIR=str(shared))
    assert result.returncode == 0 and len(frames(result)) == 2
    kept = "the request is not kept for inspection" not in result.stderr
    assert kept == (os.getuid() != 0)


def test_secrets_of_any_shape_do_no_harm(once):
    for secrets in (None, 7, [], {"": "x", "A=B": "x", "N": 7, "OK": "y"}, "text"):
        assert once({**REQUEST, "secrets": secrets}).returncode == 0


def test_odd_text_comes_back_unchanged(once):
    text = 'a "b" \\ \n\t é \U0001f600 <x> ---NANOCLAW_OUTPUT_END---'
    answer, _ = frames(once({**REQUEST, "prompt": text}))
    assert answer["result"] == f"echo: {text}"


def test_a_big_prompt(once):
    text = "x" * (4 * 1024 * 1024)
    answer, _ = frames(once({**REQUEST, "prompt": text}))
    assert answer["result"] == f"echo: {text}"


def test_no_database_is_needed_or_made(once):
    assert once(REQUEST).returncode == 0
    assert {p.name for p in once.workspace.iterdir()} <= {"agent"}


LOOK = 'pwd > here; touch ../above; echo \'{"wakeAgent": false}\''


def test_a_person_s_folder_is_the_agent_s(once):
    """docker run -v $PWD:/workspace: it works there, on what is there, and nothing is added to it."""
    folder = once.workspace
    (folder / "src").mkdir()
    (folder / "main.c").write_text("old")
    for path in folder, folder / "src", folder / "main.c":
        os.chown(path, sessions.UID, sessions.GID)
    script = 'pwd > src/here; echo new > main.c; echo \'{"wakeAgent": false}\''
    result = once({**SCRIPTED, "script": script})
    assert result.returncode == 0, result.stderr
    assert (folder / "src/here").read_text() == f"{folder}\n"
    assert (folder / "main.c").read_text() == "new\n"
    assert {p.name for p in folder.iterdir()} <= {"agent", "src", "main.c"}


@pytest.mark.parametrize("name", ["ipc", "global", "extra", "group"])
def test_a_v1_host_s_workspace_is_not(once, name):
    """Its groups' agents work in a folder of their own there, and write nowhere else in it."""
    landlock.need(1)
    (once.workspace / name).mkdir()
    os.chown(once.workspace / name, sessions.UID, sessions.GID)
    result = once({**SCRIPTED, "script": LOOK})
    assert result.returncode == 0, result.stderr
    group = once.workspace / "group"
    assert (group / "here").read_text() == f"{group}\n"
    assert not (once.workspace / "above").exists()


def test_an_empty_result(once):
    answer, end = frames(once(REQUEST, AGENT_MOCK_RESULT=""))
    assert answer["status"] == end["status"] == "success"
    assert answer["result"] is None


def test_it_ends_at_once(once):
    """Without an ipc folder it is one query."""
    before = time.monotonic()
    once(REQUEST)
    assert time.monotonic() - before < 3


WAKE = 'echo \'{"wakeAgent": true, "data": {"n": 1}}\''


def test_a_script_that_says_true_lets_the_task_through(once):
    answer, _ = frames(once({**SCRIPTED, "script": WAKE}))
    assert "What is 2+2?" in answer["result"] and '"n": 1' in answer["result"]


@pytest.mark.parametrize("script", ["echo '{\"wakeAgent\": false}'", "exit 1", "echo nonsense"])
def test_a_script_that_does_not_answers_nothing(once, script):
    result = once({**SCRIPTED, "script": script})
    assert result.returncode == 0, result.stderr
    frame, = frames(result)
    assert frame["status"] == "success" and frame["result"] is None


def test_a_script_does_not_get_the_secrets(once):
    """They are for the agent alone."""
    script = '[[ -z $TOKEN_OF_MINE ]] && ' + WAKE
    answer, _ = frames(once({**SCRIPTED, "script": script, "secrets": {"TOKEN_OF_MINE": "s"}}))
    assert "What is 2+2?" in answer["result"]


@pytest.mark.parametrize("error", ["invalid_session", "too_long"])
def test_a_conversation_that_does_not_serve_is_left(once, error):
    result = once({**REQUEST, "sessionId": "of-yesterday"}, AGENT_MOCK_ERROR=error)
    assert result.returncode == 0, result.stderr
    answer, end = frames(result)
    assert answer["result"] == "echo: What is 2+2?"
    assert end["newSessionId"] != "of-yesterday"


def popen(session, **options):
    identity = {"user": sessions.UID, "group": sessions.GID, "extra_groups": []} \
        if os.getuid() == 0 else {}
    return subprocess.Popen(session.command(), cwd="/", env={**session.env, **MOCK}, text=True,
                            stdin=subprocess.PIPE, **identity, **options)


def test_a_stop_before_the_answer_is_an_error_frame(make_session):
    session = make_session(provider=None, env={"AGENT_MOCK_DELAY_MS": "60000"})
    session.process = popen(session, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    session.process.stdin.write(json.dumps(REQUEST))
    session.process.stdin.close()
    session.wait(lambda: "agent-once" in map(
        sessions.process_name, sessions.descendants(session.process.pid)), "the loop")
    # Its signals are blocked before it says its name, so none is missed.
    assert session.stop(signal.SIGTERM) == 1
    text = session.process.stdout.read()
    session.process.stdout.close()
    session.process.stderr.close()
    frame = json.loads(text[len(START):-len(END)])
    assert frame["status"] == "error" and "signal 15" in frame["error"]


def test_an_answer_that_cannot_be_written_is_a_failure(make_session):
    session = make_session(provider=None)
    with open("/dev/full", "w", encoding="utf-8") as full:
        session.process = popen(session, stdout=full, stderr=subprocess.PIPE)
    _, log = session.process.communicate(json.dumps(REQUEST))
    assert session.process.returncode == 1
    assert "the answer cannot be written to standard output: No space left on device" in log


def test_an_empty_input_is_a_session(make_session):
    session = make_session()
    message = session.add_chat("hello")
    session.process = popen(session, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    session.process.stdin.close()
    session.wait_ack(message)
    assert session.stop() == 0
