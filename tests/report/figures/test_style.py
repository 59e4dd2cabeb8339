from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.text import Text

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report.figures.bars import plot_throughput
from harness.report.figures.lengths import plot_bit_error
from harness.report.figures.loss import plot_loss
from harness.report.figures.style import COLOURS, OTHER_COLOURS, colour, line, make_panels, mark_line, name_lines

Make = Callable[..., dict[str, Any]]
PROJECT = Path(__file__).parents[3]


def test_what_is_not_verified_is_marked_in_every_plot(mixed_run: Path) -> None:
    analysis = analyse(read_run(mixed_run))
    for figure in (plot_loss(analysis), plot_bit_error(analysis)):
        assert figure is not None
        assert "tensorflow idiomatic (not verified)" in [text.get_text() for text in figure.legends[0].texts]
    bars = plot_throughput(analysis)
    assert bars is not None
    names = [text.get_text().partition("\n")[0] for text in bars.axes[0].texts]
    assert names == ["torch idiomatic", "jax idiomatic", "tensorflow idiomatic (not verified)"]


@pytest.mark.parametrize(("side", "edge"), [("bottom", 0), ("top", 1)])
def test_a_text_keeps_two_points_from_the_line_that_it_names(side: str, edge: int) -> None:
    figure, (axes,) = make_panels(1, 1)
    axes.set_ylim(0, 1)
    mark_line(axes, 0.5, "guessing, 50 %", side=side)
    figure.draw_without_rendering()
    [text] = axes.texts
    of_line = float(axes.transData.transform((0, 0.5))[1])
    nearest = float(Text.get_window_extent(text).get_points()[edge, 1])
    away = (nearest - of_line) * (1 if side == "bottom" else -1)
    assert away * 72 / figure.dpi >= 2


def test_a_framework_keeps_its_colour_and_each_line_its_look(run_folder: Callable[..., Path], record: Make) -> None:
    half = record("torch") | {"precision": "bfloat16", "cell": "torch-idiomatic-bfloat16-seed0-r0"}
    cells = [record(backend) for backend in ("torch", "mxnet")] + [record("torch", implementation="tuned"), half]
    variants = analyse(read_run(run_folder(*cells))).variants
    looks = [line(variant, variants) for variant in variants]
    for variant in variants:
        assert colour(variant, variants) == COLOURS.get(variant.backend, OTHER_COLOURS[0])
    assert {(look["linewidth"], look.get("linestyle", "solid")) for look in looks} == {(looks[0]["linewidth"], "solid")}
    assert len({(look["color"], look["marker"], look["markerfacecolor"]) for look in looks}) == len(variants) == 4


def test_lines_that_lie_on_each_other_are_marked_in_other_places(run_folder: Callable[..., Path], record: Make) -> None:
    figure = plot_loss(analyse(read_run(run_folder(record("torch"), record("jax", step_s=0.02)))))
    assert figure is not None
    torch, jax = figure.axes[0].lines[:2]
    np.testing.assert_array_equal(torch.get_ydata(), jax.get_ydata())
    assert torch.get_markevery()
    assert not set(torch.get_markevery()) & set(jax.get_markevery())


def draw_lines(*ends: tuple[str, float]) -> Figure:
    figure, (axes,) = make_panels(1, len(ends))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    for name, end in ends:
        axes.plot([0, 1], [0, end], label=name)
    name_lines(figure, [axes])
    return figure


@pytest.mark.parametrize(
    ("ends", "at_the_lines"),
    [
        ([("torch tuned", 0.2), ("jax tuned", 0.8)], True),
        ([("torch tuned", 0.5), ("jax tuned", 0.52)], False),
        ([("torch tuned", 0.2), ("a_name_too_long_for_a_phone", 0.8)], False),
        ([("torch tuned", float("nan"))], False),
    ],
)
def test_names_are_at_the_ends_of_lines_where_they_fit(ends: list[tuple[str, float]], *, at_the_lines: bool) -> None:
    figure = draw_lines(*ends)
    texts = [text.get_text() for text in (figure.axes[0].texts if at_the_lines else figure.legends[0].texts)]
    assert texts == [name for name, _ in ends]
    assert bool(figure.legends) != at_the_lines


def test_the_readers_own_settings_of_matplotlib_change_no_byte(repeated_run: Path, tmp_path: Path) -> None:
    settings = tmp_path / "matplotlibrc"
    settings.write_text("text.usetex: True\nfont.size: 20\nsavefig.bbox: tight\nsvg.fonttype: path\naxes.grid: True\n")

    def report(**environment: str) -> dict[str, bytes]:
        command = [sys.executable, "-m", "harness", "report", str(repeated_run)]
        subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, check=True, timeout=300)
        files = [*(repeated_run / "plots").iterdir(), repeated_run / "report.html", repeated_run / "report.md"]
        return {path.name: path.read_bytes() for path in files}

    plain = report(MATPLOTLIBRC=os.devnull)
    assert {"loss.png", "throughput.png", "ceiling.png", "report.html"} <= plain.keys()
    assert report(MATPLOTLIBRC=str(settings)) == plain
