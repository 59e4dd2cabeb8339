"""The page's charts of quality on the validation data: wrong bits by training sequences, and by seconds."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.analysis.analysis import Analysis
from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.page.chart import LineChart, Rule, Series, draw_band, draw_line
from harness.report.page.look import find_look
from harness.report.page.scale import Scale, linear, round_ticks, symmetric_log
from harness.report.quantities import number

# Below this the axis is linear, so that no wrong bit at all has a place on it.
LINEAR_WRONG_BITS = 0.1
TICKS = (0.0, 0.1, 1.0, 10.0, 100.0, 1000.0)
EFFORTS = {
    "sequences": ("Wrong bits by sequences", "training sequences"),
    "elapsed_s": ("Wrong bits by time", "seconds, evaluations included"),
}


def chart_quality(analysis: Analysis) -> list[LineChart]:
    """Medians over seeds with their range; none where nothing was evaluated while training went on."""
    run, variants = analysis.run, analysis.variants
    measured = [variant for variant in variants if any(cell.evaluations for cell in variant.cells)]
    return [_chart(run, measured, effort) for effort in EFFORTS] if measured else []


def _chart(run: Run, variants: list[Variant], effort: str) -> LineChart:
    title, x_label = EFFORTS[effort]
    efforts = {variant: _curves(variant, effort) for variant in variants}
    wrong = {variant: _curves(variant, "wrong_bits_per_sequence") for variant in variants}
    x = linear(0, max(float(curves.max()) for curves in efforts.values()))
    y = symmetric_log(LINEAR_WRONG_BITS, 1.05 * max(1.0, *(float(curves.max()) for curves in wrong.values())))
    bound = run.target.wrong_bits_per_sequence
    return LineChart(
        title=title,
        x_label=x_label,
        y_label="wrong bits a sequence (log scale above 0.1)",
        x_ticks=x.ticks(round_ticks(x.low, x.high), number),
        y_ticks=y.ticks(TICKS, number),
        series=[_series(variant, variants, efforts[variant], wrong[variant], x, y) for variant in variants],
        rules=[] if bound is None else [Rule(round(100 * float(y.share(bound)), 2), f"target, {number(bound)}")],
    )


def _curves(variant: Variant, name: str) -> NDArray[np.float64]:
    """A measure at the evaluations that every seed reached (seeds, evaluations)."""
    known = [cell.evaluations for cell in variant.cells if cell.evaluations]
    n_common = min(map(len, known))
    return np.array([[getattr(item, name) for item in items[:n_common]] for items in known], np.float64)


def _series(
    variant: Variant,
    variants: list[Variant],
    efforts: NDArray[np.float64],
    wrong: NDArray[np.float64],
    x: Scale,
    y: Scale,
) -> Series:
    at = np.median(efforts, axis=0)
    band = draw_band(x, y, at, wrong.min(axis=0), wrong.max(axis=0)) if len(wrong) > 1 else ""
    return Series(find_look(variant, variants), draw_line(x, y, at, np.median(wrong, axis=0)), band)
