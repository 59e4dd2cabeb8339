"""Its loss becomes NaN at the seventh step."""

from __future__ import annotations

import numpy as np

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        losses = super().train(chunk)
        steps = np.arange(self.steps - len(losses), self.steps) + 1
        return np.where(steps >= 7, np.nan, losses)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
