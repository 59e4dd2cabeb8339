"""Prints until the disk is full, if it is let."""

from __future__ import annotations

import sys

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        while True:
            sys.stdout.write("as I was saying\n" * 2**16)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
