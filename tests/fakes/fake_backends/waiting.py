"""Waits for ever in the second call of train with a batch of four, which a run of the tests has and no proof."""

from __future__ import annotations

import time

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] == 4 and self.steps:
            print("waiting", flush=True)
            time.sleep(600)
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
