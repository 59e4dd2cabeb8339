"""A run's folder as frozen dataclasses, checked while reading.

Record files are external input: a record that cannot be read becomes a failed cell with its reason, and a cell
name that could leave the folder is refused.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

SCHEMA_VERSION = 1
SAFE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
CELL_NAME = re.compile(
    r"(?P<backend>[^-]+)-(?P<implementation>[^-]+)-(?P<precision>[^-]+)-seed(?P<seed>\d+)-r(?P<repeat>\d+)"
)


@dataclass(frozen=True)
class Chunks:
    """Calls of Trainer.train: optimiser steps of each, its seconds, seconds since training began at its end, and
    whether it is left out of the steady state."""

    steps: list[int] = field(default_factory=list)
    train_s: list[float] = field(default_factory=list)
    elapsed_s: list[float] = field(default_factory=list)
    warmup: list[bool] = field(default_factory=list)

    def __post_init__(self) -> None:
        if len({len(self.steps), len(self.train_s), len(self.elapsed_s), len(self.warmup)}) > 1:
            raise ValueError("its chunks are of unequal length")


@dataclass(frozen=True)
class TestMeasures:
    """Measures on the test set of mixed lengths, padding included; losses in nats."""

    seed_loss: float | None = None
    seed_loss_floor: float | None = None
    cross_entropy_floor: float | None = None


@dataclass(frozen=True)
class LengthMeasures:
    """Measures on `sequences` test sequences of one length."""

    length: int
    sequences: int
    wrong_bits: int
    bit_error: float
    exact_fraction: float
    bits_per_sequence: float


@dataclass(frozen=True)
class Copy:
    """One sequence: target and prediction, each (time, bits)."""

    length: int
    target: list[list[float]]
    prediction: list[list[float]]

    def __post_init__(self) -> None:
        bits = [len(step) for step in self.target]
        if bits != [len(step) for step in self.prediction] or len(set(bits)) != 1:
            raise ValueError("the target and the prediction of a copy are not of one shape (time, bits)")


@dataclass(frozen=True)
class Evaluation:
    test: TestMeasures = TestMeasures()
    lengths: list[LengthMeasures] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)


@dataclass(frozen=True)
class Cell:
    """One record: what one process did. What it did not reach is None."""

    cell: str
    backend: str
    implementation: str
    precision: str
    seed: int
    repeat: int
    status: str
    reason: str | None = None
    verified: bool | None = None
    device: str | None = None
    n_parameters: int | None = None
    settings: dict[str, Any] | None = None
    timeline: dict[str, float | None] | None = None
    losses: list[float | None] | None = None
    chunks: Chunks | None = None
    evaluation: Evaluation | None = None
    peak_memory_bytes: int | None = None

    @property
    def variant(self) -> tuple[str, str, str, str]:
        """What is compared: backend, implementation, precision, device."""
        return self.backend, self.implementation, self.precision, self.device or ""


@dataclass(frozen=True)
class TaskSection:
    bits: int
    min_length: int
    max_length: int


@dataclass(frozen=True)
class RunFile:
    """run.json. The configuration's sections are free but for what the report computes with."""

    schema_version: int
    configuration: dict[str, dict[str, Any]]
    cells: list[str]
    created: str = ""
    preset: str = ""
    command: str = ""
    environment: dict[str, Any] = field(default_factory=dict)
    resources: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """run.json with the records of its cells, in its order."""

    file: RunFile
    task: TaskSection
    batch: int
    cells: list[Cell]

    @property
    def ok_cells(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.status == "ok"]


def read_run(folder: Path) -> Run:
    """The run in `folder`. ValueError where run.json is missing or malformed or names a cell unsafely."""
    file = _read_run_file(folder / "run.json")
    for name in file.cells:
        check_name(name)
    try:
        task = msgspec.convert(file.configuration.get("task"), TaskSection)
        batch = msgspec.convert(file.configuration.get("train", {}).get("batch"), int)
    except msgspec.ValidationError as error:
        raise ValueError(f"run.json: its configuration is malformed: {error}") from error
    return Run(file, task, batch, [_read_cell(folder / "cells" / f"{name}.json") for name in file.cells])


def check_name(name: str) -> None:
    """Raise ValueError for a cell name that is not safe as a file name."""
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"run.json: unsafe cell name {name!r}")


def _read_run_file(path: Path) -> RunFile:
    try:
        file = msgspec.convert(json.loads(path.read_text("utf-8")), RunFile)
    except FileNotFoundError:
        raise ValueError(f"{path.parent} is not a run's folder: it has no run.json") from None
    except ValueError as error:
        raise ValueError(f"run.json cannot be read: {error}") from error
    if file.schema_version != SCHEMA_VERSION:
        raise ValueError(f"run.json has schema version {file.schema_version}; this report reads {SCHEMA_VERSION}")
    return file


def _read_cell(path: Path) -> Cell:
    try:
        cell = msgspec.convert(json.loads(path.read_text("utf-8")), Cell)
        if cell.cell != path.stem:
            raise ValueError(f"it names the cell {cell.cell!r}")
    except FileNotFoundError:
        return _failed_cell(path.stem, "no record")
    except ValueError as error:
        return _failed_cell(path.stem, f"its record cannot be read: {error}")
    return cell


def _failed_cell(name: str, reason: str) -> Cell:
    parts = CELL_NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"{name}: {reason}, and its name is not <backend>-<implementation>-<precision>-seed<S>-r<R>")
    return Cell(
        cell=name,
        backend=parts["backend"],
        implementation=parts["implementation"],
        precision=parts["precision"],
        seed=int(parts["seed"]),
        repeat=int(parts["repeat"]),
        status="failed",
        reason=reason,
    )
