"""Bars of speed, of the share of the ceiling and of the time."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.figures.bars import plot_ceiling, plot_costs, plot_throughput, plot_times
from tests.made_up_runs import make_inference

Make = Callable[..., dict[str, Any]]
Plot = Callable[..., Figure | None]


def draw(plot: Plot, folder: Path) -> Axes:
    figure = plot(analyse(read_run(folder)))
    assert figure is not None
    return figure.axes[0]


def labels(axes: Axes) -> list[str]:
    return [text.get_text() for text in axes.texts]


def test_the_axis_of_a_fast_machine_has_no_exponents(run_folder: Callable[..., Path], record: Make) -> None:
    axes = draw(plot_throughput, run_folder(record("torch", step_s=1e-4)))
    axes.figure.draw_without_rendering()
    ticks = [label.get_text() for label in axes.get_xticklabels()]
    assert "120,000" in ticks
    assert not [text for text in ticks if "e" in text]


def test_axes_of_speeds_start_at_0(repeated_run: Path) -> None:
    assert draw(plot_throughput, repeated_run).get_xlim()[0] == 0


def test_whiskers_are_intervals_where_there_are_repeats_and_the_ceiling_is_a_share(repeated_run: Path) -> None:
    axes = draw(plot_throughput, repeated_run)
    assert "95 % interval" in axes.get_xlabel()
    assert "ceiling" in axes.get_xlabel()
    pattern = r"[\d,]+ sequences/s \([\d,]+ to [\d,]+\)\n.* % of the ceiling"
    assert all(re.search(pattern, text) for text in labels(axes))


def test_whiskers_are_percentiles_of_steps_where_nothing_was_repeated(mixed_run: Path) -> None:
    axes = draw(plot_throughput, mixed_run)
    assert "5th to 95th percentile of steps" in axes.get_xlabel()
    assert not any("ceiling" in text for text in labels(axes))


def test_a_bar_goes_on_beyond_the_ceiling(above_the_ceiling: Path) -> None:
    axes = draw(plot_throughput, above_the_ceiling)
    (torch, jax), (mark, other) = axes.patches, [line.get_segments()[0][0][0] for line in axes.collections[-2:]]
    assert torch.get_width() / mark == pytest.approx(1.17)
    assert jax.get_width() / other == pytest.approx(1.17 / 2)
    assert axes.get_xlim()[1] > torch.get_width()
    assert "117 % of the ceiling" in labels(axes)[0]


def test_below_the_ceiling_the_mark_is_seen_at_100_per_cent(repeated_run: Path) -> None:
    axes, variants = draw(plot_ceiling, repeated_run), analyse(read_run(repeated_run)).variants
    assert list(axes.lines[0].get_xdata()) == [100, 100]
    assert axes.get_xlim()[1] > 100
    shares = [100 * (variant.speed.ceiling_share or 0) for variant in variants if variant.speed]
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(shares)


def test_above_the_ceiling_the_mark_stays_at_100_per_cent(above_the_ceiling: Path) -> None:
    axes = draw(plot_ceiling, above_the_ceiling)
    assert list(axes.lines[0].get_xdata()) == [100, 100]
    assert [bar.get_width() for bar in axes.patches] == [pytest.approx(117), pytest.approx(58.5)]
    assert axes.get_xlim()[1] > 117
    assert labels(axes)[0].startswith("torch idiomatic\n117 %, ")


def draw_costs(folder: Path) -> dict[str, Axes]:
    figure = plot_costs(analyse(read_run(folder)))
    assert figure is not None
    return {axes.get_title("left"): axes for axes in figure.axes}


def test_costs_are_a_panel_for_each_that_a_record_tells(run_folder: Callable[..., Path], record: Make) -> None:
    memory = {"peak_memory_bytes": 30 * 2**20, "process_memory_bytes": 400 * 2**20}
    drawn = draw_costs(run_folder(record("torch", **memory, inference=make_inference()), record("jax")))
    assert list(drawn) == ["Peak memory", "Inference of many sequences", "Inference of one sequence"]
    # The run has two variants, and of one no record tells a cost.
    assert [len(axes.patches) for axes in drawn.values()] == [1, 1, 1]
    assert labels(drawn["Peak memory"]) == ["torch idiomatic\n30 MiB\nwhole process 400 MiB"]
    assert drawn["Peak memory"].patches[0].get_width() == pytest.approx(30)
    assert labels(drawn["Inference of one sequence"]) == ["torch idiomatic\n1 ms\n95th percentile 1 ms"]
    assert not any("whiskers" in axes.get_xlabel() for axes in drawn.values())


def test_a_cost_that_one_of_two_variants_tells_is_not_measured_of_the_other(
    run_folder: Callable[..., Path], record: Make
) -> None:
    told = record("torch", peak_memory_bytes=2**20, inference=make_inference())
    drawn = draw_costs(run_folder(told, record("jax", step_s=0.02, peak_memory_bytes=2**20)))
    assert len(drawn["Peak memory"].patches) == 2
    assert labels(drawn["Inference of many sequences"])[1] == "jax idiomatic\nnot measured"


def test_whiskers_of_costs_are_intervals_over_processes(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [record("torch", repeat=n, inference=make_inference(batch_s=0.1 + 0.01 * n)) for n in range(6)]
    drawn = draw_costs(run_folder(*cells))
    assert drawn["Inference of many sequences"].get_xlabel() == "sequences/s; whiskers: 95 % interval"
    assert drawn["Inference of many sequences"].containers[1].has_xerr  # type: ignore[attr-defined]
    # The calls with one sequence were all as long as each other.
    assert len(drawn["Inference of one sequence"].containers) == 1


def test_nothing_measured_and_nothing_held_is_no_figure(run_folder: Callable[..., Path], record: Make) -> None:
    assert plot_costs(analyse(read_run(run_folder(record("torch", peak_memory_bytes=0))))) is None


def test_stages_of_all_bars_are_on_one_scale(run_folder: Callable[..., Path], record: Make) -> None:
    slow = {"spawn_s": 1, "import_s": 4, "build_s": 1, "first_step_s": 2, "steady_s": 10, "data_s": 1}
    slow |= {"evaluation_s": 0.5, "other_s": 0.0, "total_s": 19.5}
    axes = draw(plot_times, run_folder(record("torch"), record("jax", step_s=0.02, timeline=slow)))
    rows: dict[float, float] = {}
    for part in axes.patches:
        rows[part.get_y()] = rows.get(part.get_y(), 0) + part.get_width()
    assert list(rows.values()) == pytest.approx([7.8, 19.5])
    assert axes.patches[0].get_x() == axes.get_xlim()[0] == 0
    assert labels(axes)[1] == "jax idiomatic\n19.5 s, 51.3 % in training steps"


def drawn_times(folder: Path) -> list[tuple[float, float]]:
    """Of each bar on the page: the seconds of its parts added up, and the total above it."""
    write_report(folder)
    page = (folder / "report.html").read_text("utf-8").replace("\N{NO-BREAK SPACE}", " ")
    section = page.partition('<section id="time">')[2].partition("</section>")[0]
    parts = re.findall(r"<title>[^<]*: ([\d.,]+) s</title>", section)
    (total,) = re.findall(r">([\d.,]+) s, [\d.]+ % in training steps<", section)
    return [(sum(map(float, parts)), float(total))]


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
