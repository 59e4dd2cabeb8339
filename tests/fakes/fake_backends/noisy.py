"""Prints what no table should hold, then raises with more of it."""

from __future__ import annotations

import sys

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, Parameters
from fake_backends.linear import LinearTrainer


class FaultyTrainer(LinearTrainer):
    def train(self, chunk: Chunk) -> Array:
        sys.stdout.buffer.write(b"\x1b[31mred\x1b[0m \xff\x00 <script>alert(1)</script>\n")
        sys.stdout.flush()
        raise RuntimeError("\x1b[2J ../../etc | <img src=x onerror=alert(2)>\ud800")


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> FaultyTrainer:
    return FaultyTrainer(model, parameters)
