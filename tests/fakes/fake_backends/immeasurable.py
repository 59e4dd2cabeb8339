"""Tells of its memory what JSON cannot hold."""

from __future__ import annotations

from backends.contract import ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def peak_memory_bytes(self) -> int | None:
        return float("nan")  # type: ignore[return-value]


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
