"""The NumPy reference, for batches of at most ROWS rows."""

from __future__ import annotations

from typing import Any

from backends.contract import Array, Chunk, Unsupported
from backends.reference import ReferenceTrainer
from fake_backends.wide import ROWS


class NarrowTrainer(ReferenceTrainer):
    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] * chunk.inputs.shape[2] > ROWS:
            raise Unsupported(f"more than {ROWS} rows do not fit")
        return super().train(chunk)


def build(*arguments: Any, device: str, precision: str) -> NarrowTrainer:
    return NarrowTrainer(*arguments)
