"""What several ranks make of a cell: efficiency with its interval, and the share of a step that exchanges take.

Strong scaling keeps the global batch, weak scaling the rows of each rank. In both, the efficiency of N ranks is their
sequences a second over N times those of one process.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.analysis.stats import Interval, ratio_interval
from harness.analysis.variants import Variant

Row = dict[str, Any]
Key = tuple[str, str, str]

STRONG, WEAK = "ranks-strong", "ranks-weak"
AXES = (STRONG, WEAK)
EFFICIENCY = ("efficiency", "efficiency_low", "efficiency_high")
SHARED_MACHINE = (
    "The ranks share one machine's processors, memory and caches, and speak over its loopback: these figures prove that"
    " the ranks are right, and do not show how they scale."
)


def with_efficiency(rows: list[Row], measured: Mapping[tuple[str, int], list[Variant]]) -> list[Row]:
    """The rows of a sweep, those of an axis of ranks with their efficiency where one process was measured as well.

    It is computed from every process' own rate; measured has the variants of each point, by axis and value.
    """
    rates = {point: _find_rates(variants) for point, variants in measured.items() if point[0] in AXES}
    return [{**row, **_efficiency(row, rates)} for row in rows]


def _find_rates(variants: list[Variant]) -> dict[Key, list[float]]:
    """Sequences a second of every process, by backend, implementation and precision."""
    return {(each.backend, each.implementation, each.precision): list(each.rates.values()) for each in variants}


def efficiency(together: list[float], alone: list[float], ranks: int) -> Interval:
    """The median rate of `ranks` ranks over so many times that of one process, with its interval."""
    ratio = ratio_interval(together, alone, paired=False)
    bounds = (None if bound is None else bound / ranks for bound in (ratio.low, ratio.high))
    return Interval(ratio.estimate / ranks, *bounds)


def _efficiency(row: Row, rates: Mapping[tuple[str, int], Mapping[Key, list[float]]]) -> Row:
    key = row["backend"], row["implementation"], row["precision"]
    together, alone = (rates.get((row["axis"], ranks), {}).get(key) for ranks in (row["value"], 1))
    if not together or not alone:
        return dict.fromkeys(EFFICIENCY)
    measured = efficiency(together, alone, row["value"])
    return dict(zip(EFFICIENCY, (measured.estimate, measured.low, measured.high), strict=True))
