"""A trainer alone or as one of several ranks, and its rows of what all are handed."""

from __future__ import annotations

import inspect

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
