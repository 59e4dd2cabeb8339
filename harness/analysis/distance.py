"""How far apart the losses of two variants run on the same data, the sharpest sign that they compute the same."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
from numpy.typing import NDArray

from harness.analysis import measures
from harness.analysis.variants import Variant

EARLY_STEPS = 100


@dataclass(frozen=True)
class LossDistance:
    """The largest |a - b| / max(|a|, |b|) of the training losses of any two cells of left and right, by label, at the
    same step of one seed: over the first 100 of the steps that all of them reached, and over all of these."""

    seed: int
    left: str
    right: str
    steps: int
    largest_relative_distance_first_100: float
    largest_relative_distance: float
    left_verified: bool | None
    right_verified: bool | None


def measure_distances(variants: list[Variant]) -> list[LossDistance]:
    """One for each seed and pair of variants that have losses of it."""
    named = sorted(variants, key=lambda variant: variant.label)
    return [
        _measure(seed, left, right, distances)
        for seed in sorted({cell.seed for variant in variants for cell in variant.cells})
        for left, right in combinations(named, 2)
        if (distances := _distances(left, right, seed)).size
    ]


def _distances(left: Variant, right: Variant, seed: int) -> NDArray[np.float64]:
    """The largest distance of any two cells at each step that all of them reached (steps,)."""
    pairs = product(_curves(left, seed), _curves(right, seed))
    distances = [_relative_distance(a, b) for a, b in pairs]
    n_steps = min((distance.size for distance in distances), default=0)
    return np.max([distance[:n_steps] for distance in distances], axis=0) if n_steps else np.array([])


def _curves(variant: Variant, seed: int) -> list[NDArray[np.float64]]:
    return [measures.losses(cell) for cell in variant.cells if cell.seed == seed]


def _relative_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    n_steps = min(a.size, b.size)
    a, b = a[:n_steps], b[:n_steps]
    larger = np.maximum(np.abs(a), np.abs(b))
    return np.abs(a - b) / np.where(larger == 0, 1, larger)


def _measure(seed: int, left: Variant, right: Variant, distances: NDArray[np.float64]) -> LossDistance:
    return LossDistance(
        seed=seed,
        left=left.label,
        right=right.label,
        steps=distances.size,
        largest_relative_distance_first_100=float(distances[:EARLY_STEPS].max()),
        largest_relative_distance=float(distances.max()),
        left_verified=left.verified,
        right_verified=right.verified,
    )
