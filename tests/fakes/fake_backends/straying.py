"""Starts a thread with its first step that takes every processor there is, as a library does that places its own."""

from __future__ import annotations

import os
import threading

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        if not self.steps:
            placed = threading.Event()
            threading.Thread(target=stray, args=(placed,), daemon=True).start()
            placed.wait()
        return super().train(chunk)


def stray(placed: threading.Event) -> None:
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    placed.set()
    threading.Event().wait()


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
