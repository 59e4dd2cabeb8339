"""Training data chunk by chunk: a thread makes the next chunk while the device trains on the present one."""

from __future__ import annotations

import time
from concurrent.futures import Future, ThreadPoolExecutor
from types import TracebackType

from backends.contract import Chunk, Group
from harness.proof.trainers import share_of_chunk
from harness.task.chunks import make_chunk
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
