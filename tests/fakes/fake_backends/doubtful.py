"""Its predictions are not finite."""

from __future__ import annotations

import numpy as np

from backends.contract import Array, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def predict(self, inputs: Array) -> Array:
        return np.full_like(super().predict(inputs), np.nan)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
