"""The figures of what was learned: loss, bit error by length and by position, quality."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.records.structs import Run
from harness.report.figures.lengths import pick_ticks, plot_bit_error, plot_positions
from harness.report.figures.loss import MOST_POINTS, plot_loss, smooth
from harness.report.figures.quality import plot_quality

Make = Callable[..., dict[str, Any]]


def texts(axes: Axes) -> set[str]:
    return {text.get_text().strip() for text in axes.texts}


def test_losses_are_drawn_by_step_and_by_time_with_few_points(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(*(record("torch", repeat=repeat, n_steps=2001) for repeat in range(2))))
    figure = plot_loss(analyse(run))
    assert figure is not None
    by_step, by_time = figure.axes
    steps, seconds = (axes.lines[0].get_xdata() for axes in (by_step, by_time))
    assert len(steps) == len(seconds) == MOST_POINTS
    assert steps[-1] == 2001
    assert seconds[-1] != 2001
    assert len(by_step.collections) == 1
    assert "least possible, 0.0072" in texts(by_step)


def test_a_loss_that_does_not_fall_is_below_the_upper_edge(run_folder: Callable[..., Path], record: Make) -> None:
    flat = record("torch")
    flat["losses"] = [0.6931] * len(flat["losses"])
    figure = plot_loss(analyse(read_run(run_folder(flat))))
    assert figure is not None
    for axes in figure.axes:
        highest = axes.transAxes.inverted().transform(axes.transData.transform((1, 0.6931)))[1]
        assert 0.9 < highest < 0.96


def test_where_training_is_drawn_otherwise_than_the_test_its_least_loss_is_not_known(
    run_folder: Callable[..., Path], record: Make
) -> None:
    folder = run_folder(record("torch"))
    description = json.loads((folder / "run.json").read_text())
    description["configuration"]["task"]["length_power"] = 3.0
    (folder / "run.json").write_text(json.dumps(description))
    figure = plot_loss(analyse(read_run(folder)))
    assert figure is not None
    assert not [text for axes in figure.axes for text in texts(axes) if "least possible" in text]


def test_smoothing_is_a_trailing_mean() -> None:
    values = np.arange(300, dtype=np.float64)
    assert smooth(values)[[0, 1, 2, 299]].tolist() == pytest.approx([0, 0.5, 1, 298])


def test_grid_lines_of_a_loss_are_about_evenly_apart(run_folder: Callable[..., Path], record: Make) -> None:
    figure = plot_loss(analyse(read_run(run_folder(record("torch")))))
    assert figure is not None
    low, high = figure.axes[0].get_ylim()
    ticks = [tick for tick in figure.axes[0].get_yticks() if low <= tick <= high]
    gaps = np.diff(np.log10(ticks))
    assert len(gaps) > 2
    assert gaps.max() < 1.5 * gaps.min()
    assert not figure.axes[0].get_yticks(minor=True).size


def test_seeds_are_a_median_with_a_band(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(*(record("torch", seed=seed) for seed in range(3))))
    for plot in (plot_loss, plot_bit_error):
        figure = plot(analyse(run))
        assert figure is not None
        assert len(figure.axes[0].collections) == 1


def test_bit_error_has_a_dot_for_each_length_and_marks_what_was_trained(mixed_run: Path) -> None:
    figure = plot_bit_error(analyse(read_run(mixed_run)))
    assert figure is not None
    (axes,) = figure.axes
    drawn = [line for line in axes.lines if line.get_marker() != "None"]
    assert [list(line.get_xdata()) for line in drawn] == [[1, 2, 5, 10]] * 3
    assert {"guessing, 50 %", "longest trained, 5"} <= texts(axes)
    assert "tensorflow idiomatic (not verified)" in [line.get_label() for line in drawn]


def test_an_axis_of_errors_shows_none_at_all_and_says_so(mixed_run: Path) -> None:
    figure = plot_bit_error(analyse(read_run(mixed_run)))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_ylim()[0] == 0
    assert "linear below 0.1" in axes.get_ylabel()
    heights = axes.transAxes.inverted().transform(axes.transData.transform([(1, tick) for tick in axes.get_yticks()]))
    assert np.diff(heights[:, 1]) == pytest.approx(0.25, abs=0.001)


def test_ticks_keep_the_longest_trained_length() -> None:
    ticks = pick_ticks([*range(1, 21), 40, 120], 20)
    assert {1, 20, 40, 120} <= set(ticks)
    assert 19 not in ticks


@pytest.fixture
def positioned(run_folder: Callable[..., Path], record: Make) -> Run:
    """Length 5 without a wrong bit, length 20 with ever more of them."""
    cells = [record(backend) for backend in ("torch", "jax")]
    wrong = {5: [0] * 5, 20: list(range(0, 200, 10))}
    for cell in cells:
        template = cell["evaluation"]["lengths"][0]
        cell["evaluation"]["lengths"] = [
            template | {"length": length, "wrong_bits_by_position": by_position}
            for length, by_position in wrong.items()
        ]
    return read_run(run_folder(*cells))


def test_positions_are_drawn_from_none_wrong_to_the_most(positioned: Run) -> None:
    figure = plot_positions(analyse(positioned))
    assert figure is not None
    flat, rising = figure.axes
    assert [axes.get_title("left") for axes in figure.axes] == ["Length 5 (trained)", "Length 20 (not trained)"]
    assert flat.get_ylim()[0] == rising.get_ylim()[0] == 0
    assert flat.get_ylim()[1] > 0
    assert set(flat.lines[0].get_ydata()) == {0}
    figure.draw_without_rendering()
    # The name of the middle third is above all that is drawn.
    name = next(text for text in rising.texts if text.get_text() == "middle third")
    highest = max(rising.transData.transform((0, max(line.get_ydata())))[1] for line in rising.lines)
    assert name.get_window_extent().y0 > highest
    assert len(rising.lines) == 2
    # Of 100 sequences of 8 bits.
    assert rising.lines[0].get_ydata().tolist() == pytest.approx([n / 8 for n in range(0, 200, 10)])
    assert rising.lines[0].get_xdata()[-1] == 20
    assert rising.get_ylim()[1] > 190 / 8


def test_positions_that_were_not_recorded_are_no_figure(mixed_run: Path) -> None:
    assert plot_positions(analyse(read_run(mixed_run))) is None


def test_quality_is_drawn_by_sequences_and_by_seconds_to_where_every_seed_got(aimed_run: Callable[..., Path]) -> None:
    figure = plot_quality(analyse(read_run(aimed_run(("torch", 0, 100), ("torch", 1, 300), ("jax", 0, None)))))
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == [
        "training sequences",
        "seconds, evaluations included",
    ] * 2
    by_sequences = figure.axes[2]
    medians = {line.get_label(): line for line in by_sequences.lines if line.get_marker() != "None"}
    assert [len(line.get_xdata()) for line in medians.values()] == [3, 3]
    torch, jax = (medians[name].get_ydata()[-1] for name in ("torch idiomatic", "jax idiomatic"))
    assert (torch, jax) == (0, 5)
    assert "target, 0.1" in texts(by_sequences)
    assert "a seed meets the target" in [text.get_text() for text in figure.legends[0].texts]


def test_without_validation_there_is_no_figure_of_quality(run_folder: Callable[..., Path], record: Make) -> None:
    assert plot_quality(analyse(read_run(run_folder(record("torch"))))) is None
