"""The figures as they are on the page."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.analysis.variants import find_variants
from harness.records.reading import read_run
from harness.report.figures.lengths import plot_bit_error
from harness.report.figures.loss import plot_loss
from harness.report.figures.quality import plot_quality
from harness.report.figures.svg import embed

Make = Callable[..., dict[str, Any]]


def test_losses_are_drawn_by_step_and_by_time_with_their_values(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(*(record("torch", repeat=repeat, n_steps=2001) for repeat in range(2))))
    figure = plot_loss(run, find_variants(run))
    assert figure is not None
    by_step, by_time, legend = embed(figure, "loss")
    assert "Training loss by step" in by_step
    assert "Training loss by time" in by_time
    assert "least possible, 0.0072" in by_step
    assert "torch idiomatic" in legend
    assert re.search(r"<title>2,001\ntorch idiomatic: [\d.]+</title>", by_step)


def test_equal_figures_are_equal_bytes_in_the_pages_colours(mixed_run: Path) -> None:
    run = read_run(mixed_run)
    first, second = (embed(figure, "e") for _ in "ab" if (figure := plot_bit_error(run, find_variants(run))))
    assert first == second
    assert "#000000" not in first[0]
    assert "var(--quiet)" in first[0]
    assert "tensorflow idiomatic (not verified): " in first[0]
    assert {"guessing, 50 %", "longest trained, 5"} <= {t.strip() for t in re.findall(r"<text[^>]*>([^<]*)", first[0])}


def test_a_diverged_loss_leaves_a_figure(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch", losses=[0.7, None, 0.6]), record("jax")))
    figure = plot_loss(run, find_variants(run))
    assert figure is not None
    assert len(figure.legends[0].texts) == 2


def test_quality_is_drawn_to_where_every_seed_got(aimed_run: Callable[..., Path]) -> None:
    run = read_run(aimed_run(("torch", 0, 100), ("torch", 1, 300), ("jax", 0, None)))
    figure = plot_quality(run, find_variants(run))
    assert figure is not None
    assert "target, 0.1" in "".join(embed(figure, "quality"))


def test_without_validation_there_is_no_figure_of_quality(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch")))
    assert plot_quality(run, find_variants(run)) is None
