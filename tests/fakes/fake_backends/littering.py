"""Trains well, and leaves processes behind that try to get away."""

from __future__ import annotations

import subprocess
import sys

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer

STAYING = "import time; time.sleep(600)"
FLEEING = f"import os, time; os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0); {STAYING}"


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        for code in (STAYING, FLEEING):
            subprocess.Popen([sys.executable, "-c", code])
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
