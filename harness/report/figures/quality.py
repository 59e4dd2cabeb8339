"""Quality on the validation data against training sequences and seconds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray

from harness.analysis.analysis import Analysis
from harness.analysis.variants import Variant
from harness.records.structs import Validated
from harness.report.figures.loss import scale_losses
from harness.report.figures.style import (
    LINE_WIDTH,
    PAGE,
    QUIET,
    add_readouts,
    colour,
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

# Below this the axis of wrong bits is linear, so that none at all has a place on it.
LINEAR_WRONG_BITS = 0.1
WRONG_BITS_TICKS = (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0)
MEASURES = {
    "original_loss": ("Original loss", "nats (log scale)"),
    "wrong_bits_per_sequence": ("Wrong bits", f"wrong bits a sequence\n(log scale, linear below {LINEAR_WRONG_BITS})"),
    "bits_per_sequence": ("Bits", "bits a sequence (log scale)"),
}
# Those that a target can be set for.
QUALITIES = ("original_loss", "wrong_bits_per_sequence")
STAR: dict[str, Any] = {"marker": "*", "s": 130, "edgecolor": PAGE, "linewidth": 0.7}
EFFORTS = {
    "sequences": ("sequences", "training sequences"),
    "elapsed_s": ("time", "seconds, evaluations included"),
}


def plot_quality(analysis: Analysis) -> Figure | None:
    """The validation measures against sequences and seconds: a faint line for each seed, the median of all, and a
    marker where a seed met the target."""
    learned = [variant for variant in analysis.variants if any(cell.evaluations for cell in variant.cells)]
    if not learned:
        return None
    figure, panels = make_panels(len(QUALITIES) * len(EFFORTS), len(learned) + 1)
    shown = [(quality, effort) for quality in QUALITIES for effort in EFFORTS]
    for axes, (quality, effort) in zip(panels, shown, strict=True):
        for variant in learned:
            _draw_quality(axes, variant, learned, effort, quality)
        finish_quality(axes, analysis, effort, quality)
        axes.set_xlim(left=0)
        _tell_quality(axes, learned, effort, quality)
    if any(cell.target_reached for variant in learned for cell in variant.cells):
        panels[0].scatter([], [], label="a seed meets the target", **STAR, color=QUIET)
    name_lines(figure, panels)
    return figure


def _draw_quality(axes: Axes, variant: Variant, variants: list[Variant], effort: str, quality: str) -> None:
    curves = [cell.evaluations for cell in variant.cells if cell.evaluations]
    tint = colour(variant, variants)
    for evaluations in curves if len(curves) > 1 else []:
        each_seed = _values(evaluations, effort), _values(evaluations, quality)
        axes.plot(*each_seed, color=tint, linewidth=LINE_WIDTH, alpha=0.3)
    at, median = median_curve(variant, effort), median_curve(variant, quality)
    axes.plot(at, median, markevery=spread_markers(variant, variants, at.size), **line(variant, variants))
    reached = [cell.target_reached for cell in variant.cells if cell.target_reached]
    axes.scatter(_values(reached, effort), _values(reached, quality), zorder=6, **STAR, color=tint)


def _values(evaluations: Iterable[Validated], name: str) -> NDArray[np.float64]:
    return np.array([getattr(item, name) for item in evaluations], np.float64)


def median_curve(variant: Variant, name: str) -> NDArray[np.float64]:
    """Over the evaluations that every seed reached: further on, a median would be over other seeds than before."""
    curves = [cell.evaluations for cell in variant.cells if cell.evaluations]
    n_common = min(map(len, curves))
    return np.asarray(np.median([_values(curve[:n_common], name) for curve in curves], axis=0), np.float64)


def finish_quality(axes: Axes, analysis: Analysis, effort: str, quality: str) -> None:
    """The scale of a measure, the least that the original loss can be, the target, and the texts."""
    if quality != "wrong_bits_per_sequence":
        scale_losses(axes, analysis.original_loss_floor if quality == "original_loss" else None)
    else:
        # The linear part is as high as a decade.
        axes.set_yscale("symlog", linthresh=LINEAR_WRONG_BITS, linscale=0.9)
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_locator(FixedLocator(WRONG_BITS_TICKS))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    target = getattr(analysis.run.target, quality, None)
    if target is not None:
        mark_line(axes, target, f"target, {number(target)}")
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    (name, unit), (against, x_label) = MEASURES[quality], EFFORTS[effort]
    finish_axes(axes, f"{name} by {against}", x_label, unit)


def _tell_quality(axes: Axes, variants: list[Variant], effort: str, quality: str) -> None:
    """What each variant's latest evaluation had shown by each effort of the longest curve."""
    curves = {variant: (median_curve(variant, effort), median_curve(variant, quality)) for variant in variants}
    longest = max((at for at, _ in curves.values()), key=lambda at: float(at[-1]))
    shown = np.unique(longest)
    shown = shown[pick_readouts(shown.size)]
    name = EFFORTS[effort][1].partition(",")[0]
    add_readouts(
        axes, shown.tolist(), [readout_text(f"{number(x)} {name}", _latest(curves, x)) for x in shown.tolist()]
    )


def _latest(
    curves: Mapping[Variant, tuple[NDArray[np.float64], NDArray[np.float64]]], x: float
) -> Iterable[tuple[Variant, str]]:
    for variant, (at, values) in curves.items():
        n_past = int(np.searchsorted(at, x, side="right"))
        if n_past:
            yield variant, number(values[n_past - 1])
