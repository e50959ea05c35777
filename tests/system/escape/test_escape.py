# SPDX-License-Identifier: MIT
"""
What a hostile agent tries in real containers, started as its session's agent, and what comes of it.
settings.py says what is to be denied where, and what is open, and why.
"""
import contextlib
import os
import subprocess

import fleet
import pytest
from containers import podman_path, status
from settings import ROWS, SETTINGS, Setting

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="needs root's podman")


@pytest.fixture(scope="module", autouse=True)
def prepared():
    """Once, whatever comes of it: an image that does not build fails all tests at once."""
    podman_path()
    fleet.build()
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
    elif not fleet.is_absent(name):
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


# What a PID namespace takes from root; what somebody has to leave open.
ON_THE_MACHINE = ["reboot", "inherited-descriptors"]
# What needs a capability that a machine's root may lack, as in some virtual machines.
CAPABILITIES = {"raise-limit": 24}


def on_the_machine(name):
    with open("/dev/null", encoding="ascii") as file:
        done = subprocess.run([fleet.build() / "agent", "--attempt", name], capture_output=True,
                              text=True, check=True, pass_fds=[file.fileno()])
    return '"verdict":"succeeded"' in done.stdout


def has_capability(number):
    return int(status("self")["CapEff"][0], 16) >> number & 1


@pytest.mark.parametrize("name", ROWS)
def test_attempts_work(name):
    """A denial tells nothing of an attempt that cannot succeed."""
    if name in ON_THE_MACHINE:
        assert on_the_machine(name)
    elif name in CAPABILITIES and not has_capability(CAPABILITIES[name]):
        assert fleet.seen("unconfined")[name]["errno"] == "EPERM"
    else:
        assert fleet.works(name) or fleet.is_absent(name), fleet.seen("unconfined")[name]


def test_the_agent_cannot_write_its_own_rights():
    """Where container.json is no mount the agent writes it: the next start does not go by it."""
    setting = Setting("", is_config_hosts=False, config={
        "sandbox": {"write": ["/workspace"], "userns": "allow",
                    "protections": {"LANDLOCK": "off", "SECCOMP": "off"}}})
    session = fleet.make_session(setting)
    with contextlib.closing(session), fleet.Attack(session, setting) as attack:
        names = ["read-inbound", "create-in-workspace", "unshare-user", "write-config"]
        verdicts = {name: row["verdict"] for name, row in attack.attempt(names).items()}
        assert verdicts == {"read-inbound": "denied", "create-in-workspace": "denied",
                            "unshare-user": "denied", "write-config": "succeeded"}
