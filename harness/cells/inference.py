"""How fast the trained network is in use."""

from __future__ import annotations

import time

from backends.contract import Array, Trainer
from harness.records.structs import Inference
from harness.records.timeline import WARMUP_CALLS
from harness.task.recipe import SINGLE_CALLS, RunConfig


def time_inference(trainer: Trainer, config: RunConfig) -> Inference:
    """Time calls of Trainer.predict, which return NumPy arrays and so once the device has finished: in each round one
    with many sequences of the longest trained length, then several with one, so that what drifts falls on both."""
    task, wanted = config.task, config.inference
    many = task.evaluation_batch(seed=config.evaluate.seed, length=task.max_length, size=wanted.batch).inputs
    single = many[:1]
    warmup_s = sum(_time_call(trainer, inputs) for inputs in (many, single) for _ in range(WARMUP_CALLS))
    batch_s: list[float] = []
    single_s: list[float] = []
    for _ in range(wanted.rounds):
        batch_s.append(_time_call(trainer, many))
        # The caches are full of the batch.
        warmup_s += _time_call(trainer, single)
        single_s += [_time_call(trainer, single) for _ in range(SINGLE_CALLS)]
    return Inference(length=task.max_length, batch=wanted.batch, batch_s=batch_s, single_s=single_s, warmup_s=warmup_s)


def _time_call(trainer: Trainer, inputs: Array) -> float:
    begun_s = time.perf_counter()
    trainer.predict(inputs)
    return time.perf_counter() - begun_s
