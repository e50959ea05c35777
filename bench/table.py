# SPDX-License-Identifier: MIT
"""A row of the table, what it is to be, and how its numbers are written."""
import dataclasses
import statistics

COLUMNS = ["figure", "here", "× floor", "goal", "floor in the same run", "peers in the same run",
           "peer, quoted"]


class NotHere(Exception):
    """This machine, or this user, cannot take the figure; the text says why."""


def ms(nanoseconds, digits=2):
    return f"{nanoseconds / 1e6:.{digits}f} ms"


def us(nanoseconds, digits=1):
    return f"{nanoseconds / 1e3:.{digits}f} µs"


def kb(kibibytes):
    """Of what the kernel calls kB."""
    return f"{kibibytes * 1.024:,.0f} KB"


def times(ratio):
    return f"{ratio:.2f} ×"


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def ratio_of(values, floors):
    """The median of what each round has: a drift of the machine meets both sides of it."""
    return statistics.median(a / b for a, b in zip(values, floors))


@dataclasses.dataclass
class Goal:
    """limit None: it is set by something that is not here. show() writes a difference."""
    text: str
    value: float
    limit: float
    show: callable
    at_least: bool = False

    def __str__(self):
        if self.limit is None:
            return f"{self.text}: nothing here to compare with"
        by = self.limit - self.value if self.at_least else self.value - self.limit
        return f"{self.text}: {'met' if by <= 0 else f'missed by {self.show(by)}'}"


@dataclasses.dataclass
class Row:
    figure: str
    here: str
    ratio: float = None
    goal: Goal = ""
    floor: str = ""
    peers: str = ""
    quoted: str = ""

    def __str__(self):
        ratio = "" if self.ratio is None else f"{self.ratio:.2f}"
        cells = [self.figure, self.here, ratio, str(self.goal), self.floor, self.peers, self.quoted]
        return line(cells)


def line(cells):
    return f"| {' | '.join(cells)} |"


def head(columns):
    return f"{line(columns)}\n{line(['---'] * len(columns))}"
