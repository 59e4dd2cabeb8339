"""The page's marked tables, and what it says of its figures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.page.table import compare_side_by_side, mark_ranking
from harness.report.readable import make_readable
from harness.report.tables import make_tables

Make = Callable[..., dict[str, Any]]


def test_the_ranking_has_a_bar_with_an_interval_for_each_speed(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    ranking = mark_ranking(analyse(run))
    assert ranking.table.headers[:3] == ["rank", "implementation", "sequences/s"]
    assert (ranking.named, ranking.marked) == (1, 2)
    for mark in ranking.marks:
        assert mark is not None
        assert mark.low is not None
        assert mark.high is not None
        assert 0 == mark.start < mark.low <= mark.at <= mark.high <= 100
    assert max(mark.high or 0 for mark in ranking.marks if mark) == 100
    speeds = [row[2] for row in ranking.table.values]
    assert speeds == sorted(speeds, reverse=True)


def test_what_failed_is_ranked_last_without_bar_or_colour(mixed_run: Path) -> None:
    run = read_run(mixed_run)
    ranking = mark_ranking(analyse(run))
    assert [row[1] for row in ranking.table.rows][2:] == [
        "tensorflow idiomatic (not verified)",
        "mxnet idiomatic",
        "theano idiomatic",
    ]
    assert ranking.marks[3:] == ranking.colours[3:] == [None, None]
    assert "status" in ranking.table.headers


def test_ratios_lie_on_one_axis_with_a_line_at_one(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    table = make_readable("comparisons", make_tables(analyse(run))["comparisons"])
    compared = compare_side_by_side(analyse(run), table)
    assert len(compared.marks) == len(table.rows) == 4
    marks = dict(zip([row[1] for row in table.rows], compared.marks, strict=True))
    assert len({mark.middle for mark in marks.values() if mark}) == 1
    slower = marks["torch idiomatic"]
    assert slower is not None
    assert slower.low is not None
    assert slower.middle is not None
    assert slower.middle < slower.low


def test_the_ranking_has_at_most_nine_columns_and_the_rest_is_folded(repeated_run: Path) -> None:
    write_report(repeated_run)
    page, markdown = ((repeated_run / name).read_text("utf-8") for name in ("report.html", "report.md"))
    section = page.partition('<section id="results">')[2].partition("</section>")[0]
    shown, folded = section.split('<details class="rows"><summary>All measures</summary>')
    assert 3 < shown.count("<th ") <= 9 < folded.count("<th ")
    section = markdown.partition("## Ranking")[2].partition("\n## ")[0]
    shown, folded = section.split("<details><summary>All measures</summary>\n")
    first, all_measures = (
        next(line for line in text.splitlines() if line.startswith("| ")) for text in (shown, folded)
    )
    assert 3 < first.count(" | ") + 1 <= 9 < all_measures.count(" | ") + 1
    assert "</details>" in folded


def test_above_the_ceiling_the_page_draws_what_the_figure_has(above_the_ceiling: Path) -> None:
    write_report(above_the_ceiling)
    page = (above_the_ceiling / "report.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    section = page.partition('<section id="ceiling">')[2].partition("</section>")[0]
    assert ">117 %, " in section
    assert "line: the ceiling, 100 %" in section
