"""The speed of the cells of one variant: a sample a process, the median's interval, the share of the ceiling."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis import measures
from harness.analysis.ceiling import Ceilings
from harness.analysis.stats import Interval, median_interval
from harness.records.structs import Cell, Run

# Seed and repeat: the cells of one round ran close together.
Round = tuple[int, int]


@dataclass(frozen=True)
class Speed:
    """Sequences a second of each of `cells` by its round, their median, and medians of what follows from them.

    ceiling_share is the rate of operations over that of the best matrix product, overhead_share the share of the
    steady time that the harness took; both 0..1, None where unknown.
    """

    cells: list[Cell]
    rates: dict[Round, float]
    sequences_per_s: Interval
    step_ms: float | None
    gflop_per_s: float | None
    ceiling_share: float | None
    overhead_share: float | None


def measure_speed(run: Run, cells: list[Cell], ceilings: Ceilings) -> Speed | None:
    """The speed of cells of one variant; None where none of them has a steady step."""
    rates = sample_rates(run, cells)
    if not rates:
        return None
    timed = [cell for cell in cells if (cell.seed, cell.repeat) in rates]
    operations = measures.median(measures.gflop_per_s(cell, run.batch, run.task) for cell in timed)
    return Speed(
        cells=timed,
        rates=rates,
        sequences_per_s=median_interval(list(rates.values())),
        step_ms=measures.median(map(measures.median_step_ms, timed)),
        gflop_per_s=operations,
        ceiling_share=_ceiling_share(cells[0], operations, ceilings),
        overhead_share=measures.median(map(measures.overhead_share, timed)),
    )


def sample_rates(run: Run, cells: list[Cell]) -> dict[Round, float]:
    """Sequences a second of each cell that has steady steps, by its round."""
    rates = {(cell.seed, cell.repeat): measures.sequences_per_s(cell, run.batch) for cell in cells}
    return {round_: rate for round_, rate in sorted(rates.items()) if rate is not None}


def _ceiling_share(cell: Cell, operations: float | None, ceilings: Ceilings) -> float | None:
    ceiling = ceilings.get((cell.precision, cell.device or ""))
    if ceiling is None or operations is None:
        return None
    # Ranks on the processors of one machine share what was measured on all of them; others have a node or a GPU each.
    shares_it = cell.device == "cpu" and not cell.node
    return operations / (ceiling.gflop_per_s * (1 if shares_it else cell.ranks))
