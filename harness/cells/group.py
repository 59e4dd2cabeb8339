"""A worker as one of several ranks: its place in the group, its rows of each batch, and what an exchange costs."""

from __future__ import annotations

import time
from typing import BinaryIO

from backends.contract import Trainer
from harness.records.messages import Phase, write_message

# What a worker tells of itself. Where ranks meet, that it is there, and that all are; and that its training has ended.
STARTED, CONNECTED, TRAINED = "started", "connected", "trained"
WARMUP_EXCHANGES, N_EXCHANGES = 2, 10


def tell_phase(stream: BinaryIO, phase: str) -> None:
    write_message(stream, Phase(phase))


def time_exchanges(trainer: Trainer) -> list[float]:
    """Seconds of each of N_EXCHANGES averages of as many numbers as a step's gradients have, after the warm-up."""
    for _ in range(WARMUP_EXCHANGES):
        trainer.exchange()
    durations_s = []
    for _ in range(N_EXCHANGES):
        begun_s = time.perf_counter()
        trainer.exchange()
        durations_s.append(time.perf_counter() - begun_s)
    return durations_s
