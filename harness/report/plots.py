"""The plots of what a run learned: loss, bit error by length. Each is a Figure, or None where nothing is known."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.bit_errors import LengthErrors
from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.quantities import number
from harness.report.style import QUIET, colour, finish_axes, line, make_figure

# A trailing mean over 1 % of the run, at most 200 steps, hides the noise of batches but no trend.
SMOOTHED_FRACTION, LARGEST_WINDOW = 0.01, 200
ERROR_TICKS = [0, 0.1, 1, 10, 50, 100]
CHANCE = 50
NEXT_TICK_RATIO = 1.18
NOTE: dict[str, Any] = {"color": QUIET, "fontsize": 9}


def plot_loss(analysis: Analysis) -> Figure | None:
    """Training loss against the optimiser step: medians over cells, smoothed, with the range between cells."""
    variants = analysis.variants
    learned = [variant for variant in variants if loss_curves(variant).size]
    if not learned:
        return None
    figure = make_figure(9, 5)
    axes = figure.subplots()
    for variant in learned:
        _draw_curve(axes, variant, learned)
    _draw_floor(axes, analysis.train_loss_floor)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    axes.yaxis.set_minor_formatter(FuncFormatter(_minor_label))
    finish_axes(axes, "Training loss", "optimiser step", "cross-entropy, nats")
    axes.legend(frameon=False, handlelength=4)
    return figure


def plot_bit_error(analysis: Analysis) -> Figure | None:
    """Bit error against length: medians over cells with the range between them; zero is on the axis."""
    run, variants = analysis.run, analysis.variants
    measured = [variant for variant in variants if analysis.bit_errors[variant]]
    if not measured:
        return None
    figure = make_figure(9, 5)
    axes = figure.subplots()
    for variant in measured:
        _draw_errors(axes, variant, analysis.bit_errors[variant], measured)
    _mark_chance_and_training(axes, run)
    _scale_error_axes(axes, analysis.lengths, run)
    finish_axes(axes, "Bit error by length", "length of the pattern, vectors (log scale)", "wrong bits, % (log scale)")
    axes.legend(frameon=False, handlelength=4, loc="lower right")
    return figure


def smooth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """The trailing mean (steps,); the first values average what there is."""
    window = max(1, min(LARGEST_WINDOW, int(values.size * SMOOTHED_FRACTION)))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, values.size + 1)
    start = np.maximum(end - window, 0)
    return np.asarray((sums[end] - sums[start]) / (end - start), np.float64)


def loss_curves(variant: Variant) -> NDArray[np.float64]:
    """The losses of a variant's cells up to the shortest (cells, steps)."""
    curves = [curve for curve in map(measures.losses, variant.cells) if curve.size]
    n_steps = min((curve.size for curve in curves), default=0)
    return np.array([curve[:n_steps] for curve in curves], np.float64)


def _draw_curve(axes: Axes, variant: Variant, variants: list[Variant]) -> None:
    curves = loss_curves(variant)
    smoothed = np.array([smooth(curve) for curve in curves])
    steps = np.arange(1, curves.shape[1] + 1)
    tint = colour(variant, variants)
    axes.plot(steps, np.median(curves, axis=0), color=tint, linewidth=0.5, alpha=0.25, zorder=2)
    if len(curves) > 1:
        axes.fill_between(steps, smoothed.min(axis=0), smoothed.max(axis=0), color=tint, alpha=0.15, linewidth=0)
    axes.plot(steps, np.median(smoothed, axis=0), **line(variant, variants))


def _draw_floor(axes: Axes, floor: float | None) -> None:
    if floor is not None:
        label = f"least possible on the test set: {number(floor)}"
        axes.axhline(floor, color=QUIET, linewidth=1, linestyle=(0, (1, 2)), label=label)


def _minor_label(value: float, _: int) -> str:
    leading = f"{value:e}"[0]
    return number(value) if leading in "25" else ""


def _draw_errors(axes: Axes, variant: Variant, errors: dict[int, LengthErrors], variants: list[Variant]) -> None:
    lengths = list(errors)
    percents = [100 * each.median for each in errors.values()]
    if len(variant.cells) > 1:
        low, high = [100 * each.low for each in errors.values()], [100 * each.high for each in errors.values()]
        axes.fill_between(lengths, low, high, color=colour(variant, variants), alpha=0.15, linewidth=0)
    properties = line(variant, variants)
    axes.plot(lengths, percents, marker="o", markersize=properties["linewidth"] + 2.5, clip_on=False, **properties)


def _mark_chance_and_training(axes: Axes, run: Run) -> None:
    longest = run.task.max_length
    axes.axhline(CHANCE, color=QUIET, linewidth=1, linestyle=(0, (1, 2)))
    axes.text(0.005, CHANCE, "chance, 50 %", va="bottom", transform=axes.get_yaxis_transform(), **NOTE)
    axes.axvline(longest, color=QUIET, linewidth=1)
    # A longest length at the right edge leaves no room on that side.
    side = "right" if longest >= axes.dataLim.x1 else "left"
    label = f" longest trained length: {longest} "
    axes.text(longest, 0.99, label, ha=side, va="top", transform=axes.get_xaxis_transform(), **NOTE)


def _scale_error_axes(axes: Axes, lengths: list[int], run: Run) -> None:
    axes.set_yscale("symlog", linthresh=ERROR_TICKS[1], linscale=0.5)
    axes.set_ylim(0, 100)
    axes.set_yticks(ERROR_TICKS, [number(tick) for tick in ERROR_TICKS])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(pick_ticks(lengths, run.task.max_length)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def pick_ticks(lengths: list[int], kept: int, ratio: float = NEXT_TICK_RATIO) -> list[int]:
    """Lengths far enough apart to be labelled on a log axis; `kept` is always among them where it is a length."""
    ticks: list[int] = [kept] if kept in lengths else []
    for length in lengths:
        if all(max(length, tick) >= ratio * min(length, tick) for tick in ticks):
            ticks.append(length)
    return sorted(ticks)
