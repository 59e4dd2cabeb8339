"""Train one cell, in a fresh process or in one for each of its ranks."""

from __future__ import annotations

from pathlib import Path

from msgspec.structs import replace

from harness.cells.requests import Train
from harness.processes.process import Outcome, Resources, missing_reason
from harness.processes.ranks import Hear, run_together
from harness.records.identity import PlannedCell
from harness.records.messages import Checkpoint, Message
from harness.task.recipe import RunConfig


def run_cell(
    cell: PlannedCell, config: RunConfig, resources: Resources, log: Path, hear: Hear, checkpoint: Message | None = None
) -> Outcome:
    """Train one cell in fresh processes, from the checkpoint of an earlier one if there is one. Never raises for what
    a worker does."""
    missing = cell.backend.missing_packages()
    if missing:
        return Outcome("not_installed", missing_reason(cell.backend, missing))
    job = train_job(cell, config)
    if checkpoint is None or not isinstance(checkpoint.body, Checkpoint):
        return run_together(job, resources, log, hear)
    return run_together(replace(job, checkpoint=checkpoint.body), resources, log, hear, checkpoint.arrays)


def train_job(cell: PlannedCell, config: RunConfig) -> Train:
    """What a worker is asked for, to train the cell from its start."""
    return Train(
        backend=cell.backend.name,
        implementation=cell.implementation,
        precision=cell.precision,
        seed=cell.seed,
        configuration=config,
    )
