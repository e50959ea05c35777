# SPDX-License-Identifier: MIT
"""
Points and lines as SVG: svg(title, x, y, lines) returns the text of a file.

The same numbers give the same bytes. Colours follow the reader's light or dark mode, lines differ by
dashes and marks too, and each point says its values in a <title>, for the mouse and screen readers.
"""
import dataclasses
import html
import math

WIDTH, HEIGHT = 760, 400
LEFT, RIGHT, TOP, BOTTOM = 84, 28, 44, 58
LEGEND_ROW = 20

# Told apart without colour, too.
DASHES = ("none", "7 4", "2 3", "9 3 2 3", "12 6")
STYLE = """
.paper { fill: #ffffff } text { fill: #1f2328; font: 13px sans-serif } .head { font-weight: bold }
.grid { stroke: #d1d9e0 } .frame { stroke: #59636e; fill: none }
.l0 { stroke: #0550ae } .l1 { stroke: #b35900 } .l2 { stroke: #1a7f37 } .l3 { stroke: #8250df }
.l4 { stroke: #a40e26 } .line { fill: none; stroke-width: 2 } circle { stroke-width: 2 }
.paper, circle { fill: #ffffff }
@media (prefers-color-scheme: dark) {
.paper, circle { fill: #0d1117 } text { fill: #e6edf3 } .grid { stroke: #30363d }
.frame { stroke: #9198a1 } .l0 { stroke: #79c0ff } .l1 { stroke: #ffa657 } .l2 { stroke: #7ee787 }
.l3 { stroke: #d2a8ff } .l4 { stroke: #ff7b72 } }
""".strip()


@dataclasses.dataclass
class Axis:
    """is_log: ticks at powers of ten; a value of 0 then stands a step below the smallest other one."""
    label: str
    is_log: bool = False


@dataclasses.dataclass
class Line:
    label: str
    points: list  # of (x, y), as they are to be joined


def short(value):
    """A number as a person reads it: 0, 0.25, 12, 1,000, 1M."""
    if value >= 1e6 and value % 1e5 == 0:
        return f"{value / 1e6:g}M"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{float(f'{value:.3g}'):g}"


class _Scale:
    """Values of one axis to a place between start and end, in pixels."""

    def __init__(self, axis, values, start, end):
        self.is_log, self.start, self.end = axis.is_log, start, end
        if self.is_log:
            some = [v for v in values if v > 0] or [1]
            self.ticks = [10.0 ** n for n in range(
                math.floor(math.log10(min(some)) + 1e-9), math.ceil(math.log10(max(some)) - 1e-9) + 1)]
            if len(self.ticks) == 1:
                self.ticks.append(self.ticks[0] * 10)
            self.below = self.ticks[0] / 10
            if len(self.ticks) <= 3:
                # Too few to read a value from.
                self.ticks = sorted(self.ticks + [t * n for t in self.ticks[:-1] for n in (2, 5)])
            if min(values) <= 0:
                self.ticks.insert(0, 0)
        else:
            self.ticks = _round_steps(max([*values, 0]))
        self.low, self.high = self._plain(self.ticks[0]), self._plain(self.ticks[-1])

    def _plain(self, value):
        return math.log10(value if value > 0 else self.below) if self.is_log else value

    def place(self, value):
        share = (self._plain(value) - self.low) / (self.high - self.low)
        return f"{self.start + share * (self.end - self.start):.1f}"


def _round_steps(top):
    """0 and up to six steps of 1, 2 or 5 times a power of ten, the last one at or above top."""
    top = top or 1
    step = 10.0 ** math.floor(math.log10(top / 6))
    step *= next(n for n in (1, 2, 5, 10) if top / (step * n) <= 6)
    return [step * i for i in range(math.ceil(top / step - 1e-9) + 1)]


def _text(x, y, words, anchor="middle", more=""):
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}"{more}>{html.escape(words)}</text>'


def _axes(x, y, x_scale, y_scale, bottom):
    for tick in x_scale.ticks:
        at = x_scale.place(tick)
        yield f'<path class="grid" d="M{at} {TOP}V{bottom}"/>'
        yield _text(at, bottom + 20, short(tick))
    for tick in y_scale.ticks:
        at = y_scale.place(tick)
        yield f'<path class="grid" d="M{LEFT} {at}H{WIDTH - RIGHT}"/>'
        yield _text(LEFT - 8, f"{float(at) + 4:.1f}", short(tick), "end")
    yield f'<path class="frame" d="M{LEFT} {TOP}V{bottom}H{WIDTH - RIGHT}"/>'
    yield _text((LEFT + WIDTH - RIGHT) // 2, bottom + 44, x.label)
    middle = (TOP + bottom) // 2
    yield _text(18, middle, y.label, more=f' transform="rotate(-90 18 {middle})"')


def _line(number, line, x_scale, y_scale):
    style = f'class="line l{number % 5}" stroke-dasharray="{DASHES[number % len(DASHES)]}"'
    places = [(x_scale.place(x), y_scale.place(y)) for x, y in line.points]
    yield f'<path {style} d="M{"L".join(f"{x} {y}" for x, y in places)}"/>'
    for (x, y), (at_x, at_y) in zip(line.points, places):
        yield (f'<circle class="l{number % 5}" cx="{at_x}" cy="{at_y}" r="4">'
               f"<title>{html.escape(line.label)}: {short(x)}, {short(y)}</title></circle>")


def _legend(number, line, bottom):
    y = bottom + BOTTOM + number * LEGEND_ROW
    yield (f'<path class="line l{number % 5}" stroke-dasharray="{DASHES[number % len(DASHES)]}" '
           f'd="M{LEFT} {y - 4}h40"/>')
    yield _text(LEFT + 50, y, line.label, "start")


def svg(title, x, y, lines):
    """x, y: Axis; lines: Line objects with at least one point each."""
    if not lines or not all(line.points for line in lines):
        raise ValueError(f"nothing to plot: {title}")
    bottom = HEIGHT - BOTTOM
    x_scale = _Scale(x, [p[0] for line in lines for p in line.points], LEFT, WIDTH - RIGHT)
    y_scale = _Scale(y, [p[1] for line in lines for p in line.points], bottom, TOP)
    height = HEIGHT + LEGEND_ROW * len(lines)
    told = f"{y.label} against {x.label}: {', '.join(line.label for line in lines)}"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{html.escape(title)}</title>", f"<desc>{html.escape(told)}</desc>",
        f"<style>{STYLE}</style>",
        f'<rect class="paper" width="{WIDTH}" height="{height}"/>',
        _text(LEFT, 26, title, "start", ' class="head"'),
        *_axes(x, y, x_scale, y_scale, bottom)]
    for number, line in enumerate(lines):
        parts += [*_line(number, line, x_scale, y_scale), *_legend(number, line, bottom)]
    return "\n".join([*parts, "</svg>"]) + "\n"
