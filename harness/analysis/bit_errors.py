"""The bit error of each variant by the length of the pattern."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from harness.analysis.variants import Variant


@dataclass(frozen=True)
class LengthErrors:
    """The median, the least and the largest bit error over a variant's cells at one length, 0..1."""

    median: float
    low: float
    high: float


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
