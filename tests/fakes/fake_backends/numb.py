"""In the tests' own run: starts a child and waits in native code, without ever letting another thread of Python run."""

from __future__ import annotations

import ctypes
import subprocess
import sys

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] != 4 or not self.steps:
            return super().train(chunk)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        print("numb", flush=True)
        ctypes.PyDLL(None).pause()
        raise AssertionError("unreachable")


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
