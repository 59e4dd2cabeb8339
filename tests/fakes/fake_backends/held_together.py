"""Trains as one of several ranks, and stops as the backend named held does."""

from __future__ import annotations

import os
import time
from pathlib import Path

from backends.contract import Array, Chunk, Group, ModelSpec, OptimizerSpec, Parameters
from fake_backends.held import HOLD_AFTER
from fake_backends.together import RankTrainer


class HeldTrainer(RankTrainer):
    def train(self, chunk: Chunk) -> Array:
        folder = Path(os.environ["HELD_IN"])
        while self.steps >= HOLD_AFTER and (folder / "hold").exists():
            (folder / "held").touch()
            time.sleep(0.05)
        return super().train(chunk)


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> HeldTrainer:
    return HeldTrainer(model, parameters, group)
