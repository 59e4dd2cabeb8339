"""The page's marked tables, bars and pictures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.variants import find_variants
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.page.bars import show_ceiling, stack_times
from harness.report.page.table import compare_side_by_side, rank
from harness.report.readable import make_readable
from harness.report.tables import make_tables

Make = Callable[..., dict[str, Any]]


def test_the_ranking_has_a_bar_with_an_interval_for_each_speed(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    ranking = rank(run, find_variants(run))
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
    ranking = rank(run, find_variants(run))
    assert [row[1] for row in ranking.table.rows][2:] == [
        "tensorflow idiomatic (not verified)",
        "mxnet idiomatic",
        "theano idiomatic",
    ]
    assert ranking.marks[3:] == ranking.colours[3:] == [None, None]
    assert "status" in ranking.table.headers


def test_ratios_lie_on_one_axis_with_a_line_at_one(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    table = make_readable("comparisons", make_tables(run)["comparisons"])
    compared = compare_side_by_side(run, find_variants(run), table)
    assert len(compared.marks) == len(table.rows) == 4
    marks = dict(zip([row[1] for row in table.rows], compared.marks, strict=True))
    assert len({mark.middle for mark in marks.values() if mark}) == 1
    slower = marks["torch idiomatic"]
    assert slower is not None
    assert slower.low is not None
    assert slower.middle is not None
    assert slower.middle < slower.low


def test_stages_of_all_bars_are_on_one_scale(run_folder: Callable[..., Path], record: Make) -> None:
    slow = {"spawn_s": 1, "import_s": 4, "build_s": 1, "first_step_s": 2, "steady_s": 10, "data_s": 1}
    slow |= {"evaluation_s": 0.5, "other_s": None, "total_s": 19.5}
    run = read_run(run_folder(record("torch"), record("jax", step_s=0.02, timeline=slow)))
    fast_bar, slow_bar = stack_times(find_variants(run)).bars
    assert sum(segment.width for segment in slow_bar.segments) == pytest.approx(100, abs=0.1)
    assert sum(segment.width for segment in fast_bar.segments) == pytest.approx(40, abs=0.1)
    assert slow_bar.segments[0].text == "training steps: 10 s"
    assert slow_bar.text.startswith("19.5 s, 51.3 % in training steps")


def drawn_times(folder: Path) -> list[tuple[float, float]]:
    """Of each bar on the page: the seconds of its parts added up, and the total beside it."""
    write_report(folder)
    page = (folder / "report.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    section = page.partition('<section id="time">')[2].partition("</section>")[0]
    parts = [re.findall(r'title="[^"]*: ([\d.,]+) s"', bar) for bar in section.split('<span class="bar">')[1:]]
    totals = re.findall(r"<span>([\d.,]+) s, [\d.]+ % in training steps", section)
    return [(sum(map(float, bar)), float(total)) for bar, total in zip(parts, totals, strict=True)]


def test_the_time_that_is_drawn_is_the_total_of_a_record(run_folder: Callable[..., Path], record: Make) -> None:
    stages = {"spawn_s": 0.1, "import_s": 0.4, "build_s": 0.2, "first_step_s": 1.3, "recompile_s": 6.4}
    stages |= {"steady_s": 494.0, "data_s": 1.0, "validation_s": 27.2, "checkpoint_s": 0.2, "evaluation_s": 19.7}
    stages |= {"other_s": 2.0, "a_stage_of_a_later_version_s": 5.0}
    timeline = stages | {"total_s": sum(stages.values())}
    assert drawn_times(run_folder(record("torch", timeline=timeline))) == [pytest.approx((557.5, 557.5))]


def test_of_several_processes_the_one_of_median_total_is_drawn(run_folder: Callable[..., Path], record: Make) -> None:
    timelines = [
        {"steady_s": 10.0, "recompile_s": 5.0, "total_s": 15.0},
        {"steady_s": 11.0, "validation_s": 6.0, "total_s": 17.0},
        {"steady_s": 10.0, "checkpoint_s": 90.0, "total_s": 100.0},
    ]
    cells = [record("torch", repeat=repeat, timeline=timeline) for repeat, timeline in enumerate(timelines)]
    assert drawn_times(run_folder(*cells)) == [(17.0, 17.0)]


def test_below_the_ceiling_the_full_width_is_the_ceiling(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    variants = find_variants(run)
    chart = show_ceiling(variants)
    assert chart.mark == 100
    for variant, bar in zip(variants, chart.bars, strict=True):
        assert variant.speed is not None
        assert bar.segments[0].width == pytest.approx(100 * (variant.speed.ceiling_share or 0), abs=0.01)


def test_above_the_ceiling_the_mark_stays_at_100_per_cent(above_the_ceiling: Path) -> None:
    variants = find_variants(read_run(above_the_ceiling))
    chart = show_ceiling(variants)
    assert chart.mark == pytest.approx(100 / 1.17, abs=0.01)
    assert [bar.segments[0].width for bar in chart.bars] == [100, pytest.approx(50, abs=0.01)]
    assert chart.bars[0].text.startswith("117 %, ")
