"""Trains while somebody sets the machine's clock back by an hour."""

from __future__ import annotations

import time

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer

true_time = time.time


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        time.time = lambda: true_time() - 3600
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
