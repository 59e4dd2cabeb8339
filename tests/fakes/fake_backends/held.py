"""The NumPy reference, which stops after HOLD_AFTER steps for as long as the folder HELD_IN holds a file named hold."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from backends import reference
from backends.contract import Array, Chunk

# More than a proof takes.
HOLD_AFTER = 20


class HeldTrainer:
    def __init__(self, trainer: Any) -> None:
        self.trainer, self.steps = trainer, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.trainer, name)

    def train(self, chunk: Chunk) -> Array:
        folder = Path(os.environ["HELD_IN"])
        while self.steps >= HOLD_AFTER and (folder / "hold").exists():
            (folder / "held").touch()
            time.sleep(0.05)
        self.steps += len(chunk.learning_rates)
        return self.trainer.train(chunk)


def build(*arguments: Any, **options: Any) -> HeldTrainer:
    return HeldTrainer(reference.build(*arguments, **options))
