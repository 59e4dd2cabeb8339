"""Training data chunk by chunk: a thread makes the next chunk while the device trains on the present one."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from backends.contract import Chunk, Group
from harness.proof.trainers import share_of_chunk
from harness.task.recipe import RunConfig


class Chunks:
    """The chunks of a cell from first_step (0-based) on, in order, or a rank's rows of them; a context that ends its
    thread."""

    def __init__(self, config: RunConfig, seed: int, first_step: int, group: Group | None = None) -> None:
        self.config, self.seed, self.step, self.group = config, seed, first_step, group
        self.maker = ThreadPoolExecutor(1, thread_name_prefix="chunks")
        self.ahead: Future[tuple[Chunk, float]] | None = None

    def __enter__(self) -> Chunks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.maker.shutdown(cancel_futures=True)

    def take(self) -> tuple[Chunk, float]:
        """The next chunk and the CPU seconds that making it took; starts the making of the one after it. Raises what
        making it raised."""
        chunk, cpu_s = self.ahead.result() if self.ahead else self._make(self.step)
        self.step += len(chunk.learning_rates)
        more = self.step < self.config.train.steps
        self.ahead = self.maker.submit(self._make, self.step) if more else None
        return chunk, cpu_s

    def _make(self, first_step: int) -> tuple[Chunk, float]:
        begun_s = time.thread_time()
        chunk = share_of_chunk(make_chunk(self.config, self.seed, first_step), self.group)
        return chunk, time.thread_time() - begun_s


def make_chunk(config: RunConfig, seed: int, first_step: int) -> Chunk:
    """The next batches from first_step (0-based): a chunk ends with the last step, before an evaluation and where
    the number of time steps may change."""
    train = config.train
    ends = [train.chunk, train.steps - first_step]
    if train.evaluate_every:
        ends.append(train.evaluate_every - first_step % train.evaluate_every)
    n_steps = min(*ends, config.task.steps_of_one_shape(first_step) or train.chunk)
    batches = [
        config.task.batch(seed=seed, step=step, size=train.batch) for step in range(first_step, first_step + n_steps)
    ]
    return Chunk(
        inputs=np.stack([batch.inputs for batch in batches]),
        targets=np.stack([batch.targets for batch in batches]),
        learning_rates=train.learning_rates(first_step, n_steps),
    )
