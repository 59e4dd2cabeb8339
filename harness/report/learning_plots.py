"""The plots of how a network got there: quality against sequences and seconds, and bit error by position."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from harness.analysis.analysis import Analysis
from harness.analysis.positions import PositionErrors
from harness.analysis.variants import Variant
from harness.records.structs import Validated
from harness.report.quantities import number
from harness.report.style import QUIET, colour, finish_axes, line, make_figure
from harness.task.metrics import middle_third

NOTE: dict[str, Any] = {"color": QUIET, "fontsize": 9}
QUALITIES = {
    "original_loss": "original loss, nats (log scale)",
    "wrong_bits_per_sequence": "wrong bits a sequence",
}
STAR: dict[str, Any] = {"marker": "*", "s": 130, "edgecolor": "white", "linewidth": 0.7}
EFFORTS = {"sequences": "training sequences", "elapsed_s": "seconds, evaluations included"}
# Below this the axis of wrong bits is linear, so that none at all has a place on it.
LINEAR_WRONG_BITS = 0.1


def plot_quality(analysis: Analysis) -> Figure | None:
    """The validation measures against sequences and seconds: a faint line for each seed, the median of all, and a
    marker where a seed met the target."""
    variants = analysis.variants
    learned = [variant for variant in variants if any(cell.evaluations for cell in variant.cells)]
    if not learned:
        return None
    figure = make_figure(11, 8)
    grid = np.asarray(figure.subplots(2, 2, sharex="col", sharey="row"))
    for row, quality in zip(grid, QUALITIES, strict=True):
        for axes, effort in zip(row, EFFORTS, strict=True):
            for variant in learned:
                _draw_quality(axes, variant, learned, effort, quality)
            _finish_quality(axes, analysis, effort, quality)
        row[1].set_ylabel("")
    for axes in grid[0]:
        axes.set_xlabel("")
    if any(cell.target_reached for variant in learned for cell in variant.cells):
        grid[0][0].scatter([], [], label="a seed meets the target", **STAR, color=QUIET)
    figure.suptitle("Quality on the validation data", x=0.01, ha="left", fontsize=12, fontweight="bold")
    grid[0][0].legend(frameon=False, handlelength=4, fontsize=9)
    return figure


def plot_positions(analysis: Analysis) -> Figure | None:
    """Bit error by position in the pattern, a panel for each length: medians over cells with their range."""
    measured = analysis.positions
    if not measured:
        return None
    figure = make_figure(6 * len(measured) + 3, 4.5)
    panels = np.atleast_1d(figure.subplots(1, len(measured)))
    for axes, positions in zip(panels, measured, strict=True):
        for variant in positions.errors:
            _draw_positions(axes, variant, positions)
        _finish_positions(axes, positions.length, is_trained=positions.is_trained)
    panels[0].legend(frameon=False, handlelength=4, fontsize=9)
    return figure


def _draw_quality(axes: Axes, variant: Variant, variants: list[Variant], effort: str, quality: str) -> None:
    curves = [cell.evaluations for cell in variant.cells if cell.evaluations]
    tint, properties = colour(variant, variants), line(variant, variants)
    for evaluations in curves if len(curves) > 1 else []:
        axes.plot(_values(evaluations, effort), _values(evaluations, quality), color=tint, linewidth=0.7, alpha=0.4)
    # Further on, a median would be over other seeds than before.
    n_common = min(map(len, curves))
    common = [evaluations[:n_common] for evaluations in curves]
    axes.plot(_median(common, effort), _median(common, quality), **properties)
    reached = [cell.target_reached for cell in variant.cells if cell.target_reached]
    axes.scatter(_values(reached, effort), _values(reached, quality), zorder=6, **STAR, color=tint)


def _values(evaluations: list[Validated], name: str) -> NDArray[np.float64]:
    return np.array([getattr(item, name) for item in evaluations], np.float64)


def _median(curves: list[list[Validated]], name: str) -> NDArray[np.float64]:
    return np.asarray(np.median([_values(curve, name) for curve in curves], axis=0), np.float64)


def _finish_quality(axes: Axes, analysis: Analysis, effort: str, quality: str) -> None:
    floor = analysis.original_loss_floor
    if quality == "original_loss":
        axes.set_yscale("log")
        _mark_bound(axes, floor, "least possible", side="top")
        axes.set_ylim(bottom=0.9 * floor if floor else None)
    else:
        axes.set_yscale("symlog", linthresh=LINEAR_WRONG_BITS)
        axes.set_ylim(bottom=0)
    _mark_bound(axes, getattr(analysis.run.target, quality), "target")
    plain_number = FuncFormatter(lambda value, _: number(value))
    axes.yaxis.set_major_formatter(plain_number)
    if quality == "original_loss":
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda value, _: number(value) if f"{value:e}"[0] in "25" else ""))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    finish_axes(axes, "", EFFORTS[effort], QUALITIES[quality])
    axes.set_xlim(left=0)


def _mark_bound(axes: Axes, bound: float | None, name: str, side: str = "bottom") -> None:
    """A line with its text above it, or with its top below it."""
    if bound is None:
        return
    axes.axhline(bound, color=QUIET, linewidth=1, linestyle=(0, (1, 2)))
    text = f"{name}, {number(bound)}"
    axes.text(0.995, bound, text, ha="right", va=side, transform=axes.get_yaxis_transform(), **NOTE)


def _draw_positions(axes: Axes, variant: Variant, positions: PositionErrors) -> None:
    variants, at = list(positions.errors), np.arange(1, positions.length + 1)
    median, low, high = positions.percents(variant)
    axes.fill_between(at, low, high, color=colour(variant, variants), alpha=0.15, linewidth=0)
    axes.plot(at, median, marker="o", markersize=4, clip_on=False, **line(variant, variants))


def _finish_positions(axes: Axes, length: int, *, is_trained: bool) -> None:
    trained = "" if is_trained else ", not trained"
    finish_axes(axes, f"Length {length}{trained}", "position in the pattern", "wrong bits, %")
    middle = np.flatnonzero(middle_third(length)) + 1
    if length >= 3:
        axes.axvspan(middle[0] - 0.5, middle[-1] + 0.5, color="#EEEEEE", zorder=0)
        axes.text(
            middle.mean(), 0.99, "middle third", ha="center", va="top", transform=axes.get_xaxis_transform(), **NOTE
        )
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 0.1))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
