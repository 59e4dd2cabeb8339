"""Who learned the task, where the recipe is about learning."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis import measures
from harness.analysis.variants import Variant
from harness.records.structs import Cell, Run


@dataclass(frozen=True)
class Learning:
    """How many of a variant's trainings learned (measures.has_learned), of those that were started; bit_error is the
    median of those that were evaluated, over the trained lengths, 0..1, None where none was."""

    variant: Variant
    bit_error: float | None
    n_learned: int
    n_cells: int

    @property
    def has_learned(self) -> bool:
        """Whether every training did."""
        return self.n_learned == self.n_cells


def judge_learning(run: Run, variants: list[Variant], lost: list[Variant]) -> list[Learning]:
    """One for each variant that was evaluated, and for each that is lost, which did not learn;
    none where the recipe trains for speed alone, or nothing was evaluated."""
    judged = [_judge(run, variant) for variant in variants if run.is_about_learning]
    found = [item for item in judged if item is not None]
    return [*found, *(Learning(each, None, 0, len(each.started)) for each in lost)] if found else []


def _judge(run: Run, variant: Variant) -> Learning | None:
    evaluated: list[Cell] = [cell for cell in variant.cells if measures.has_learned(cell, run) is not None]
    error = measures.median(measures.bit_error(cell, run.task) for cell in evaluated)
    if error is None:
        return None
    n_learned = sum(bool(measures.has_learned(cell, run)) for cell in evaluated)
    return Learning(variant, error, n_learned, max(len(evaluated), len(variant.started)))
