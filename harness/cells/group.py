"""A worker as one of several ranks: its place in the group, its rows of each batch, and what an exchange costs."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from backends.contract import (
    Group,
    Trainer,
)
from harness.records.messages import write_message

# What a worker tells of itself. Where ranks meet, that it is there, and that all are; and that its training has ended.
ARRIVED, MET, TRAINED = "arrived", "met", "trained"
WARMUP_EXCHANGES, N_EXCHANGES = 2, 10


def read_group(request: Mapping[str, Any]) -> Group | None:
    """The group that a request asks this worker to be one of; None where it works alone."""
    asked = request.get("group")
    return asked and Group(asked["rank"], tuple(asked["addresses"]), asked["timeout_s"])


def tell_phase(stream: BinaryIO, phase: str) -> None:
    write_message(stream, "phase", {"phase": phase})


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
