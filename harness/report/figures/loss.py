"""Training loss by optimiser step, and by seconds since training began."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FuncFormatter, LogLocator, NullLocator
from numpy.typing import NDArray

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.variants import Variant
from harness.report.figures.style import (
    add_readouts,
    colour,
    draw_band,
    finish_axes,
    line,
    make_panels,
    mark_line,
    name_lines,
    pick_readouts,
    readout_text,
    spread_markers,
)
from harness.report.quantities import number

# A trailing mean over 1 % of the run, at most 200 steps, hides the noise of batches but no trend.
SMOOTHED_FRACTION, LARGEST_WINDOW = 0.01, 200
# More points than this are not told apart on a line.
MOST_POINTS = 300
# Below the least possible loss is its text.
ROOM_BELOW = 0.6
# Above the highest loss, of the height of the axis.
HEAD_ROOM = 0.05
Curve = NDArray[np.float64]
Place = Callable[[Variant], Curve]


def plot_loss(analysis: Analysis) -> Figure | None:
    """Medians over cells, smoothed, with the range between cells; by time where every step's time is known."""
    learned = [variant for variant in analysis.variants if loss_curves(variant).size]
    if not learned:
        return None
    timed = [variant for variant in learned if np.isfinite(_seconds(variant)).all()]
    figure, panels = make_panels(2 if timed else 1, len(learned))
    floor, y_label = analysis.train_loss_floor, "cross-entropy, nats (log scale)"
    _draw_panel(panels[0], learned, _steps, floor)
    finish_axes(panels[0], "Training loss by step", "optimiser step", y_label)
    for axes in panels[1:]:
        _draw_panel(axes, timed, _seconds, floor)
        finish_axes(axes, "Training loss by time", "seconds since training began", y_label)
    name_lines(figure, panels)
    return figure


def smooth(values: Curve) -> Curve:
    """The trailing mean (steps,); the first values average what there is."""
    window = max(1, min(LARGEST_WINDOW, int(values.size * SMOOTHED_FRACTION)))
    sums = np.cumsum(np.concatenate([[0.0], values]))
    end = np.arange(1, values.size + 1)
    start = np.maximum(end - window, 0)
    return np.asarray((sums[end] - sums[start]) / (end - start), np.float64)


def loss_curves(variant: Variant) -> Curve:
    """The losses of a variant's cells up to the shortest (cells, steps)."""
    curves = [curve for curve in map(measures.losses, variant.cells) if curve.size]
    n_steps = min((curve.size for curve in curves), default=0)
    return np.array([curve[:n_steps] for curve in curves], np.float64)


def scale_losses(axes: Axes, floor: float | None) -> None:
    """A log axis with room for the text of the least possible loss, and lines a third of a decade apart."""
    axes.set_yscale("log")
    axes.set_ylim(bottom=ROOM_BELOW * floor if floor else None)
    # Matplotlib's margin is a share of the curves' range, which is nothing for a loss that does not fall.
    low, high, highest = *axes.get_ylim(), axes.dataLim.y1
    axes.set_ylim(top=max(high, highest * (highest / low) ** HEAD_ROOM))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    if floor is not None:
        mark_line(axes, floor, f"least possible, {number(floor)}", side="top")


def _draw_panel(axes: Axes, variants: list[Variant], place: Place, floor: float | None) -> None:
    smoothed = {variant: np.array([smooth(curve) for curve in loss_curves(variant)]) for variant in variants}
    for variant in variants:
        _draw_curve(axes, variant, variants, smoothed[variant], place(variant))
    scale_losses(axes, floor)
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.set_xlim(left=0)
    _tell_losses(axes, {variant: (place(variant), np.median(curves, axis=0)) for variant, curves in smoothed.items()})


def _draw_curve(axes: Axes, variant: Variant, variants: list[Variant], smoothed: Curve, at: Curve) -> None:
    kept = np.unique(np.linspace(0, at.size - 1, min(at.size, MOST_POINTS)).round().astype(np.int64))
    curves, places = smoothed[:, kept], at[kept]
    if len(curves) > 1:
        draw_band(axes, places, curves.min(axis=0), curves.max(axis=0), colour(variant, variants))
    markers = spread_markers(variant, variants, places.size)
    axes.plot(places, np.median(curves, axis=0), markevery=markers, **line(variant, variants))


def _tell_losses(axes: Axes, curves: dict[Variant, tuple[Curve, Curve]]) -> None:
    """Each variant's loss at places along the longest curve, as far as it goes."""
    longest = max((at for at, _ in curves.values()), key=lambda at: float(at[-1]))
    shown = longest[pick_readouts(longest.size)].tolist()
    add_readouts(axes, shown, [readout_text(number(x), _losses_at(curves, x)) for x in shown])


def _losses_at(curves: dict[Variant, tuple[Curve, Curve]], x: float) -> Iterator[tuple[Variant, str]]:
    for variant, (at, losses) in curves.items():
        if x <= at[-1]:
            yield variant, number(losses[int(np.searchsorted(at, x))])


def _steps(variant: Variant) -> Curve:
    return np.arange(1, loss_curves(variant).shape[1] + 1, dtype=np.float64)


def _seconds(variant: Variant) -> Curve:
    """The median over processes of the seconds at the end of each step (steps,)."""
    elapsed = [measures.elapsed_s(cell) for cell in variant.cells]
    n_steps = loss_curves(variant).shape[1]
    return np.median([each[:n_steps] for each in elapsed if each.size], axis=0)
