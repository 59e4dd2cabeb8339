"""Bit error by the length of the pattern, and by the position in it."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from harness.analysis.analysis import Analysis
from harness.analysis.bit_errors import LengthErrors
from harness.analysis.positions import PositionErrors
from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.figures.style import (
    NOTE,
    QUIET,
    SHADE,
    add_readouts,
    colour,
    draw_band,
    finish_axes,
    line,
    make_panels,
    mark_line,
    name_lines,
    readout_text,
    spread_markers,
)
from harness.report.quantities import integer, number, percent
from harness.task.metrics import middle_third

ERROR_TICKS = [0, 0.1, 1, 10, 100]
CHANCE = 50
NEXT_TICK_RATIO = 1.45
# The axis of wrong bits reaches at least as far, so that no wrong bit at all is a line at its foot.
LEAST_PERCENT = 0.1
SHORTEST_WITH_MIDDLE = 3
# The height of the axis over that of what is drawn, where a name stands above it.
NAME_ROOM = 1.15


def plot_bit_error(analysis: Analysis) -> Figure | None:
    """Bit error against length: medians over cells with the range between them; zero is on the axis."""
    medians = {variant: analysis.bit_errors[variant] for variant in analysis.variants if analysis.bit_errors[variant]}
    if not medians:
        return None
    figure, (axes,) = make_panels(1, len(medians))
    for variant, errors in medians.items():
        _draw_errors(axes, variant, list(medians), errors)
    lengths = analysis.lengths
    _mark_chance_and_training(axes, analysis.run, lengths)
    _scale_error_axes(axes, lengths, analysis.run)
    y_label = f"wrong bits, % (log scale,\nlinear below {number(ERROR_TICKS[1])})"
    finish_axes(axes, "Bit error by length", "length of the pattern, vectors (log scale)", y_label)
    texts = [
        readout_text(
            f"length {integer(each)}",
            [(v, percent(errors[each].median)) for v, errors in medians.items() if each in errors],
        )
        for each in lengths
    ]
    add_readouts(axes, lengths, texts)
    name_lines(figure, [axes])
    return figure


def plot_positions(analysis: Analysis) -> Figure | None:
    """Bit error by position in the pattern, a panel for each length: medians over cells with their range."""
    measured = analysis.positions
    if not measured:
        return None
    figure, panels = make_panels(len(measured), max(len(each.errors) for each in measured))
    for axes, positions in zip(panels, measured, strict=True):
        _draw_positions(axes, positions)
    name_lines(figure, panels)
    return figure


def pick_ticks(lengths: list[int], kept: int, ratio: float = NEXT_TICK_RATIO) -> list[int]:
    """Lengths far enough apart to be labelled on a log axis; `kept` is always among them where it is a length."""
    ticks: list[int] = [kept] if kept in lengths else []
    for length in lengths:
        if all(max(length, tick) >= ratio * min(length, tick) for tick in ticks):
            ticks.append(length)
    return sorted(ticks)


def _draw_errors(axes: Axes, variant: Variant, variants: list[Variant], errors: dict[int, LengthErrors]) -> None:
    lengths = list(errors)
    if len(variant.cells) > 1:
        low, high = [100 * each.low for each in errors.values()], [100 * each.high for each in errors.values()]
        draw_band(axes, lengths, low, high, colour(variant, variants))
    axes.plot(lengths, [100 * each.median for each in errors.values()], clip_on=False, **line(variant, variants))


def _mark_chance_and_training(axes: Axes, run: Run, lengths: list[int]) -> None:
    longest = run.task.max_length
    mark_line(axes, CHANCE, "guessing, 50 %", side="top")
    if not lengths[0] <= longest <= lengths[-1]:
        return
    axes.axvline(longest, color=QUIET, linewidth=1)
    # The text is on the side with more room: at the left above the few errors that trained lengths have, at the right
    # below the many of longer ones.
    side, height = ("right", 0.55) if longest**2 > lengths[0] * lengths[-1] / 2 else ("left", 0.12)
    label = f" longest trained, {longest} "
    axes.text(longest, height, label, ha=side, transform=axes.get_xaxis_transform(), **NOTE)


def _scale_error_axes(axes: Axes, lengths: list[int], run: Run) -> None:
    axes.set_yscale("symlog", linthresh=ERROR_TICKS[1], linscale=0.9)
    axes.set_ylim(0, 100)
    axes.set_yticks(ERROR_TICKS, [number(tick) for tick in ERROR_TICKS])
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(pick_ticks(lengths, run.task.max_length)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _draw_positions(axes: Axes, positions: PositionErrors) -> None:
    variants, at = list(positions.errors), np.arange(1, positions.length + 1)
    medians = {}
    for variant in variants:
        medians[variant], low, high = positions.percents(variant)
        draw_band(axes, at, low, high, colour(variant, variants))
        markers = spread_markers(variant, variants, at.size)
        axes.plot(at, medians[variant], markevery=markers, clip_on=False, **line(variant, variants))
    trained = "trained" if positions.is_trained else "not trained"
    finish_axes(axes, f"Length {positions.length} ({trained})", "position in the pattern", "wrong bits, %")
    axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], LEAST_PERCENT))
    if positions.length >= SHORTEST_WITH_MIDDLE:
        _mark_middle(axes, positions.length)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    texts = [
        readout_text(f"position {n}", [(v, percent(median[n - 1] / 100)) for v, median in medians.items()])
        for n in at.tolist()
    ]
    add_readouts(axes, at.tolist(), texts)


def _mark_middle(axes: Axes, length: int) -> None:
    """Shade the middle third, with its name in a head room that the lines leave free."""
    axes.set_ylim(top=NAME_ROOM * axes.get_ylim()[1])
    middle = np.flatnonzero(middle_third(length)) + 1
    axes.axvspan(middle[0] - 0.5, middle[-1] + 0.5, color=SHADE, zorder=0)
    axes.text(middle.mean(), 0.99, "middle third", ha="center", va="top", transform=axes.get_xaxis_transform(), **NOTE)
