"""Prints what looks like a message of the protocol."""

from __future__ import annotations

import json

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        print(json.dumps({"body": {"kind": "done"}, "arrays": []}), flush=True)
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
