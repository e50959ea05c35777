# SPDX-License-Identifier: MIT
"""
What must be true after a session, whatever went wrong in it: the promise of docs/session-folder.md.

check() returns (class, words) for each thing that is not.
"""
import collections
import json
import re
import sqlite3

import session as sessions

# As docs and --help have them; 128 + n is death by a signal.
CODES_AT_START = {66, 70, 73, 75, 77, 78}
PLACE = (sessions.CHANNEL, sessions.PLACE, None)
KNOWN_FILES = {"inbound.db", "outbound.db", ".heartbeat", "agent", "outbox", "inbox"}
SANITIZER = re.compile(r"AddressSanitizer|runtime error:|LeakSanitizer|Assertion .* failed|"
                       r"stack smashing|malloc\(\)|free\(\)|double free")
TOKEN = re.compile(r"tok-\d{3}")


def rows_of(story):
    db = sqlite3.connect(f"file:{story.session.outbound}?mode=ro", uri=True, timeout=5)
    try:
        db.row_factory = sqlite3.Row
        return [dict(r) for r in db.execute("SELECT rowid AS rowid, * FROM messages_out ORDER BY rowid")]
    finally:
        db.close()


def text_of(row):
    return json.loads(row["content"]).get("text")


def check_databases(story):
    for path in (story.session.outbound, story.session.inbound):
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)
        try:
            verdict = db.execute("PRAGMA integrity_check").fetchall()
        except sqlite3.Error as error:
            verdict = [(str(error),)]
        finally:
            db.close()
        if verdict != [("ok",)]:
            yield "integrity", f"{path.name}: {verdict}"


def check_acks(story):
    db = sqlite3.connect(f"file:{story.session.outbound}?mode=ro", uri=True, timeout=5)
    try:
        acks = dict(db.execute("SELECT message_id, status FROM processing_ack"))
        tool = db.execute("SELECT current_tool FROM container_state").fetchall()
    finally:
        db.close()
    for message in story.messages:
        status = acks.get(message.id)
        if status == "processing":
            yield "left claimed", f"{message.id} {message.token}"
        elif status is None:
            yield "unanswered", f"{message.id} {message.token}"
        elif status != message.status:
            yield "failed", f"{message.id} {message.token}: {status}, not {message.status}"
    if [row for row in tool if row[0]]:
        yield "stale tool", f"{tool}"


def check_rows(story, rows):
    """Each text once, in order, and nothing else."""
    script_died = any("the agent is not woken" in c.stderr for c in story.containers)
    texts = collections.Counter(text_of(row) for row in rows)
    wanted = collections.Counter(text for m in story.messages for text in m.texts)
    for text, count in wanted.items():
        # "Error or no output": a script that was killed, or could not be read, wakes nobody.
        if script_died and text in story.by_script:
            continue
        # A file that could not be sent is told of in words; so is one of which no tool said that it
        # was sent.
        words = text.replace("file ", "nofile ")
        found = max(texts[text], texts[words])
        if found < count:
            yield "lost", f"{text!r}: {found} rows"
        if found > count:
            early = text.split()[0] in ("first", "tool", "file")
            yield "said again" if early else "twice", f"{text!r}: {found} rows"
    known = set(wanted) | {t.replace("file ", "nofile ") for t in wanted}
    for row in rows:
        if text_of(row) not in known:
            yield "odd row", f"{text_of(row)!r}"
        route = (row["channel_type"], row["platform_id"], row["thread_id"])
        if route != PLACE:
            yield "wrong place", f"{text_of(row)!r}: {route}"
    answered = [TOKEN.search(text_of(row) or "") for row in rows
                if (text_of(row) or "").startswith("re ")]
    order = [match.group() for match in answered if match]
    if order != sorted(order):
        yield "order", f"{order}"


def check_numbers(rows):
    numbers = [row["seq"] for row in rows]
    if any(n % 2 == 0 for n in numbers):
        yield "seq", f"even: {numbers}"
    if any(a >= b for a, b in zip(numbers, numbers[1:])):
        yield "seq", f"not rising: {numbers}"


def check_files(story, rows, fault):
    workspace = story.session.workspace
    odd = {p.name for p in workspace.iterdir()} - KNOWN_FILES
    if odd:
        yield "stray file", f"{sorted(odd)}"
    agent = {p.name for p in (workspace / "agent").iterdir()} - {
        "container.json", "note.txt", "conversations"}
    if agent:
        yield "stray file", f"agent: {sorted(agent)}"
    files = {row["id"]: set(json.loads(row["content"])["files"]) for row in rows
             if "files" in json.loads(row["content"])}
    outbox = workspace / "outbox"
    folders = {p.name: {f.name for f in p.iterdir()} for p in outbox.iterdir()} \
        if outbox.exists() else {}
    for name in sorted(set(files) | set(folders)):
        if files.get(name) != folders.get(name):
            yield "outbox", f"{name}: row {files.get(name)}, folder {folders.get(name)}"
    home = [str(p.relative_to(story.session.home)) for p in story.session.home.rglob("*")]
    # Where nothing can be removed any more, the runtime directory stays.
    if home and (fault.mode, fault.family) != ("errors", "unlink"):
        yield "stray file", f"home: {home}"


def check_containers(story, fault):
    for container in story.containers:
        code = container.code
        killed = fault.kills and story.watch.fired
        allowed = {0} if container.stopped else CODES_AT_START
        if killed:
            allowed = allowed | {-9, 137, 0}
            # SIGTERM came between two loops.
            allowed = allowed | ({143} if container.stopped else set())
        if container.stopped:
            # It came before the first instruction.
            allowed = allowed | {-15}
        if fault.fails:
            allowed = allowed | CODES_AT_START
        if code not in allowed:
            yield "exit code", f"{code}"
        if container.left and code >= 0:
            yield "process left", f"{container.left}, exit code {code}"
        found = SANITIZER.search(container.stderr)
        if found:
            yield "sanitizer", container.stderr[max(0, found.start() - 200):found.end() + 1500]
        if not fault.kills and "crashed with signal" in container.stderr:
            yield "crash", next(line for line in container.stderr.splitlines()
                                if "crashed with signal" in line)


def must_be_said(story, fault):
    """
    Is it a failure that somebody must hear of? Not where there is another way, where it is a tool's
    answer to the agent, or where SQLite goes on without (the sync of a folder).
    """
    call = story.watch.call
    if fault.role not in ("init", "loop") or "outbound.db" not in call:
        return False
    # A lock that is in somebody's way is waited for; one that cannot be given up, given up later.
    return not (call.startswith("loop fcntl") or call.startswith("loop flock"))


def check_said(story, fault):
    """What the system refused is said once, with what it was."""
    if fault.mode not in ("error", "errors") or not story.watch.fired:
        return
    said = [line for c in story.containers for line in c.stderr.splitlines()
            if "warning: " in line or "error: " in line]
    # The story has a row of its own that is warned of.
    said = [line for line in said if 'unknown kind "odd"' not in line]
    if not said and must_be_said(story, fault):
        yield "unsaid", story.watch.call
    if len(said) > 12:
        yield "said too often", f"{len(said)} lines, such as {said[-1]}"


def check(story, fault):
    found = [("silence" if note.startswith("silence") else "host", note) for note in story.notes]
    try:
        story.check_inbound()
        found += [("host", note) for note in story.notes[len(found):]]
        rows = rows_of(story)
        for part in (check_databases(story), check_acks(story), check_rows(story, rows),
                     check_numbers(rows), check_files(story, rows, fault),
                     check_containers(story, fault), check_said(story, fault)):
            found += part
    except (sqlite3.Error, OSError, ValueError) as error:
        found.append(("unreadable", f"{type(error).__name__}: {error}"))
    return found
