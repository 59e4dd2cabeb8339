"""The second rank ends with parameters of its own."""

from __future__ import annotations

from backends.contract import Group, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class RankTrainer(LinearTrainer):
    def __init__(self, model: ModelSpec, parameters: Parameters, group: Group | None) -> None:
        super().__init__(model, parameters)
        self.group = group

    def parameters(self) -> Parameters:
        shift = self.group.rank if self.group else 0
        return {name: array + shift for name, array in super().parameters().items()}

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
