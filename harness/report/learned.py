"""Who learned the task, where the recipe is about learning."""

from __future__ import annotations

from dataclasses import dataclass

from harness.report import measures
from harness.report.quantities import percent
from harness.report.records import Cell, Run
from harness.report.variants import Variant


@dataclass(frozen=True)
class Learning:
    """Of a variant's trainings that were evaluated, at least one, how many learned (measures.has_learned); bit_error is
    the median over the trained lengths, 0..1."""

    variant: Variant
    bit_error: float
    n_learned: int
    n_cells: int

    @property
    def has_learned(self) -> bool:
        """Whether every training did."""
        return self.n_learned == self.n_cells


def judge_learning(run: Run, variants: list[Variant]) -> list[Learning]:
    """One for each variant that was evaluated; none where the recipe trains for speed alone."""
    judged = [_judge(run, variant) for variant in variants if run.evaluate.learning]
    return [item for item in judged if item is not None]


def error_range(found: list[Learning]) -> str:
    """The least and the largest bit error, once where they are shown alike; at least one."""
    errors = [item.bit_error for item in found]
    return " to ".join(dict.fromkeys(percent(error) for error in (min(errors), max(errors))))


def _judge(run: Run, variant: Variant) -> Learning | None:
    evaluated: list[Cell] = [cell for cell in variant.cells if measures.has_learned(cell, run) is not None]
    error = measures.median(measures.bit_error(cell, run.task) for cell in evaluated)
    if error is None:
        return None
    return Learning(variant, error, sum(bool(measures.has_learned(cell, run)) for cell in evaluated), len(evaluated))
