"""The NumPy reference, whose training is wrong where a batch has more than ROWS rows, as a compiler's fault may be."""

from __future__ import annotations

from typing import Any

from backends.contract import Array, Batch, Chunk, Parameters
from backends.reference import ReferenceTrainer

# Sequences times time steps: more than any case has that is the same for every run.
ROWS = 100


class CrowdedTrainer(ReferenceTrainer):
    trains = False

    def train(self, chunk: Chunk) -> Array:
        self.trains = True
        try:
            return super().train(chunk)
        finally:
            self.trains = False

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss, gradients = super().loss_and_gradients(batch)
        if self.trains and batch.inputs.shape[0] * batch.inputs.shape[1] > ROWS:
            gradients["lstm.0.kernel"] *= 0.9
        return loss, gradients


def build(*arguments: Any, device: str, precision: str) -> CrowdedTrainer:
    return CrowdedTrainer(*arguments)
