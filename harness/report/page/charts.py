"""The page's charts of what a run learned: loss by step and by time, bit error by length and by position."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.bit_errors import LengthErrors
from harness.analysis.positions import PositionErrors
from harness.analysis.variants import Variant
from harness.report.page.chart import LineChart, Rule, Series, draw_band, draw_dots, draw_line, thin
from harness.report.page.look import find_look
from harness.report.page.scale import Scale, linear, log_ticks, logarithmic, round_ticks, symmetric_log
from harness.report.plots import CHANCE, ERROR_TICKS, loss_curves, pick_ticks, smooth
from harness.report.quantities import integer, number

# A phone has room for a label every so often on a log axis.
LABEL_RATIO = 1.45
N_POSITIONS = 5
# The axis of wrong bits reaches at least as far, so that no wrong bit at all is a line at its foot.
LEAST_PERCENT = 0.1
Curve = NDArray[np.float64]


def chart_losses(analysis: Analysis) -> list[LineChart]:
    """Training loss by optimiser step, and by seconds since training began; none where no loss was recorded."""
    variants = analysis.variants
    learned = [variant for variant in variants if loss_curves(variant).size]
    if not learned:
        return []
    floor = analysis.train_loss_floor
    by_step = _chart_loss(floor, learned, "Training loss by step", "optimiser step", _steps)
    timed = [variant for variant in learned if np.isfinite(_seconds(variant)).all()]
    by_time = _chart_loss(
        analysis.train_loss_floor, timed, "Training loss by time", "seconds since training began", _seconds
    )
    return [by_step, by_time] if timed else [by_step]


def chart_bit_error(analysis: Analysis) -> LineChart | None:
    """Bit error by the length of the pattern: medians over processes with their range."""
    run, variants = analysis.run, analysis.variants
    errors, lengths = analysis.bit_errors, analysis.lengths
    measured = [variant for variant in variants if errors[variant]]
    if not measured:
        return None
    x, y = logarithmic(lengths[0], lengths[-1]), symmetric_log(ERROR_TICKS[1], 100)
    longest = run.task.max_length
    rules = [Rule(_percent_of(y, CHANCE), "guessing, 50 %")]
    if lengths[0] <= longest <= lengths[-1]:
        rules.append(Rule(_percent_of(x, longest), f"longest trained, {longest}", is_upright=True))
    return LineChart(
        title="Bit error by length",
        x_label="length of the pattern, vectors (log scale)",
        y_label="wrong bits, % (log scale above 0.1)",
        x_ticks=x.ticks(pick_ticks(lengths, longest, LABEL_RATIO), integer),
        y_ticks=y.ticks(ERROR_TICKS, number),
        series=[_error_series(variant, errors[variant], measured, x, y) for variant in measured],
        rules=rules,
    )


def chart_positions(analysis: Analysis) -> list[LineChart]:
    """Bit error by the position in the pattern, a chart for each length: medians over processes with their range."""
    return [_chart_position(positions) for positions in analysis.positions]


def _chart_loss(
    floor: float | None, variants: list[Variant], title: str, x_label: str, place: Callable[[Variant], Curve]
) -> LineChart:
    smoothed = {variant: np.array([smooth(curve) for curve in loss_curves(variant)]) for variant in variants}
    ends = [value for curves in smoothed.values() for value in (np.nanmin(curves), np.nanmax(curves))]
    low, high = 0.93 * min([*ends, floor] if floor else ends), 1.05 * max(ends)
    y = logarithmic(low, high) if low > 0 else linear(low, high)
    x = linear(0, max(float(place(variant)[-1]) for variant in variants))
    rules = [Rule(_percent_of(y, floor), f"least possible, {number(floor)}")] if floor else []
    return LineChart(
        title=title,
        x_label=x_label,
        y_label="cross-entropy, nats (log scale)",
        x_ticks=x.ticks(round_ticks(x.low, x.high), number),
        y_ticks=y.ticks(log_ticks(low, high) if low > 0 else round_ticks(low, high), number),
        series=[_loss_series(variant, smoothed[variant], place(variant), variants, x, y) for variant in variants],
        rules=rules,
    )


def _loss_series(variant: Variant, smoothed: Curve, at: Curve, variants: list[Variant], x: Scale, y: Scale) -> Series:
    kept = thin(smoothed.shape[1])
    curves, places = smoothed[:, kept], at[kept]
    band = draw_band(x, y, places, curves.min(axis=0), curves.max(axis=0)) if len(curves) > 1 else ""
    return Series(find_look(variant, variants), draw_line(x, y, places, np.median(curves, axis=0)), band)


def _steps(variant: Variant) -> Curve:
    return np.arange(1, loss_curves(variant).shape[1] + 1, dtype=np.float64)


def _seconds(variant: Variant) -> Curve:
    """The median over processes of the seconds at the end of each step (steps,)."""
    elapsed = [measures.elapsed_s(cell) for cell in variant.cells]
    n_steps = loss_curves(variant).shape[1]
    return np.median([each[:n_steps] for each in elapsed if each.size], axis=0)


def _error_series(
    variant: Variant, errors: dict[int, LengthErrors], variants: list[Variant], x: Scale, y: Scale
) -> Series:
    lengths, percents = list(errors), [100 * each.median for each in errors.values()]
    low, high = [100 * each.low for each in errors.values()], [100 * each.high for each in errors.values()]
    return Series(
        look=find_look(variant, variants),
        line=draw_line(x, y, lengths, percents),
        band=draw_band(x, y, lengths, low, high) if len(variant.cells) > 1 else "",
        dots=draw_dots(x, y, lengths, percents),
    )


def _chart_position(positions: PositionErrors) -> LineChart:
    length, highest = positions.length, 100 * max(float(errors.max()) for errors in positions.errors.values())
    x, y = linear(min(1, length - 1), length), linear(0, 1.05 * max(highest, LEAST_PERCENT))
    trained = "trained" if positions.is_trained else "not trained"
    return LineChart(
        title=f"Length {length} ({trained})",
        x_label="position in the pattern",
        y_label="wrong bits, %",
        x_ticks=x.ticks(sorted({round(tick) for tick in np.linspace(1, length, N_POSITIONS)}), _integer),
        y_ticks=y.ticks(round_ticks(0, y.high, 4), number),
        series=[_position_series(positions, variant, x, y) for variant in positions.errors],
        rules=[Rule(_percent_of(y, CHANCE), "guessing")] if y.high > CHANCE else [],
    )


def _position_series(positions: PositionErrors, variant: Variant, x: Scale, y: Scale) -> Series:
    at = np.arange(1, positions.length + 1)
    median, low, high = positions.percents(variant)
    band = draw_band(x, y, at, low, high) if len(positions.errors[variant]) > 1 else ""
    return Series(find_look(variant, list(positions.errors)), draw_line(x, y, at, median), band)


def _integer(value: float) -> str:
    return f"{value:,.0f}"


def _percent_of(scale: Scale, value: float) -> float:
    return round(100 * float(scale.share(value)), 2)
