# SPDX-License-Identifier: MIT
"""
Tables and plots of bench/growth.py: update(page, name, machine, rows) replaces what stands in the page
between the marks of that name, and writes its plots into the folder that is called like the page.
"""
import dataclasses
import re

import plot

LATENCY = plot.Axis("milliseconds", is_log=True)
CPU = plot.Axis("CPU milliseconds a message", is_log=True)
MEMORY = plot.Axis("MB")


@dataclasses.dataclass
class Column:
    key: str
    heading: str
    digits: int = None  # behind the point; None: as it is


@dataclasses.dataclass
class Plot:
    file: str
    title: str
    axis: plot.Axis
    keys: tuple  # of the columns that are its lines


@dataclasses.dataclass
class Curve:
    """columns: the first one is the size, the x of all plots, unless there are none."""
    columns: list
    axis: plot.Axis = None
    plots: tuple = ()


def _steps(size):
    """The columns of a curve whose sizes are messages."""
    return [
        Column("size", size, 0),
        Column("claim", "commit to claim, ms", 2),
        Column("answer", "commit to completed, ms", 2),
        Column("cpu", "CPU a message, ms", 3),
        Column("pss_pid1", "PID 1 PSS at rest, MB", 2),
        Column("pss_loop", "loop PSS at rest, MB", 2),
        Column("rss_loop", "loop RSS after a message, MB", 2),
        Column("peak", "loop RSS, highest, MB", 2),
    ]


def _plots(name, against):
    return (Plot(f"{name}-latency", f"Latency against {against}", LATENCY, ("claim", "answer")),
            Plot(f"{name}-cpu", f"CPU time against {against}", CPU, ("cpu",)),
            Plot(f"{name}-memory", f"Memory against {against}", MEMORY,
                 ("pss_pid1", "pss_loop", "peak")))


CURVES = {
    "history": Curve([*_steps("rows of history"), Column("start", "start to first claim, ms", 1)],
                     plot.Axis("rows of history", is_log=True),
                     (*_plots("history", "history"),
                      Plot("history-start", "Start against history", LATENCY, ("start",)))),
    "batch": Curve(_steps("messages in a commit"), plot.Axis("messages in a commit and a prompt", True),
                   _plots("batch", "batch size")),
    "burst": Curve([*_steps("messages in a commit"), Column("rate", "answered a second", 0)],
                   plot.Axis("messages in a commit, prompts of 10", True), _plots("burst", "a burst")),
    "size": Curve(_steps("bytes of text"), plot.Axis("bytes of text", True),
                  _plots("size", "message size")),
    "sessions": Curve(
        [Column("size", "sessions", 0), Column("pss", "PSS of all, MB", 1),
         Column("pss_each", "PSS of each, MB", 2), Column("idle", "idle CPU of all, % of a core", 3),
         Column("answer", "one message each: median, ms", 1), Column("worst", "worst, ms", 1),
         Column("all", "until all are answered, ms", 0), Column("cpu", "CPU a message, ms", 2),
         Column("polling", "without inotify", 0)],
        plot.Axis("sessions at once"),
        (Plot("sessions-memory", "Memory against sessions", MEMORY, ("pss",)),
         Plot("sessions-idle", "Idle CPU against sessions", plot.Axis("% of a core"), ("idle",)),
         Plot("sessions-latency", "One message each, against sessions", plot.Axis("milliseconds"),
              ("answer", "worst", "all")))),
    "idle": Curve([Column("agent", "agent"), Column("state", "session"),
                   Column("one", "PSS of one, MB", 1), Column("hundred", "of 100, MB", 0),
                   Column("resume", "next message to completed answer, ms", 1)]),
}


def _cell(column, row):
    value = row[column.key]
    return str(value) if column.digits is None else f"{value:,.{column.digits}f}"


def _table(curve, rows):
    yield f"| {' | '.join(column.heading for column in curve.columns)} |"
    yield f"|{' --- |' * len(curve.columns)}"
    for row in rows:
        yield f"| {' | '.join(_cell(column, row) for column in curve.columns)} |"


def _svg(curve, one, rows):
    headings = {column.key: column.heading for column in curve.columns}
    size = curve.columns[0].key
    return plot.svg(one.title, curve.axis, one.axis, [
        plot.Line(headings[key], [(row[size], row[key]) for row in rows]) for key in one.keys])


def update(page, name, machine, rows):
    """SystemExit: the page has no marks of that name."""
    curve, folder = CURVES[name], page.with_suffix("")
    folder.mkdir(exist_ok=True)
    block = [f"Measured on {machine}.", "", *_table(curve, rows), ""]
    for one in curve.plots:
        (folder / f"{one.file}.svg").write_text(_svg(curve, one, rows), encoding="utf-8")
        block += [f"![{one.title}]({folder.name}/{one.file}.svg)", ""]
    begin, end = f"<!-- growth {name}: begin -->", f"<!-- growth {name}: end -->"
    text, count = re.subn(f"{re.escape(begin)}.*?{re.escape(end)}",
                          lambda _: "\n".join([begin, "", *block]) + end,
                          page.read_text(encoding="utf-8"), flags=re.DOTALL)
    if count != 1:
        raise SystemExit(f"growth: {page}: there has to be one {begin} and one {end} behind it")
    page.write_text(text, encoding="utf-8")
