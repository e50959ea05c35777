# SPDX-License-Identifier: MIT
"""bench/growth.py at its smallest: the curves are measured, their tables and plots are made. No figure counts."""
import os
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

import session as sessions

BENCH = sessions.ROOT / "bench"
PAGE = sessions.ROOT / "docs/performance.md"
SVG = "{http://www.w3.org/2000/svg}"

sys.path.insert(0, str(BENCH))

import growth_page  # noqa: E402
import plot  # noqa: E402

# Sizes of --quick; of idle: the agents' states.
SIZES = {"history": 2, "batch": 2, "burst": 2, "size": 2, "sessions": 2, "idle": 2}


def block(page, name):
    """What stands between the marks, without the sentence on the machine."""
    begin, end = f"<!-- growth {name}: begin -->", f"<!-- growth {name}: end -->"
    return page.read_text(encoding="utf-8").split(begin)[1].split(end)[0]


def table(text):
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    return rows[0], rows[2:]


def circles(path):
    root = xml.etree.ElementTree.parse(path).getroot()
    assert root.tag == f"{SVG}svg" and root.find(f"{SVG}title").text
    return [circle.find(f"{SVG}title").text for circle in root.iter(f"{SVG}circle")]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """A page with nothing between its marks, and what growth.py put there."""
    if os.getuid() != 0:
        pytest.skip("the memory of a process that is not dumpable is shown to root only")
    page = tmp_path_factory.mktemp("growth") / "performance.md"
    shutil.copy(PAGE, page)
    page.write_text(re.sub("(begin -->).*?(<!-- growth)", r"\1\n\2", page.read_text(), flags=re.S))
    before = set(sessions.descendants(os.getpid()))
    result = subprocess.run(
        [sys.executable, BENCH / "growth.py", "--quick", f"--page={page}"], check=False, timeout=120,
        env={**os.environ, "AGENT_RUNNER": str(sessions.runner_path())}, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    left = set(sessions.descendants(os.getpid())) - before
    assert not any(sessions.is_alive(pid) for pid in left), "growth.py left processes behind"
    return page


@pytest.mark.parametrize("name", SIZES)
def test_a_curve_is_measured_and_shown(page, name):
    text, curve = block(page, name), growth_page.CURVES[name]
    headings, rows = table(text)
    assert headings == [column.heading for column in curve.columns]
    assert len(rows) == SIZES[name]
    for row in rows:
        assert len(row) == len(headings)
        for column, cell in zip(curve.columns, row):
            assert column.digits is None or float(cell.replace(",", "")) >= 0
    for one in curve.plots:
        file = f"{page.stem}/{one.file}.svg"
        assert f"]({file})" in text
        assert len(circles(page.parent / file)) == len(rows) * len(one.keys)


@pytest.mark.parametrize("name", SIZES)
def test_the_page_in_docs_is_complete(name):
    """Nobody forgot to run it after a curve, a column or a plot was added."""
    text, curve = block(PAGE, name), growth_page.CURVES[name]
    assert table(text)[0] == [column.heading for column in curve.columns]
    shown = set(re.findall(r"\]\((performance/[^)]*\.svg)\)", text))
    assert shown == {f"performance/{one.file}.svg" for one in curve.plots}
    for file in shown:
        assert circles(PAGE.parent / file)


def test_no_plot_is_left_over():
    files = {path.stem for path in pathlib.Path(PAGE.with_suffix("")).glob("*")}
    assert files == {one.file for curve in growth_page.CURVES.values() for one in curve.plots}


def test_a_plot_says_its_points_and_is_the_same_each_time(tmp_path):
    def drawn():
        return plot.svg("A <title> & more", plot.Axis("rows", is_log=True), plot.Axis("ms"), [
            plot.Line("one", [(0, 1.5), (1000, 3), (1_000_000, 12.25)]),
            plot.Line("two & more", [(0, 0), (1000, 0), (1_000_000, 0)])])
    (tmp_path / "one.svg").write_text(drawn(), encoding="utf-8")
    assert circles(tmp_path / "one.svg") == [
        "one: 0, 1.5", "one: 1,000, 3", "one: 1M, 12.2",
        "two & more: 0, 0", "two & more: 1,000, 0", "two & more: 1M, 0"]
    assert drawn() == drawn()
    # 0 has a place of its own to the left of the others, and all points lie on the paper.
    root = xml.etree.ElementTree.parse(tmp_path / "one.svg").getroot()
    places = [float(circle.get("cx")) for circle in root.iter(f"{SVG}circle")][:3]
    assert plot.LEFT == places[0] < places[1] < places[2] <= plot.WIDTH - plot.RIGHT


@pytest.mark.parametrize("lines", [[], [plot.Line("none", [])]])
def test_nothing_is_not_plotted(lines):
    with pytest.raises(ValueError, match="nothing to plot: empty"):
        plot.svg("empty", plot.Axis("x"), plot.Axis("y"), lines)
