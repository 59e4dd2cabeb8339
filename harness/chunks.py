"""Training data chunk by chunk: a thread makes the next chunk while the device trains on the present one."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

import numpy as np

from backends.contract import Chunk, Group
from harness.config import RunConfig
from harness.group import share_of_chunk


class Chunks:
    """The chunks of a cell from first_step (0-based) on, in order, or a rank's rows of them; a context that ends its
    thread."""

    def __init__(self, config: RunConfig, seed: int, first_step: int, group: Group | None = None) -> None:
        self.config, self.seed, self.step, self.group = config, seed, first_step, group
        self.maker = ThreadPoolExecutor(1, thread_name_prefix="chunks")
        self.ahead: Future[Chunk] | None = None

    def __enter__(self) -> Chunks:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.maker.shutdown(cancel_futures=True)

    def take(self) -> Chunk:
        """The next chunk; starts the making of the one after it. Raises what making it raised."""
        chunk = self.ahead.result() if self.ahead else self._make(self.step)
        self.step += len(chunk.learning_rates)
        more = self.step < self.config.train.steps
        self.ahead = self.maker.submit(self._make, self.step) if more else None
        return chunk

    def _make(self, first_step: int) -> Chunk:
        return share_of_chunk(make_chunk(self.config, self.seed, first_step), self.group)


def chunk_length(config: RunConfig, first_step: int) -> int:
    """Steps from first_step (0-based) to the end of its chunk: with the epoch, with the last step, before an evaluation
    and where the number of time steps may change."""
    train = config.train
    ends = [train.chunk, train.steps - first_step, train.epoch_steps - first_step % train.epoch_steps]
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
