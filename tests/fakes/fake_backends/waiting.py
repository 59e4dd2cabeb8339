"""Waits for ever in the first training it is asked for with a batch of four, as a run of the tests has."""

from __future__ import annotations

import time

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] == 4:
            print("waiting", flush=True)
            time.sleep(600)
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
