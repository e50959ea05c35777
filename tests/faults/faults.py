# SPDX-License-Identifier: MIT
"""
What holds whatever happens, and sessions with an agent that is rude.

Each wake message ends in an answer or in one error that its sender sees; nothing is written twice;
seq stays odd, unique and rising; both databases are sound.
"""
import collections
import json
import os
import pathlib
import shutil
import sqlite3
import time

import session as sessions

# How every error begins that a sender is told; the words stand in runner/notice.c.
NOTICES = ("I cannot work", "My agent program", "Something went wrong", "I have no answer",
           "I could not", "Your message", "I have begun")

# Retries wait 20, 80 and 300 ms.
FAST = {"AGENT_RETRY_MS": "20", "AGENT_POLL_IDLE_MS": "50", "AGENT_POLL_ACTIVE_MS": "50"}


def rude_session(make_session, plan, env=None, **options):
    """A session with tests/faults/rude_agent.py; plan: what its first processes do."""
    session = make_session(provider="claude", env={**FAST, **(env or {})}, **options)
    folder = session.base / "rude"
    folder.mkdir()
    program = folder / "claude"
    shutil.copy(pathlib.Path(__file__).parent / "rude_agent.py", program)
    program.chmod(0o755)
    (folder / "plan.json").write_text(json.dumps(plan))
    if os.getuid() == 0:
        os.chown(folder, sessions.UID, sessions.GID)
    session.env["AGENT_CLAUDE_PATH"] = str(program)
    session.rude = folder
    return session


def rude_log(session, event=None):
    """What the rude processes were given."""
    try:
        lines = (session.rude / "log").read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return []
    return [line for line in map(json.loads, lines) if event in (None, line["event"])]


def is_notice(text):
    return text is not None and text.startswith(NOTICES)


def integrity(path):
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as db:
        answer = [row[0] for row in db.execute("PRAGMA integrity_check")]
    db.close()
    return answer


def wait_settled(session, ids, timeout=sessions.PATIENCE):
    """Waits until each of these messages is acknowledged for good."""
    def probe():
        if len(ids) > 100:
            # Reading so many all the time would be a fault of its own.
            time.sleep(0.1)
        acks = session.acks()
        return all(acks.get(i) in ("completed", "failed") for i in ids)
    session.wait(probe, f"the end of {ids}", timeout)


def check_databases(session):
    for path in (session.inbound, session.outbound):
        assert integrity(path) == ["ok"], path


def check_rows(session, foreign=()):
    """seq, and that nothing is written twice. foreign: ids of rows that are not the runner's."""
    rows = session.read("SELECT id, seq, typeof(seq) AS type, content, in_reply_to "
                        "FROM messages_out ORDER BY rowid")
    ours = [row for row in rows if row["id"] not in foreign]
    seqs = [row["seq"] for row in ours]
    assert all(row["type"] == "integer" and row["seq"] % 2 == 1 for row in ours), seqs
    assert seqs == sorted(set(seqs)), seqs
    texts = collections.Counter(json.loads(row["content"]).get("text") for row in ours)
    assert not [t for t, n in texts.items() if n > 1 and not is_notice(t)], session.explain()


def check_outcome(session, messages, timeout=sessions.PATIENCE):
    """
    messages: id -> its words. Each was answered once, or its sender sees one error, and no more
    than one of either. Returns what became of each: its status, how many answers, how many errors.
    """
    wait_settled(session, messages, timeout)
    answers = session.answers()
    acks = session.acks()
    texts = collections.Counter(a.text for a in answers)
    notices = collections.Counter(a.in_reply_to for a in answers if is_notice(a.text))
    outcome = {}
    for message, words in messages.items():
        outcome[message] = acks[message], texts[f"echo: {words}"], notices[message]
        assert outcome[message][1] <= 1, f"said twice: {words!r}\n{session.explain()}"
        assert outcome[message][2] <= 1, f"two errors about {words!r}\n{session.explain()}"
    # An error about several messages at once replies to one of them.
    errors = sum(notices.values())
    for message, (status, said, _) in outcome.items():
        assert said or errors, f"silence about {messages[message]!r}\n{session.explain()}"
        assert status == "completed" or errors, session.explain()
    check_rows(session)
    check_databases(session)
    return outcome


def goes_on(session, words="and on"):
    """The next message is answered as if nothing had been."""
    message = session.add_chat(words)
    session.wait_ack(message)
    assert session.texts().count(f"echo: {words}") == 1, session.explain()
    assert not session.read("SELECT * FROM processing_ack WHERE status = 'processing'")


# The loop as a process


def memory_kb(pid):
    """PSS and RSS; with rights to see only one of them, that one."""
    for name, key in (("smaps_rollup", "Pss:"), ("status", "VmRSS:")):
        try:
            text = pathlib.Path(f"/proc/{pid}/{name}").read_text()
        except (PermissionError, FileNotFoundError, ProcessLookupError):
            continue
        for line in text.splitlines():
            if line.startswith(key):
                return int(line.split()[1])
    return 0


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
