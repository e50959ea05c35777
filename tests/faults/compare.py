#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""
The same kills for two runners: agent-runner, and one that PEER_RUNNER names.

    PEER_RUNNER='bun /srv/runner/src/index.ts' tests/faults/compare.py [--kills N]

A session of six messages, on a folder that the runner finds at /workspace, with the agent of these
tests as /pnpm/claude. The container is killed once, each time at another instant of the session,
and started again as a host does it. A message without its answer is lost; one with two answers, or
with the same words twice, is doubled. Needs root, for namespaces of its own.
"""
import argparse
import collections
import os
import pathlib
import shlex
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE.parent / "system"))

import session as sessions  # noqa: E402

AGENT = ROOT / "build/tests/faults/fault-agent"
SILENCE = 15.0
TICK = 0.005

# A root whose folders are this machine's, and /workspace and /pnpm what a host would mount there.
CONTAINER = r"""
set -eu
workspace=$1 agent=$2; shift 2
mount -t tmpfs none "$PWD"
cd "$PWD"
for entry in /*; do
	name=${entry#/}
	if [ -L "$entry" ]; then
		cp -P "$entry" .
	elif [ -d "$entry" ] && [ "$name" != workspace ] && [ "$name" != pnpm ]; then
		mkdir "$name"
		mount --rbind "$entry" "$name"
	fi
done
mkdir -p workspace pnpm
mount --bind "$workspace" workspace
cp "$agent" pnpm/claude
mount -t proc proc proc
mount -t tmpfs -o mode=1777 none tmp
exec chroot . "$@"
"""


class Run:
    """One session; kill_at: seconds after its first start, None: never."""

    def __init__(self, command, kill_at):
        self.command = command
        self.kill_at = kill_at
        self.session = sessions.Session(provider="claude")
        self.root = tempfile.mkdtemp(prefix="agent-runner-compare-")
        self.process = None
        self.tokens = []
        self.began_at = self.news_at = time.monotonic()
        self.was_killed = False
        self.seen = 0

    def _start(self):
        self.process = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation", "private",
             "sh", "-c", CONTAINER, "sh", str(self.session.workspace), str(AGENT), *self.command],
            cwd=self.root, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=(open(os.environ["COMPARE_LOG"], "ab") if "COMPARE_LOG" in os.environ else subprocess.DEVNULL), env={
                "PATH": os.environ["PATH"], "HOME": "/root", "TZ": "UTC", "AGENT_RETRY_MS": "20",
                "ANTHROPIC_API_KEY": "none", "FAULT_SLOW_MS": "1500"})

    def _stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def _kill(self):
        """As the host sees it: the container is gone, and what it had claimed is nobody's."""
        self._stop()
        self.was_killed = True
        with sessions._Transaction(self.session.outbound) as db:  # pylint: disable=protected-access
            db.execute("DELETE FROM processing_ack WHERE status = 'processing'")
        self._start()
        self.news_at = time.monotonic()

    def _say(self, *words):
        rows = []
        for text in words:
            self.tokens.append(f"tok-{len(self.tokens) + 1:03}")
            rows.append({"content": {"text": f"{text} {self.tokens[-1]}", "sender": "Ann"}})
        self.session.add_rows(rows)
        self.news_at = time.monotonic()

    def _query(self, text):
        try:
            db = sqlite3.connect(f"file:{self.session.outbound}?mode=ro", uri=True, timeout=1)
            try:
                return [row[0] for row in db.execute(text)]
            finally:
                db.close()
        except sqlite3.OperationalError:
            return []

    def texts(self):
        return self._query("SELECT json_extract(content, '$.text') FROM messages_out")

    def _claimed(self):
        """Is the last message taken up?"""
        count = self._query("SELECT count(*) FROM processing_ack") or [0]
        return count[0] == len(self.tokens)

    def _wait(self, probe):
        """Until probe() is true, or nothing happens any more."""
        while not probe():
            texts = self.texts()
            if len(texts) != self.seen:
                self.seen, self.news_at = len(texts), time.monotonic()
            now = time.monotonic()
            if not self.was_killed and self.kill_at and now > self.began_at + self.kill_at:
                self._kill()
            elif self.process.poll() is not None:
                self._start()
            if now > self.news_at + SILENCE:
                return
            time.sleep(TICK)

    def _answered(self):
        texts = self.texts()
        return all(f"re {token}" in texts for token in self.tokens)

    def run(self):
        """Tokens that have no answer, and texts that stand there more than once."""
        try:
            self._say("hello", "and hello")
            self._start()
            self.began_at = self.news_at = time.monotonic()
            for words in (("say-first slow",), ("slow",)):
                self._wait(self._answered)
                self._say(*words)
            self._wait(self._claimed)
            self._say("follow-up")
            self._wait(self._answered)
            self._say("bye")
            self._wait(self._answered)
            seconds = time.monotonic() - self.began_at
            # What comes too late to be waited for comes twice, if it does.
            time.sleep(1.5)
            counts = collections.Counter(self.texts())
            lost = [t for t in self.tokens if not counts[f"re {t}"]]
            return lost, [t for t, n in counts.items() if n > 1], seconds
        finally:
            self._stop()
            self.session.close()
            os.rmdir(self.root)


def measure(name, command, kills):
    lost, doubled, seconds = Run(command, None).run()
    if lost or doubled:
        raise SystemExit(f"{name}: without a kill {lost} are lost, {doubled} doubled")
    sums = collections.Counter()
    for i in range(kills):
        lost, doubled, _ = Run(command, seconds * (i + 0.5) / kills).run()
        sums.update(lost=len(lost), doubled=len(doubled), bad=bool(lost or doubled))
        print(f"{name}: kill {i + 1} of {kills}: lost {lost}, doubled {doubled}", flush=True)
    return sums


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=40)
    options = parser.parse_args()
    runners = {"agent-runner": [str(sessions.runner_path())]}
    if os.environ.get("PEER_RUNNER"):
        runners["peer"] = shlex.split(os.environ["PEER_RUNNER"])
    rows = {name: measure(name, command, options.kills) for name, command in runners.items()}
    print("\nkills  sessions broken  messages lost  messages doubled  runner")
    for name, sums in rows.items():
        print(f"{options.kills:5}  {sums['bad']:15}  {sums['lost']:13}  {sums['doubled']:16}  {name}")


if __name__ == "__main__":
    sys.exit(main())
