"""The rows of a sweep, and what several ranks make of a cell: efficiency with its interval.

Strong scaling keeps the global batch, weak scaling the rows of each rank. In both, the efficiency of N ranks is their
sequences a second over N times those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from harness.analysis.analysis import Analysis
from harness.analysis.stats import Interval, ratio_interval
from harness.analysis.summary import SummaryRow

# Sequences a second of every process, by backend, implementation and precision.
Rates = Mapping[tuple[str, str, str], list[float]]

STRONG, WEAK = "ranks-strong", "ranks-weak"
AXES = (STRONG, WEAK)
SHARED_MACHINE = (
    "The ranks share one machine's processors, memory and caches, and speak over its loopback: these figures prove that"
    " the ranks are right, and do not show how they scale."
)


@dataclass(frozen=True, kw_only=True)
class SweepRow:
    """sweep: a row of a point's summary; efficiency only on an axis of ranks, where one process was measured too."""

    axis: str
    value: int
    backend: str
    implementation: str
    precision: str
    device: str | None
    status: str
    sequences_per_s: float | None
    sequences_per_s_low: float | None
    sequences_per_s_high: float | None
    step_ms: float | None
    gflop_per_s: float | None
    ceiling_share: float | None
    exchange_share: float | None
    verified: bool | None
    reason: str | None
    efficiency: float | None = None
    efficiency_low: float | None = None
    efficiency_high: float | None = None


def sweep_rows(points: Mapping[tuple[str, int], Analysis]) -> list[SweepRow]:
    """The rows of every point, by axis and value, in their order."""
    rates = {point: _find_rates(analysis) for point, analysis in points.items()}
    rows = []
    for (axis, value), analysis in points.items():
        together, alone = rates[axis, value], rates.get((axis, 1), {})
        for row in analysis.summary:
            key = row.backend, row.implementation, row.precision
            is_scaled = axis in AXES and bool(together.get(key) and alone.get(key))
            scaled = efficiency(together[key], alone[key], value) if is_scaled else None
            rows.append(_make_row(axis, value, row, scaled))
    return rows


def efficiency(together: list[float], alone: list[float], ranks: int) -> Interval:
    """The median rate of `ranks` ranks over so many times that of one process, with its interval."""
    ratio = ratio_interval(together, alone, paired=False)
    bounds = (None if bound is None else bound / ranks for bound in (ratio.low, ratio.high))
    return Interval(ratio.estimate / ranks, *bounds)


def _make_row(axis: str, value: int, row: SummaryRow, scaled: Interval | None) -> SweepRow:
    known = {field.name: getattr(row, field.name) for field in fields(SweepRow) if hasattr(row, field.name)}
    if scaled:
        known |= {"efficiency": scaled.estimate, "efficiency_low": scaled.low, "efficiency_high": scaled.high}
    return SweepRow(axis=axis, value=value, **known)


def _find_rates(analysis: Analysis) -> Rates:
    variants = analysis.variants
    return {(each.backend, each.implementation, each.precision): list(each.rates.values()) for each in variants}
