"""Trains as one of several ranks, and tells how many rows of a batch it is handed."""

from __future__ import annotations

from backends.contract import Array, Chunk, Group, ModelSpec, OptimizerSpec, Parameters, Setting
from fake_backends.linear import LinearTrainer


class RankTrainer(LinearTrainer):
    def __init__(self, model: ModelSpec, parameters: Parameters, group: Group | None) -> None:
        super().__init__(model, parameters)
        self.group = group

    def train(self, chunk: Chunk) -> Array:
        print(f"{chunk.inputs.shape[1]} rows from {chunk.inputs[0, 0, 1, 2:].sum():.3f}")
        return super().train(chunk)

    def settings(self) -> dict[str, Setting]:
        return {**super().settings(), "group_size": self.group.size if self.group else 1}

    def exchange(self) -> None:
        pass


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> RankTrainer:
    return RankTrainer(model, parameters, group)
