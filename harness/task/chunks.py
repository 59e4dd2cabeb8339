"""Which training steps are handed over in one call, and their batches."""

from __future__ import annotations

import numpy as np

from backends.contract import Chunk
from harness.task.recipe import RunConfig


def chunk_length(config: RunConfig, first_step: int) -> int:
    """Steps from first_step (0-based) to the end of its chunk: with the last step, before an evaluation and where the
    number of time steps may change."""
    train = config.train
    ends = [train.chunk, train.steps - first_step]
    if train.evaluate_every:
        ends.append(train.evaluate_every - first_step % train.evaluate_every)
    return min(*ends, config.task.steps_of_one_shape(first_step) or train.chunk)


def make_chunk(config: RunConfig, seed: int, first_step: int, n_steps: int | None = None) -> Chunk:
    """The batches from first_step (0-based) to the end of its chunk, or of the first n_steps of them."""
    n_steps = n_steps or chunk_length(config, first_step)
    batches = [
        config.task.batch(seed=seed, step=step, size=config.train.batch)
        for step in range(first_step, first_step + n_steps)
    ]
    return Chunk(
        inputs=np.stack([batch.inputs for batch in batches]),
        targets=np.stack([batch.targets for batch in batches]),
        learning_rates=config.train.learning_rates(first_step, n_steps),
    )
