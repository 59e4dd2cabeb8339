"""Sends a message of which no end is in sight."""

from __future__ import annotations

import sys

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        with open(int(sys.argv[1]), "wb", closefd=False) as stream:
            for _ in range(80):
                stream.write(b"x" * 2**20)
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
