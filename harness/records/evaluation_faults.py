"""The measures of a trained model: against each other, and against the held-out data, which is made again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from harness.records.fault import Fault, agree
from harness.records.structs import Copy, Evaluation, LengthMeasures, TestMeasures
from harness.task import metrics
from harness.task.recipe import RunConfig

# Copies are kept with four digits.
ROUNDING = 0.5e-4 + 1e-9


def evaluation_faults(evaluation: Evaluation, config: RunConfig) -> Iterator[Fault]:
    yield from _test_faults(evaluation.test, config)
    yield from _row_faults("lengths", evaluation.lengths, config.evaluate.lengths(config.task))
    yield from _row_faults("copies", evaluation.copies, config.evaluate.copy_lengths(config.task))
    for number, row in enumerate(evaluation.lengths):
        yield from _length_faults(f"evaluation.lengths[{number}]", row, config)
    for number, copy in enumerate(evaluation.copies):
        yield from _copy_faults(f"evaluation.copies[{number}]", copy, config)


def _test_faults(test: TestMeasures, config: RunConfig) -> Iterator[Fault]:
    n_sequences = config.evaluate.test_batches * config.evaluate.test_batch
    if test.sequences != n_sequences:
        yield Fault("evaluation.test.sequences", f"it is {test.sequences}, not {n_sequences}")
    for name, value in _floors(config).items():
        if not agree(getattr(test, name), value):
            yield Fault(f"evaluation.test.{name}", f"it is {getattr(test, name)}, but the test set gives {value}")
    if test.original_loss < test.original_loss_floor - 1e-6:
        yield Fault("evaluation.test.original_loss", "it is below the least it can be")


@lru_cache(maxsize=4)
def _floors(config: RunConfig) -> dict[str, float]:
    evaluate = config.evaluate
    batches = [
        config.task.batch(seed=evaluate.seed, step=step, size=evaluate.test_batch, stream="test")
        for step in range(evaluate.test_batches)
    ]
    targets = np.concatenate([batch.targets for batch in batches])
    return {
        "original_loss_floor": metrics.original_loss_floor(targets),
        "cross_entropy_floor": metrics.cross_entropy_floor(targets),
    }


def _row_faults(name: str, rows: Sequence[LengthMeasures | Copy], expected: list[int]) -> Iterator[Fault]:
    lengths = [row.length for row in rows]
    if lengths != expected:
        yield Fault(f"evaluation.{name}", f"its lengths are {lengths}, not {expected}")


def _length_faults(field: str, row: LengthMeasures, config: RunConfig) -> Iterator[Fault]:
    n_bits = row.sequences * row.length * config.task.bits
    if row.sequences != config.evaluate.sequences:
        yield Fault(f"{field}.sequences", f"it is {row.sequences}, not {config.evaluate.sequences}")
    if not agree(row.bit_error, row.wrong_bits / n_bits):
        wrong = f"{row.wrong_bits} wrong of {n_bits} bits"
        yield Fault(f"{field}.bit_error", f"it is {row.bit_error}, but {wrong} give {row.wrong_bits / n_bits}")
    n_exact = row.exact_fraction * row.sequences
    if not agree(n_exact, round(n_exact)):
        yield Fault(f"{field}.exact_fraction", f"it is no whole number of the {row.sequences} sequences")
    n_flawed = row.sequences - round(n_exact)
    yield from _position_faults(field, row, n_flawed)
    if not n_flawed <= row.wrong_bits <= n_flawed * row.length * config.task.bits:
        yield Fault(f"{field}.wrong_bits", f"{row.wrong_bits} wrong bits cannot lie in {n_flawed} sequences")


def _position_faults(field: str, row: LengthMeasures, n_flawed: int) -> Iterator[Fault]:
    """Wrong bits by position and by sequence add up to all of them."""
    n_wrong, by_position, by_sequence = row.wrong_bits, row.wrong_bits_by_position, row.wrong_bits_by_sequence
    if by_position is not None and sum(by_position) != n_wrong:
        yield Fault(f"{field}.wrong_bits_by_position", f"they do not make {n_wrong} in {row.length} places")
    if by_sequence is not None and (len(by_sequence) != n_flawed or sum(by_sequence) != n_wrong):
        yield Fault(f"{field}.wrong_bits_middle", f"with those outside they do not make {n_wrong} in {n_flawed}")


def _copy_faults(field: str, copy: Copy, config: RunConfig) -> Iterator[Fault]:
    shape = (config.task.time_steps(copy.length), config.task.bits)
    for name, array in (("target", copy.target), ("prediction", copy.prediction)):
        if len(array) != shape[0] or any(len(step) != shape[1] for step in array):
            yield Fault(f"{field}.{name}", f"it is not of shape {shape}")
            return
    evaluate = config.evaluate
    batch = config.task.evaluation_batch(seed=evaluate.seed, length=copy.length, size=evaluate.sequences)
    if np.abs(np.array(copy.target) - batch.targets[0]).max() > ROUNDING:
        yield Fault(f"{field}.target", "it is not the sequence of the held-out data")
