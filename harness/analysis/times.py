"""Where the time of a process went."""

from __future__ import annotations

from harness.analysis.variants import Variant
from harness.records.stages import PARTS, TOTAL, part_of


def find_times(variants: list[Variant]) -> dict[Variant, dict[str, float]]:
    """Seconds of each part of every variant's median process; without variants of which no time is known."""
    times = {variant: _part_times(variant) for variant in variants}
    return {variant: parts for variant, parts in times.items() if sum(parts.values()) > 0}


def _part_times(variant: Variant) -> dict[str, float]:
    """Those of the process whose total is the median, the lower of two: medians of each stage would not add up."""
    times = dict.fromkeys(PARTS, 0.0)
    timelines = [cell.timeline for cell in variant.cells if cell.timeline]
    timelines.sort(key=lambda each: each.get(TOTAL) or 0.0)
    for stage, seconds in timelines[(len(timelines) - 1) // 2].items() if timelines else ():
        # Rounding of clocks may leave a stage below zero.
        if stage != TOTAL and seconds is not None and seconds > 0:
            times[part_of(stage)] += seconds
    return times
