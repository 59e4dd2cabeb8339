"""The bit error by the length of the pattern, of each variant and of each cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis import measures
from harness.analysis.stats import Interval
from harness.analysis.variants import Variant
from harness.records.structs import Cell, LengthMeasures, Run


@dataclass(frozen=True)
class LengthErrors:
    """The median, the least and the largest bit error over a variant's cells at one length, 0..1."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class EvaluatedLength:
    """What a cell's evaluation measured at one length; interval is that of its bit error over sequences, None in older
    records, and bits_by_chance what a sequence costs who guesses."""

    cell: Cell
    measured: LengthMeasures
    interval: Interval | None
    original_loss_excess: float | None
    bits_by_chance: int
    is_trained: bool


def evaluate_lengths(run: Run) -> list[EvaluatedLength]:
    """One for each length of each ok cell."""
    return [
        EvaluatedLength(
            cell=cell,
            measured=item,
            interval=measures.bit_error_interval(item, run.task),
            original_loss_excess=measures.excess(item.original_loss, item.original_loss_floor),
            bits_by_chance=item.length * run.task.bits,
            is_trained=measures.is_trained(item.length, run.task),
        )
        for cell in run.ok_cells
        for item in (cell.evaluation.lengths if cell.evaluation else [])
    ]


def find_bit_errors(variants: list[Variant]) -> dict[Variant, dict[int, LengthErrors]]:
    """By variant, then by length, the shortest first; empty where nothing was evaluated."""
    return {variant: _by_length(variant) for variant in variants}


def _by_length(variant: Variant) -> dict[int, LengthErrors]:
    errors: dict[int, list[float]] = {}
    for cell in variant.cells:
        for item in cell.evaluation.lengths if cell.evaluation else []:
            errors.setdefault(item.length, []).append(item.bit_error)
    return {
        length: LengthErrors(float(np.median(found)), min(found), max(found))
        for length, found in sorted(errors.items())
    }
