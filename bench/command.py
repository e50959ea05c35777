# SPDX-License-Identifier: MIT
"""Command mode against the inits, each as PID 1 of a PID namespace."""
import itertools
import os
import statistics

import peers
import session as sessions
from programs import UID, copied, output, program
from table import Goal, Row, ms, percentile, ratio_of, us


_numbers = itertools.count(1)


def candidates():
    """
    name -> the words before a command; alone: none, the command is PID 1. All are copies that were just
    made: what is not used for minutes can leave the cache, and come back in other pages.
    """
    number = next(_numbers)
    inits = {"agent-runner": [sessions.runner_path()], **peers.inits()}
    return {"alone": [], **{name: [str(copied(path, f"{name}-{number}"))]
                            for name, (path,) in inits.items()}}


def joined(names, *command):
    """The commands for a program that runs all of them in turn."""
    words = []
    for init in names.values():
        words += [*init, *command, "--"]
    return words[:-1]


def columns(names, lines):
    return dict(zip(names, map(list, zip(*lines))))


def told(figures, show):
    return peers.told({name: show(value) for name, value in figures.items()})


def start_and_end(names, rounds, uid, **options):
    """name -> what it takes with an empty command, in each round; and over the command alone."""
    taken = columns(names, output("spawn", rounds, uid, *joined(names, program("empty")),
                                  **options))
    return taken, {name: statistics.median(a - b for a, b in zip(taken[name], taken["alone"]))
                   for name in names}


def measure_command(pace):
    names = candidates()
    taken, over = start_and_end(names, pace.rounds * 10, UID)
    alone, here = statistics.median(taken["alone"]), over["agent-runner"]
    yield Row("command mode: start and end, over the command alone", f"+ {ms(here)}",
              ratio_of(taken["agent-runner"], taken["alone"]),
              Goal("≤ tini's", here, over.get("tini"), ms),
              f"exec of an empty static program as PID 1, and its end, {ms(alone)}",
              told(over, lambda value: f"+ {ms(value)}"))
    yield unfiltered(pace, names)
    yield from as_root(pace, names)


def unfiltered(pace, names):
    """What the others do, too: none of them has a filter of system calls."""
    environment = {**os.environ, "AGENT_PROTECTION_SECCOMP": "off"}
    taken, over = start_and_end(names, pace.rounds * 10, UID, env=environment)
    return Row("the same without its filter of system calls", f"+ {ms(over['agent-runner'])}",
               ratio_of(taken["agent-runner"], taken["alone"]),
               Goal("≤ tini's", over["agent-runner"], over.get("tini"), ms), "the same",
               told(over, lambda value: f"+ {ms(value)}"))


def as_root(pace, names):
    """A container's usual start: as root, who makes the command the user's."""
    figure = "command mode by root, with the command's rights dropped, over the command alone"
    if os.getuid() != 0:
        yield Row(figure, "not here: for root only")
        return
    taken, over = start_and_end(names, pace.rounds * 3, 0)
    yield Row(figure, f"+ {ms(over['agent-runner'])}",
              ratio_of(taken["agent-runner"], taken["alone"]), "", "the same",
              told(over, lambda value: f"+ {ms(value)}"))


def measure_orphans(pace):
    names, count = candidates(), pace.orphans
    taken = {name: [] for name in names}
    for i in range(pace.orphan_rounds):
        for name in [*list(names)[i % len(names):], *list(names)[:i % len(names)]]:
            # The second line is of spawn: the whole run.
            taken[name].append(output("spawn", 1, UID, *names[name], program("orphans"),
                                      count)[0][0])
    best = {name: min(values) for name, values in taken.items()}
    yield Row(f"{count:,} orphans die at once: until all are collected, best of "
              f"{pace.orphan_rounds}", ms(best["agent-runner"], 0),
              best["agent-runner"] / best["alone"],
              Goal("≤ catatonit's", best["agent-runner"], best.get("catatonit"), ms),
              f"a bare loop of waitpid, which takes its time itself, {ms(best['alone'], 0)}",
              told(best, lambda value: ms(value, 0)))


def measure_forward(pace):
    names = candidates()
    taken = columns(names, output("forward", pace.rounds * 10, UID, *joined(names)))
    middle = {name: statistics.median(values) for name, values in taken.items()}
    late = {name: percentile(values, 0.99) for name, values in taken.items()}
    for share, figures in (("p50", middle), ("p99", late)):
        here = figures["agent-runner"]
        yield Row(f"SIGUSR1 to PID 1 until its child has it, {share}", us(here),
                  here / figures["alone"], Goal("≤ tini's", here, figures.get("tini"), us),
                  f"straight to the child {us(figures['alone'])}", told(figures, us))
