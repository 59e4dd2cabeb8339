"""Asks for more memory than there is."""

from __future__ import annotations

import resource

import numpy as np

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        limit = 2**32
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
        np.ones(2 * limit, np.int8)
        raise AssertionError("unreachable")


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
