"""Measures of a copy, as pure functions of probabilities, targets and the mask of due outputs.

probabilities and targets are (batch, time, bits); mask is (batch, time), True where the pattern is due.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from backends.contract import Array

# The original's metric clips p differently in its two logarithms.
SEED_CLIP_ONE = (1e-6, 0.9999)
SEED_CLIP_ZERO = (1e-10, 0.9999)
# A float32 sigmoid rounds to 0 and 1; half a unit in the last place below 1 keeps its logarithm finite.
SMALLEST_PROBABILITY = 2.0**-25


def wrong_bits(probabilities: Array, targets: Array, mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Bits on the other side of 0.5 than their target, over the due outputs; one count a sequence (batch,)."""
    return np.asarray(find_wrong_bits(probabilities, targets, mask).sum(axis=(1, 2)), np.int64)


def find_wrong_bits(probabilities: Array, targets: Array, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """True where an output that is due is on the other side of 0.5 than its target; of one sequence or of a batch."""
    return np.asarray(((probabilities > 0.5) != (targets > 0.5)) & mask[..., None], np.bool_)


def bits_per_sequence(probabilities: Array, targets: Array, mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """The paper's measure: cross-entropy in base 2 summed over the due bits, counted as 0 or 1; (batch,)."""
    p = np.clip(probabilities.astype(np.float64), SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    cost = -np.log2(np.where(targets > 0.5, p, 1 - p))
    return np.asarray((cost * mask[:, :, None]).sum(axis=(1, 2)), np.float64)


def original_loss(probabilities: Array, targets: Array) -> float:
    """The original's own loss metric in nats, mean over batch, time and bits, padding included."""
    p = probabilities.astype(np.float64)
    t = targets.astype(np.float64)
    cost = t * np.log(np.clip(p, *SEED_CLIP_ONE)) + (1 - t) * np.log(1 - np.clip(p, *SEED_CLIP_ZERO))
    return float(-cost.mean())


def original_loss_floor(targets: Array) -> float:
    """The least original_loss any prediction can have on the task's targets: 0.001 costs at least its entropy."""
    return original_loss(np.clip(targets.astype(np.float64), *SEED_CLIP_ONE), targets)


def cross_entropy_floor(targets: Array) -> float:
    """The entropy of the targets in nats, the least training loss on them; 0.0079073 for a target of 0.001."""
    t = targets.astype(np.float64)
    entropy = np.where(t < 1, -t * np.log(t) - (1 - t) * np.log(np.where(t < 1, 1 - t, 1)), 0.0)
    return float(entropy.mean())


def mean_absolute_error(probabilities: Array, targets: Array) -> float:
    """The original's error metric, over all outputs, padding included."""
    return float(np.abs(probabilities.astype(np.float64) - targets).mean())


def middle_third(length: int) -> NDArray[np.bool_]:
    """Which positions of a pattern have their centre in its middle third (length,): 7 to 12 of 0..19."""
    centre = (np.arange(length) + 0.5) / length
    return np.asarray((centre >= 1 / 3) & (centre < 2 / 3))


def copy_measures(probabilities: Array, targets: Array, mask: NDArray[np.bool_]) -> dict[str, Any]:
    """The measures of copies, as the record keeps them."""
    wrong = wrong_bits(probabilities, targets, mask)
    due = int(mask.sum()) * targets.shape[-1]
    return {
        "sequences": len(wrong),
        "wrong_bits": int(wrong.sum()),
        "bit_error": float(wrong.sum() / due),
        "exact_fraction": float((wrong == 0).mean()),
        "bits_per_sequence": float(bits_per_sequence(probabilities, targets, mask).mean()),
        "mean_absolute_error": mean_absolute_error(probabilities, targets),
        "original_loss": original_loss(probabilities, targets),
        "original_loss_floor": original_loss_floor(targets),
    }


def locate_wrong_bits(probabilities: Array, targets: Array, mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Where the wrong bits of sequences of one length are, as the record keeps it.

    wrong_bits_by_position counts over all sequences, for each vector of the pattern. wrong_bits_middle and
    wrong_bits_outside count by sequence, in the middle third of the pattern and outside it; sequences without a wrong
    bit are left out.
    """
    length = int(mask[0].sum())
    wrong = (probabilities > 0.5) != (targets > 0.5)
    by_position = wrong[mask].reshape(len(targets), length, targets.shape[-1]).sum(axis=2)
    by_sequence, middle = by_position.sum(axis=1), by_position[:, middle_third(length)].sum(axis=1)
    has_wrong = by_sequence > 0
    return {
        "wrong_bits_by_position": by_position.sum(axis=0).tolist(),
        "wrong_bits_middle": middle[has_wrong].tolist(),
        "wrong_bits_outside": (by_sequence - middle)[has_wrong].tolist(),
    }


def training_step_operations(n_parameters: int, batch: int, time_steps: float) -> float:
    """Floating-point operations of one training step: each parameter takes part in one multiply-add forward and two
    backward, at every time step of every sequence. 33.4e9 for 1,326,088 parameters, batch 100 and 42 time steps.

    Activations and the optimiser are left out, as is usual; the gradient of the first layer's input, which nobody
    computes (0.3 % at that size), is not.
    """
    return 6 * n_parameters * batch * time_steps
