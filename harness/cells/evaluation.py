"""Measures of a trained network on held-out data: the test set, each length, and the validation data."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np

from backends.contract import Array, Trainer
from harness.records.structs import Copy, Evaluation, LengthMeasures, TestMeasures
from harness.task import metrics
from harness.task.copy_task import CopyBatch
from harness.task.recipe import RunConfig


@dataclass(frozen=True)
class ValidationMeasures:
    """Measures on the validation data; see Validated."""

    original_loss: float
    wrong_bits_per_sequence: float
    bits_per_sequence: float


def evaluate(trainer: Trainer, config: RunConfig) -> Evaluation:
    """The measures on the held-out data: the mixed test set, each length, and one sequence a length to draw."""
    lengths, drawn = config.evaluate.lengths(config.task), config.evaluate.copy_lengths(config.task)
    return Evaluation(
        _evaluate_test_set(trainer, config),
        [_evaluate_length(trainer, config, length) for length in lengths],
        [_draw_copy(trainer, config, length) for length in drawn],
    )


class Validation:
    """The data that decide when a network has arrived: drawn like the test set, from a stream of their own, so that
    the test set stays unseen until training has ended."""

    def __init__(self, config: RunConfig) -> None:
        self.config = config

    @cached_property
    def batch(self) -> CopyBatch:
        return _mixed_batches(self.config, "validation", self.config.evaluate.validation_batches)

    def measure(self, trainer: Trainer) -> ValidationMeasures:
        """Raises FloatingPointError where a prediction is not finite."""
        probabilities = _predict(trainer, self.config, self.batch.inputs)
        targets = self.config.task.bits_of(self.batch.targets)
        predicted = probabilities, targets, self.batch.mask
        return ValidationMeasures(
            original_loss=metrics.original_loss(probabilities, targets),
            wrong_bits_per_sequence=float(metrics.wrong_bits(*predicted).mean()),
            bits_per_sequence=float(metrics.bits_per_sequence(*predicted).mean()),
        )


def _evaluate_test_set(trainer: Trainer, config: RunConfig) -> TestMeasures:
    batch = _mixed_batches(config, "test", config.evaluate.test_batches)
    probabilities, targets = _predict(trainer, config, batch.inputs), config.task.bits_of(batch.targets)
    return TestMeasures(
        sequences=len(targets),
        original_loss=metrics.original_loss(probabilities, targets),
        original_loss_floor=metrics.original_loss_floor(targets),
        # The training loss counts every output, idle ones too; so does its floor.
        cross_entropy_floor=metrics.cross_entropy_floor(batch.targets),
        mean_absolute_error=metrics.mean_absolute_error(probabilities, targets),
        wrong_bits_per_sequence=float(metrics.wrong_bits(probabilities, targets, batch.mask).mean()),
    )


def _mixed_batches(config: RunConfig, stream: str, n_batches: int) -> CopyBatch:
    """So many batches of mixed lengths of a stream as one."""
    size, seed = config.evaluate.test_batch, config.evaluate.seed
    batches = [config.task.batch(seed=seed, step=step, size=size, stream=stream) for step in range(n_batches)]
    names = [field.name for field in fields(CopyBatch)]
    return CopyBatch(**{name: np.concatenate([getattr(batch, name) for batch in batches]) for name in names})


def _evaluate_length(trainer: Trainer, config: RunConfig, length: int) -> LengthMeasures:
    batch = _evaluation_batch(config, length)
    probabilities, targets = _predict(trainer, config, batch.inputs), config.task.bits_of(batch.targets)
    predicted = probabilities, targets, batch.mask
    measured: dict[str, Any] = {**metrics.copy_measures(*predicted), **metrics.locate_wrong_bits(*predicted)}
    return LengthMeasures(length=length, **measured)


def _draw_copy(trainer: Trainer, config: RunConfig, length: int) -> Copy:
    """The first sequence of the length's evaluation batch: chosen by index."""
    batch = _evaluation_batch(config, length)
    prediction = _predict(trainer, config, batch.inputs[: config.evaluate.test_batch])[0]
    return Copy(length, _rounded(config.task.bits_of(batch.targets[0])), _rounded(prediction))


def _evaluation_batch(config: RunConfig, length: int) -> CopyBatch:
    evaluate = config.evaluate
    return config.task.evaluation_batch(seed=evaluate.seed, length=length, size=evaluate.sequences)


def _predict(trainer: Trainer, config: RunConfig, inputs: Array) -> Array:
    """Predicted bits (batch, time, bits), in pieces of test_batch sequences, so that long sequences need no more memory
    than training.

    Raises FloatingPointError where one is not finite: compared with 0.5, NaN would count as a 0.
    """
    size = config.evaluate.test_batch
    pieces = [trainer.predict(inputs[start : start + size]) for start in range(0, len(inputs), size)]
    probabilities = np.concatenate(pieces)
    if not np.isfinite(probabilities).all():
        raise FloatingPointError("the predictions are not finite")
    return config.task.bits_of(probabilities)


def _rounded(array: Array) -> list[list[float]]:
    rounded: list[list[float]] = np.round(array.astype(np.float64), 4).tolist()
    return rounded
