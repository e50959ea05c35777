# SPDX-License-Identifier: MIT
"""What is to go wrong, as shim.c reads it: state.h's file, and the environment that leads there."""
import ctypes
import dataclasses
import errno
import mmap
import os
import pathlib

ROOT = pathlib.Path(__file__).resolve().parents[2]

# As in state.h.
MAGIC = 0x46415554
ROLES = ("init", "loop", "relay", "agent", "confine", "other")
FAMILIES = ("open", "write", "send", "sync", "truncate", "rename", "link", "unlink", "mkdir", "lock",
            "proc")
MODES = ("count", "kill", "kill-container", "error", "errors")
# Of most faults: but for the last, whose number differs from run to run.
EVERY_FAMILY = (1 << len(FAMILIES) - 1) - 1
DISK = 1 << 31

# Families by the name that a fault gives them; "disk": all that a full disk refuses.
MASKS = {
    "all": EVERY_FAMILY,
    "disk": DISK | sum(1 << FAMILIES.index(f) for f in (
        "open", "write", "sync", "truncate", "rename", "link", "mkdir")),
    **{name: 1 << i for i, name in enumerate(FAMILIES)},
}


class State(ctypes.Structure):
    """state.h's struct."""
    _fields_ = [
        *((name, ctypes.c_uint32) for name in (
            "magic", "mode", "role", "families", "nth", "error", "mended", "init_pid", "seen",
            "fired", "failed")),
        ("counts", (ctypes.c_uint32 * len(FAMILIES)) * len(ROLES)),
        ("call", ctypes.c_char * 160),
    ]


@dataclasses.dataclass(frozen=True)
class Fault:
    """
    At the nth call of this family by this role; error: a name of errno, for the modes error and
    errors. Of the role "disk" the mode is a kind of file system, and nth says when it is full; of
    the role "stop" it is what the agent does in the turn in which SIGTERM comes.
    """
    role: str = "loop"
    mode: str = "count"
    nth: int = 0
    family: str = "all"
    error: str = None

    @property
    def kills(self):
        return self.mode in ("kill", "kill-container")

    @property
    def fails(self):
        """Do calls return errors?"""
        return self.mode in ("error", "errors") or self.role == "disk"

    @property
    def row(self):
        """Where it stands in the report."""
        more = f" {self.family} {self.error}" if self.error else ""
        return f"{self.role} {self.mode}{more}"

    @property
    def words(self):
        """As run.py --one takes it."""
        more = [self.family, self.error] if self.error else []
        return [self.role, self.mode, *more, str(self.nth)]

    @staticmethod
    def parse(words):
        if len(words) == 3:
            return Fault(words[0], words[1], int(words[2]))
        role, mode, family, error, nth = words
        return Fault(role, mode, int(nth), family, error)


class Watch:
    """The file of one session: prepared before it starts, looked at while it runs."""

    def __init__(self, fault, path):
        self.path = path
        path.write_bytes(bytes(ctypes.sizeof(State)))
        # Whoever the processes run as.
        path.chmod(0o666)
        with open(path, "r+b") as file:
            self._map = mmap.mmap(file.fileno(), ctypes.sizeof(State))
        self.state = State.from_buffer(self._map)
        self.state.magic = MAGIC
        self.state.mode = MODES.index(fault.mode if fault.role in ROLES else "count")
        self.state.role = ROLES.index(fault.role) if fault.role in ROLES else 0
        self.state.families = MASKS[fault.family]
        self.state.nth = fault.nth
        self.state.error = getattr(errno, fault.error) if fault.error else 0

    @property
    def fired(self):
        return self.state.fired != 0

    @property
    def call(self):
        return self.state.call.decode(errors="replace")

    def mend(self):
        self.state.mended = 1

    def counts(self):
        """Role -> family -> calls, without those that made none."""
        found = {}
        for i, role in enumerate(ROLES):
            calls = {f: self.state.counts[i][j] for j, f in enumerate(FAMILIES)}
            found[role] = {f: n for f, n in calls.items() if n}
        return found


class Parts:
    """The programs, where any user can execute them."""

    def __init__(self, build, folder):
        self.shim = folder / "fault-shim.so"
        self.agent = folder / "fault-agent"
        self.preload = []
        for name in (self.shim, self.agent):
            source = ROOT / build / "tests/faults" / name.name
            if not source.exists():
                raise FileNotFoundError(f"{source}: build it first")
            name.write_bytes(source.read_bytes())
            name.chmod(0o755)
        sanitizer = _sanitizer(ROOT / build / "agent-runner")
        if sanitizer:
            # Before all others, as it asks for.
            self.preload.append(sanitizer)
        self.preload.append(str(self.shim))

    def environment(self, state_path):
        return {
            "LD_PRELOAD": ":".join(self.preload),
            "FAULT_STATE": str(state_path),
            "AGENT_CLAUDE_PATH": str(self.agent),
            "AGENT_RETRY_MS": "20",
            "ASAN_OPTIONS": "detect_leaks=0:exitcode=99:verify_asan_link_order=0",
            "UBSAN_OPTIONS": "print_stacktrace=1",
        }


def _sanitizer(binary):
    """The path of the runtime that this program was linked with; None: it was not."""
    needed = os.popen(f"ldd {binary}").read().splitlines()
    return next((line.split("=>")[1].split()[0] for line in needed if "libasan" in line), None)
