"""Ends with a parameter that is not finite."""

from __future__ import annotations

import numpy as np

from backends.contract import ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def parameters(self) -> Parameters:
        parameters = super().parameters()
        if self.steps:
            parameters["output.bias"] = np.full_like(parameters["output.bias"], np.inf)
        return parameters


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
