"""Time to target, as MLPerf defines it: what a training took until its network first met the preset's target on
held-out data, evaluations included, by a clock that starts before the first batch (Mattson et al., MLPerf Training
Benchmark, MLSys 2020). What was started and never arrived took infinitely long, however it ended.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from msgspec.structs import asdict

from harness.analysis.rows import EvaluationRow, TargetRow, row_of
from harness.analysis.variants import Variant
from harness.records.structs import Cell, Run


@dataclass(frozen=True)
class TimeToTarget:
    """Medians over seeds of steps, sequences and seconds to the target, infinite where half the seeds or more never
    arrived; of n_seeds, n_reached arrived in every repeat."""

    steps: float
    sequences: float
    seconds: float
    n_reached: int
    n_seeds: int

    @property
    def reached(self) -> str:
        return f"{self.n_reached} of {self.n_seeds}"


@dataclass(frozen=True)
class Arrival:
    """A variant's time to target."""

    variant: Variant
    taken: TimeToTarget


def find_arrivals(run: Run, variants: list[Variant]) -> list[Arrival]:
    """One for each variant that was started; none where the run has no target."""
    measured = [(variant, measure_time_to_target(run, variant.started)) for variant in variants]
    return [Arrival(variant, taken) for variant, taken in measured if taken is not None]


def measure_time_to_target(run: Run, cells: list[Cell]) -> TimeToTarget | None:
    """Of cells of one variant, whatever their status; None where the run has no target or none was started."""
    by_seed: dict[int, list[tuple[float, float, float]]] = {}
    for cell in cells:
        if run.target.exists and cell.has_started:
            by_seed.setdefault(cell.seed, []).append(_taken(cell))
    if not by_seed:
        return None
    seeds = np.array([np.median(taken, axis=0) for taken in by_seed.values()])
    n_reached = sum(all(math.isfinite(taken[0]) for taken in seed) for seed in by_seed.values())
    steps, sequences, seconds = (float(value) for value in np.median(seeds, axis=0))
    return TimeToTarget(steps, sequences, seconds, n_reached, len(by_seed))


def target_rows(run: Run) -> Iterator[TargetRow]:
    """A row for each cell that was started: whether and when it arrived."""
    for cell in run.own_cells if run.target.exists else []:
        if cell.has_started:
            reached, (steps, sequences, seconds) = cell.target_reached, _taken(cell)
            yield row_of(
                TargetRow,
                cell,
                target_reached=reached is not None,
                seconds_to_target=seconds,
                sequences_to_target=sequences,
                steps_to_target=steps,
                original_loss=reached.original_loss if reached else None,
                wrong_bits_per_sequence=reached.wrong_bits_per_sequence if reached else None,
                resumed=len(cell.resumed_at_steps),
            )


def evaluation_rows(run: Run) -> Iterator[EvaluationRow]:
    """A row for each evaluation of each cell while it trained."""
    for cell in run.own_cells:
        for item in cell.evaluations:
            yield row_of(EvaluationRow, cell, **asdict(item))


def _taken(cell: Cell) -> tuple[float, float, float]:
    """Steps, sequences and seconds to the target; infinite where it was not reached."""
    reached = cell.target_reached
    return (reached.step, reached.sequences, reached.elapsed_s) if reached else (math.inf, math.inf, math.inf)
