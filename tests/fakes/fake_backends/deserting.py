"""The second rank is killed while it trains, and the first waits for it without end."""

from __future__ import annotations

import os
import signal
import threading

from backends.contract import Array, Chunk, Group, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class RankTrainer(LinearTrainer):
    def __init__(self, model: ModelSpec, parameters: Parameters, group: Group | None) -> None:
        super().__init__(model, parameters)
        self.group = group

    def train(self, chunk: Chunk) -> Array:
        if self.group is None:
            return super().train(chunk)
        if self.group.rank == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        threading.Event().wait()
        raise AssertionError("unreachable")

    def exchange(self) -> None:
        pass


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> RankTrainer:
    return RankTrainer(model, parameters, group)
