# SPDX-License-Identifier: MIT
"""
What a hostile agent tries in real containers, started as its session's agent, and what comes of it.
settings.py says what is to be denied where, and what is open, and why.
"""
import os
import subprocess

import fleet
import pytest
from settings import ROWS, SETTINGS

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")


@pytest.fixture(scope="module", autouse=True)
def no_folder_left():
    yield
    fleet.forget()


def test_every_attempt_has_a_row():
    assert sorted(fleet.attempts()) == sorted(ROWS)
    assert len(ROWS) > 200


@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", ROWS)
def test_attempt(name, setting):
    row = fleet.seen(setting).rows[name]
    if ROWS[name].open_in(setting) is None:
        assert row["verdict"] in ("denied", "absent"), row
    elif fleet.seen("unconfined")[name]["verdict"] != "absent":
        assert row["verdict"] == "succeeded", row


@pytest.mark.parametrize("setting", SETTINGS)
def test_nothing_is_lost_by_the_attempts(setting):
    seen = fleet.seen(setting)
    before, after = seen.inbound
    # The host has written the questions, nobody else anything.
    assert {**after, "messages_in": None} == {**before, "messages_in": None}
    assert set(before["messages_in"]) < set(after["messages_in"])
    before, after = seen.outbound
    assert set(before["messages_out"]) < set(after["messages_out"])
    asked = -(-len(ROWS) // fleet.AT_ONCE)
    assert len(after["messages_out"]) == len(before["messages_out"]) + asked
    assert seen.names[0] == seen.names[1]
    assert seen.pids[0] == seen.pids[1]
    assert seen.answer == "still here"
    assert seen.exit_code == 0


# Where the loop or a user namespace is not in the way; on the machine itself what no container has.
PLACES = ["off", "bare"]


def is_seen(name):
    return any(fleet.seen(place).rows[name]["verdict"] == "succeeded" for place in PLACES)


def on_the_machine(name):
    """Of what a PID namespace takes from root, and of a descriptor that is left open."""
    with open("/dev/null", encoding="ascii") as file:
        done = subprocess.run([fleet.build() / "agent", "--attempt", name], capture_output=True,
                              text=True, check=True, pass_fds=[file.fileno()])
    return '"verdict":"succeeded"' in done.stdout


@pytest.mark.parametrize("name", ROWS)
def test_attempts_work(name):
    """A denial tells nothing of an attempt that cannot succeed."""
    verdict = fleet.seen("unconfined")[name]["verdict"]
    if name in ("reboot", "inherited-descriptors"):
        assert on_the_machine(name)
    elif not is_seen(name) and verdict != "succeeded":
        assert verdict == "absent", fleet.seen("unconfined")[name]
