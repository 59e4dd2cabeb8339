"""Which calls are timed, and how often."""

from __future__ import annotations

import dataclasses

import numpy as np

from backends.contract import Array
from harness.cells.inference import time_inference
from harness.records.timeline import WARMUP_CALLS
from harness.task.copy_task import CopyTask
from harness.task.recipe import SINGLE_CALLS, InferenceConfig, RunConfig

BATCH, ROUNDS, LENGTH = 7, 3, 4
CONFIG = RunConfig(task=CopyTask(max_length=LENGTH), inference=InferenceConfig(batch=BATCH, rounds=ROUNDS))


@dataclasses.dataclass
class Predictor:
    """Remembers the inputs of its calls."""

    calls: list[Array] = dataclasses.field(default_factory=list)

    def predict(self, inputs: Array) -> Array:
        self.calls.append(inputs)
        return np.zeros((*inputs.shape[:2], 8), np.float32)


def test_many_and_one_take_turns_after_a_warm_up_of_each() -> None:
    trainer = Predictor()
    time_inference(trainer, CONFIG)  # type: ignore[arg-type]
    sizes = [len(inputs) for inputs in trainer.calls]
    assert sizes == [BATCH] * WARMUP_CALLS + [1] * WARMUP_CALLS + ROUNDS * ([BATCH] + [1] * (1 + SINGLE_CALLS))
    assert {inputs.shape[1:] for inputs in trainer.calls} == {(2 * LENGTH + 2, CONFIG.model_spec().inputs)}
    assert all(inputs.dtype == np.float32 for inputs in trainer.calls)


def test_only_calls_after_the_warm_up_are_told() -> None:
    inference = time_inference(Predictor(), CONFIG)  # type: ignore[arg-type]
    assert (inference.length, inference.batch) == (LENGTH, BATCH)
    assert (len(inference.batch_s), len(inference.single_s)) == (ROUNDS, ROUNDS * SINGLE_CALLS)
    assert min(inference.batch_s + inference.single_s) > 0
    assert inference.warmup_s > 0
