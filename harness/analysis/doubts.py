"""What makes a run's figures doubtful, as numbers: busy processors, unsteady steps, few or differing processes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from harness.analysis import measures
from harness.analysis.stats import ENOUGH_SAMPLES
from harness.analysis.variants import Variant, short_label
from harness.records.structs import Cell, Run

SLOW_START = 0.10
WIDE_INTERVAL = 0.20
UNSTEADY_RATIO = 1.5
# Steps of one call share its time: of fewer calls a quarter, or a twentieth, would be one call's luck.
ENOUGH_CALLS = 8


@dataclass(frozen=True)
class Excess:
    """A variant, by label, of which n_above of n_cells ok cells lie above a limit; worst is the largest value, and
    worst_cell the name of the cell that has it."""

    label: str
    n_above: int
    n_cells: int
    worst: float
    worst_cell: str


@dataclass(frozen=True)
class Doubts:
    """Each is empty where there is no such doubt. busy is the share of the processors that others used, slow_start how
    much longer steps took at first, as a share, unsteady the 95th over the 5th percentile of the steps."""

    above_ceiling: list[Variant]
    busy: list[Excess]
    slow_start: list[Excess]
    unsteady: list[Excess]
    wide_intervals: list[Variant]
    few_processes: list[Variant]


def find_doubts(run: Run, variants: list[Variant]) -> Doubts:
    return Doubts(
        above_ceiling=[each for each in variants if each.speed and (each.speed.ceiling_share or 0.0) > 1],
        busy=_find_excesses(run, lambda cell: cell.other_cpu_share, measures.BUSY_SHARE),
        slow_start=_find_excesses(run, slow_start, SLOW_START),
        unsteady=_find_excesses(run, unsteadiness, UNSTEADY_RATIO),
        wide_intervals=[each for each in variants if _has_wide_interval(each)],
        few_processes=[each for each in variants if 1 < len(each.rates) < ENOUGH_SAMPLES],
    )


def slow_start(cell: Cell) -> float | None:
    """How much longer the median step of the first quarter took than that of the rest, as a share; None if unknown."""
    samples = measures.step_ms(cell)
    quarter = samples.size // 4
    if measures.steady_calls(cell) < ENOUGH_CALLS:
        return None
    return float(np.median(samples[:quarter]) / np.median(samples[quarter:]) - 1)


def unsteadiness(cell: Cell) -> float | None:
    """The 95th over the 5th percentile of the steady steps; None where too few calls were timed."""
    if measures.steady_calls(cell) < ENOUGH_CALLS:
        return None
    fast, slow = np.percentile(measures.step_ms(cell), [5, 95])
    return float(slow / fast)


def _has_wide_interval(variant: Variant) -> bool:
    return variant.speed is not None and (variant.speed.sequences_per_s.relative_width or 0) > WIDE_INTERVAL


def _find_excesses(run: Run, measure: Callable[[Cell], float | None], limit: float) -> list[Excess]:
    """By label, the variants with cells above the limit."""
    grouped: dict[str, dict[str, float | None]] = {}
    for cell in run.ok_cells:
        grouped.setdefault(short_label(run, cell), {})[cell.cell] = measure(cell)
    excesses = []
    for label, measured in sorted(grouped.items()):
        above = {name: value for name, value in measured.items() if value is not None and value > limit}
        if above:
            worst = max(above, key=lambda name: above[name])
            excesses.append(Excess(label, len(above), len(measured), above[worst], worst))
    return excesses
