"""Cannot do what it is asked for."""

from __future__ import annotations

from backends.contract import ModelSpec, OptimizerSpec, Parameters, Trainer, Unsupported


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> Trainer:
    raise Unsupported(f"no {precision} on a full moon")
