"""Computes for ever in native code, whatever it is asked for, heeds no TERM, and leaves a file in ABSORBED_IN."""

from __future__ import annotations

import ctypes
import os
import signal
from pathlib import Path

from backends.contract import Array, Batch, Group, ModelSpec, OptimizerSpec, Parameters
from fake_backends.together import RankTrainer


class AbsorbedTrainer(RankTrainer):
    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        Path(os.environ["ABSORBED_IN"], str(os.getpid())).touch()
        ctypes.PyDLL(None).pause()
        raise AssertionError("unreachable")

    def predict(self, inputs: Array) -> Array:
        raise AssertionError("unreachable")


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> AbsorbedTrainer:
    return AbsorbedTrainer(model, parameters, group)
