from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.variants import find_variants
from harness.records.reading import read_run
from harness.records.structs import Copy, Run
from harness.report.figures.copies import count_wrong_bits, plot_copies
from harness.report.figures.lengths import pick_ticks, plot_bit_error
from harness.report.figures.loss import plot_loss, smooth
from harness.report.figures.speed import plot_throughput
from harness.report.figures.style import COLOURS, OTHER_COLOURS, colour, line

Make = Callable[..., dict[str, Any]]


@pytest.fixture
def mixed(mixed_run: Path) -> Run:
    return read_run(mixed_run)


def test_what_is_not_verified_is_marked_in_every_plot(mixed: Run) -> None:
    variants = find_variants(mixed)
    for figure in (plot_loss(mixed, variants), plot_bit_error(mixed, variants)):
        assert figure is not None
        assert "tensorflow idiomatic (not verified)" in [text.get_text() for text in figure.legends[0].texts]
    bars = plot_throughput(variants)
    assert bars is not None
    names = [text.get_text().partition("\n")[0] for text in bars.axes[0].texts]
    assert names == ["torch idiomatic", "jax idiomatic", "tensorflow idiomatic (not verified)"]


def test_the_axis_of_a_fast_machine_has_no_exponents(run_folder: Callable[..., Path], record: Make) -> None:
    figure = plot_throughput(find_variants(read_run(run_folder(record("torch", step_s=1e-4)))))
    assert figure is not None
    figure.draw_without_rendering()
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert "120,000" in ticks
    assert not [text for text in ticks if "e" in text]


def test_a_framework_keeps_its_colour_and_each_line_its_look(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [record(backend) for backend in ("torch", "mxnet")] + [record("torch", implementation="tuned")]
    variants = find_variants(read_run(run_folder(*cells)))
    for variant in variants:
        assert colour(variant, variants) == COLOURS.get(variant.backend, OTHER_COLOURS[0])
        assert line(variant, variants)["linestyle"] == {"idiomatic": "solid", "tuned": "dashed"}[variant.implementation]
    assert len({line(variant, variants)["linewidth"] for variant in variants}) == 3


def test_seeds_are_a_median_with_a_band(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(*(record("torch", seed=seed) for seed in range(3))))
    for plot in (plot_loss, plot_bit_error):
        figure = plot(run, find_variants(run))
        assert figure is not None
        assert len(figure.axes[0].collections) == 1


def test_nothing_measured_is_no_plot(run_folder: Callable[..., Path], failure: Make) -> None:
    run = read_run(run_folder(failure("torch", "failed", "broken")))
    assert plot_loss(run, find_variants(run)) is plot_bit_error(run, find_variants(run)) is None
    assert plot_throughput(find_variants(run)) is plot_copies(run.cells[0], run.task) is None


def test_smoothing_is_a_trailing_mean() -> None:
    values = np.arange(300, dtype=np.float64)
    assert smooth(values)[[0, 1, 2, 299]].tolist() == pytest.approx([0, 0.5, 1, 298])


def test_ticks_keep_the_longest_trained_length() -> None:
    ticks = pick_ticks([*range(1, 21), 40, 120], 20)
    assert {1, 20, 40, 120} <= set(ticks)
    assert 19 not in ticks


def test_copies_show_a_pair_for_each_length_and_count_due_bits(mixed: Run) -> None:
    figure = plot_copies(mixed.cells[0], mixed.task)
    assert figure is not None
    titles = [axes.get_title("left") for axes in figure.axes if axes.get_title("left")]
    assert [title.partition(":")[0] for title in titles] == [
        "length 3 (trained length)",
        "length 10 (not a trained length)",
    ]
    due = [[0.0], [0.0], [0.0], [1.0]]
    assert count_wrong_bits(Copy(1, due, [[1.0], [1.0], [1.0], [0.0]])) == 1


def test_whiskers_are_intervals_where_there_are_repeats_and_the_ceiling_is_a_share(repeated_run: Path) -> None:
    bars = plot_throughput(find_variants(read_run(repeated_run)))
    assert bars is not None
    assert "95 % interval" in bars.axes[0].get_xlabel()
    assert "ceiling" in bars.axes[0].get_xlabel()
    texts = [text.get_text() for text in bars.axes[0].texts]
    assert all(re.search(r"\n[\d,]+ a second \([\d,]+ to [\d,]+\), .* % of the ceiling", text) for text in texts)


def test_a_bar_goes_on_beyond_the_ceiling(above_the_ceiling: Path) -> None:
    bars = plot_throughput(find_variants(read_run(above_the_ceiling)))
    assert bars is not None
    axes = bars.axes[0]
    (torch, jax), (mark, other) = axes.patches, [line.get_segments()[0][0][0] for line in axes.collections[-2:]]
    assert torch.get_width() / mark == pytest.approx(1.17)
    assert jax.get_width() / other == pytest.approx(1.17 / 2)
    assert axes.get_xlim()[1] > torch.get_width()
    assert "117 % of the ceiling" in axes.texts[0].get_text()


def test_whiskers_are_percentiles_of_steps_where_nothing_was_repeated(mixed: Run) -> None:
    bars = plot_throughput(find_variants(mixed))
    assert bars is not None
    assert "5th to 95th percentile of steps" in bars.axes[0].get_xlabel()
    assert not any("ceiling" in text.get_text() for text in bars.axes[0].texts)
