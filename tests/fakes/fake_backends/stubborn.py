"""Waits as `waiting` does, and only takes note of TERM."""

from __future__ import annotations

import signal
import time
from types import FrameType

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


def take_note(number: int, frame: FrameType | None) -> None:
    print("heard TERM", flush=True)


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        if chunk.inputs.shape[1] == 4 and self.steps:
            signal.signal(signal.SIGTERM, take_note)
            print("stubborn", flush=True)
            while True:
                time.sleep(1)
        return super().train(chunk)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
