"""A worker as one of several ranks: its place in the group, its rows of each batch, and what an exchange costs."""

from __future__ import annotations

import inspect
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from backends.contract import (
    Batch,
    Chunk,
    Group,
    Implementation,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Trainer,
    Unsupported,
)
from harness.protocol import write_message

# What a worker tells of itself. Where ranks meet, that it is there, and that all are; and that its training has ended.
ARRIVED, MET, TRAINED = "arrived", "met", "trained"
WARMUP_EXCHANGES, N_EXCHANGES = 2, 10


def read_group(request: Mapping[str, Any]) -> Group | None:
    """The group that a request asks this worker to be one of; None where it works alone."""
    asked = request.get("group")
    return asked and Group(asked["rank"], tuple(asked["addresses"]), asked["timeout_s"])


def build_trainer(
    implementation: Implementation,
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    group: Group | None,
    *,
    device: str,
    precision: str,
) -> Trainer:
    """A trainer, alone or in the group. Raises Unsupported where the backend knows no groups."""
    if group is None:
        return implementation.build(model, optimizer, parameters, device=device, precision=precision)
    if "group" not in inspect.signature(implementation.build).parameters:
        raise Unsupported("this backend trains in one process: its build takes no group")
    return implementation.build(model, optimizer, parameters, device=device, precision=precision, group=group)


def tell_phase(stream: BinaryIO, phase: str) -> None:
    write_message(stream, "phase", {"phase": phase})


def share_of_chunk(chunk: Chunk, group: Group | None) -> Chunk:
    """This rank's rows of every batch of a chunk."""
    if group is None:
        return chunk
    rows = group.rows(chunk.inputs.shape[1])
    return Chunk(chunk.inputs[:, rows], chunk.targets[:, rows], chunk.learning_rates)


def share_of_batch(batch: Batch, group: Group | None) -> Batch:
    """This rank's rows of a batch."""
    if group is None:
        return batch
    rows = group.rows(len(batch.inputs))
    return Batch(batch.inputs[rows], batch.targets[rows])


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
