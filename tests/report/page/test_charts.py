from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from harness.report.page.chart import MOST_POINTS, draw_band, draw_dots, draw_line
from harness.report.page.charts import chart_bit_error, chart_losses, chart_positions
from harness.report.page.quality import chart_quality
from harness.report.page.scale import Scale, linear, logarithmic, symmetric_log

from harness.analysis.variants import find_variants
from harness.records.reading import read_run
from harness.records.structs import Run

Make = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("scale", "value", "share"),
    [
        (linear(0, 50), 10, 0.2),
        (linear(3, 3), 3, 0),
        (logarithmic(1, 100), 10, 0.5),
        (symmetric_log(0.1, 100), 0, 0),
        (symmetric_log(0.1, 100), 100, 1),
    ],
)
def test_scales_place_values_between_their_ends(scale: Scale, value: float, share: float) -> None:
    assert float(scale.share(value)) == pytest.approx(share)


def test_below_the_threshold_zero_has_a_place_and_above_it_decades_are_alike() -> None:
    shares = symmetric_log(0.1, 100).share([0.1, 1, 10, 100])
    assert shares[0] > 0
    assert np.diff(shares) == pytest.approx([np.diff(shares)[0]] * 3)


def test_ticks_outside_the_scale_are_left_out() -> None:
    assert [(tick.at, tick.text) for tick in linear(0, 10).ticks([-5, 5, 15], str)] == [(50, "5")]


def test_paths_run_from_the_lower_left_and_leave_out_what_is_unknown() -> None:
    scale = linear(0, 1)
    assert draw_line(scale, scale, [0, 0.5, 1], [0, np.nan, 2]) == "M0 1000L1000 0"
    assert draw_band(scale, scale, [0, 1], [0, 0], [0.5, 0.5]) == "M0 500L1000 500L1000 1000L0 1000Z"
    assert draw_dots(scale, scale, [0.5], [0.5]) == "M500 500h0"
    assert draw_line(scale, scale, [0], [np.nan]) == draw_band(scale, scale, [], [], []) == ""


def test_losses_are_drawn_by_step_and_by_time_with_few_points(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [record("torch", repeat=repeat, n_steps=2001) for repeat in range(2)]
    run = read_run(run_folder(*cells))
    by_step, by_time = chart_losses(run, find_variants(run))
    assert len(re.findall("[ML]", by_step.series[0].line)) == MOST_POINTS
    assert by_step.series[0].band
    assert by_step.series[0].line != by_time.series[0].line
    assert by_step.rules[0].text == "least possible, 0.0072"
    assert 0 < by_step.rules[0].at < 20


def test_a_diverged_loss_leaves_a_chart(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch", losses=[0.7, None, 0.6]), record("jax")))
    assert len(chart_losses(run, find_variants(run))[0].series) == 2


def test_bit_error_has_a_dot_for_each_length_and_marks_what_was_trained(mixed_run: Path) -> None:
    run = read_run(mixed_run)
    chart = chart_bit_error(run, find_variants(run))
    assert chart is not None
    assert [each.dots.count("M") for each in chart.series] == [4, 4, 4]
    assert {rule.text for rule in chart.rules} == {"guessing, 50 %", "longest trained, 5"}
    assert "tensorflow idiomatic (not verified)" in [each.look.label for each in chart.series]
    assert len({(each.look.colour, each.look.dash) for each in chart.series}) == 3


@pytest.fixture
def positioned(run_folder: Callable[..., Path], record: Make) -> Run:
    """Length 5 without a wrong bit, length 20 with ever more of them."""
    cells = [record(backend) for backend in ("torch", "jax")]
    wrong = {5: [0] * 5, 20: list(range(0, 200, 10))}
    for cell in cells:
        lengths = cell["evaluation"]["lengths"]
        template = lengths[0]
        cell["evaluation"]["lengths"] = lengths + [
            template | {"length": length, "wrong_bits_by_position": by_position}
            for length, by_position in wrong.items()
        ]
        cell["evaluation"]["lengths"] = [item for item in cell["evaluation"]["lengths"] if len(item) > len(template)]
    return read_run(run_folder(*cells))


def test_positions_are_drawn_from_none_wrong_to_the_most(positioned: Run) -> None:
    flat, chart = chart_positions(positioned, find_variants(positioned))
    assert set(re.findall(r"[ML]\d+ (\d+)", flat.series[0].line)) == {"1000"}
    assert [flat.title, chart.title] == ["Length 5 (trained)", "Length 20 (not trained)"]
    assert len(chart.series) == 2
    heights = [int(height) for height in re.findall(r"[ML]\d+ (\d+)", chart.series[0].line)]
    assert heights[0] == 1000
    assert heights == sorted(heights, reverse=True)
    # 190 wrong of 100 sequences of 8 bits, on an axis that ends 5 % above it.
    assert heights[-1] == pytest.approx(1000 - 1000 / 1.05, abs=1)
    assert [tick.text for tick in chart.x_ticks][-1] == "20"


def test_positions_that_were_not_recorded_are_no_chart(mixed_run: Path) -> None:
    run = read_run(mixed_run)
    assert chart_positions(run, find_variants(run)) == []


def test_nothing_measured_is_no_chart(run_folder: Callable[..., Path], failure: Make) -> None:
    run = read_run(run_folder(failure("torch", "failed", "broken")))
    variants = find_variants(run)
    assert chart_losses(run, variants) == chart_positions(run, variants) == []
    assert chart_bit_error(run, variants) is None


def test_where_training_is_drawn_otherwise_than_the_test_its_least_loss_is_not_known(
    run_folder: Callable[..., Path], record: Make
) -> None:
    folder = run_folder(record("torch"))
    description = json.loads((folder / "run.json").read_text())
    description["configuration"]["task"]["length_power"] = 3.0
    (folder / "run.json").write_text(json.dumps(description))
    run = read_run(folder)
    assert [chart.rules for chart in chart_losses(run, find_variants(run))] == [[], []]


def test_quality_is_drawn_by_sequences_and_by_seconds_to_where_every_seed_got(aimed_run: Callable[..., Path]) -> None:
    run = read_run(aimed_run(("torch", 0, 100), ("torch", 1, 300), ("jax", 0, None)))
    by_sequences, by_seconds = chart_quality(run, find_variants(run))
    lines = {series.look.label: series.line for series in by_sequences.series}
    assert [line.count("L") for line in lines.values()] == [2, 2]
    assert len({line.rsplit(" ", 1)[1] for line in lines.values()}) == 2
    assert [bool(series.band) for series in by_sequences.series] == [True, False]
    assert by_seconds.x_label.startswith("seconds")
    assert by_sequences.rules[0].text == "target, 0.1"


def test_without_validation_there_is_no_chart_of_quality(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch")))
    assert chart_quality(run, find_variants(run)) == []
