"""Train one cell, in a fresh process or in one for each of its ranks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from harness.processes.process import Listener, Outcome, Resources, missing_reason
from harness.processes.ranks import run_together
from harness.records.identity import Cell
from harness.records.messages import Message
from harness.task.recipe import RunConfig


def run_cell(
    cell: Cell,
    config: RunConfig,
    resources: Resources,
    log: Path,
    listen: Listener,
    checkpoint: Message | None = None,
) -> Outcome:
    """Train one cell in fresh processes, from the checkpoint of an earlier one if there is one. Never raises for what
    a worker does."""
    missing = cell.backend.missing_packages()
    if missing:
        return Outcome("not_installed", missing_reason(cell.backend, missing), {}, {})
    request = train_request(cell, config)
    if checkpoint is None:
        return run_together(cell.backend, request, resources, log, listen)
    going_on = {**request, "checkpoint": checkpoint.body}
    return run_together(cell.backend, going_on, resources, log, listen, arrays=checkpoint.arrays)


def train_request(cell: Cell, config: RunConfig) -> dict[str, Any]:
    """What a worker is asked for, to train the cell from its start."""
    return {
        "job": "train",
        "backend": cell.backend.name,
        "implementation": cell.implementation,
        "precision": cell.precision,
        "seed": cell.seed,
        "configuration": config.to_dict(),
    }
