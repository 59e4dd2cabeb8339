"""Reading a run's folder, with everything in it checked.

Record files are external input: a record that cannot be read becomes a failed cell with its reason, a ceiling that
cannot be read is told as a problem, and a cell name that could leave the folder is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import msgspec

from harness.records.older import NO_CEILING, modernise
from harness.records.schema import CEILING_APART_SINCE, READABLE_VERSIONS, SAFE_NAME, read_json
from harness.records.structs import (
    NO_RECORD,
    CeilingFile,
    Cell,
    EvaluateSection,
    Product,
    Run,
    RunFile,
    TargetSection,
    TaskSection,
)

READABLE = f"versions {READABLE_VERSIONS[0]} to {READABLE_VERSIONS[-1]}"
CELL_NAME = re.compile(
    r"(?P<backend>[^-]+)-(?P<implementation>[^-]+)-(?P<precision>[^-]+)-seed(?P<seed>\d+)-r(?P<repeat>\d+)"
)


def read_run(folder: Path) -> Run:
    """The run in `folder`. ValueError where run.json is missing or malformed or names a cell unsafely."""
    file = _read_run_file(folder / "run.json")
    for name in file.cells:
        check_name(name)
    try:
        task = msgspec.convert(file.configuration.get("task"), TaskSection)
        batch = msgspec.convert(file.configuration.get("train", {}).get("batch"), int)
        target = msgspec.convert(file.configuration.get("target", {}), TargetSection)
        evaluate = msgspec.convert(file.configuration.get("evaluate", {}), EvaluateSection)
    except msgspec.ValidationError as error:
        raise ValueError(f"run.json: its configuration is malformed: {error}") from error
    cells = [_read_cell(folder / "cells" / f"{name}.json") for name in file.cells]
    return Run(file, task, batch, cells, *_read_ceiling(folder / "ceiling.json"), target, evaluate)


def check_name(name: str) -> None:
    """Raise ValueError for a cell name that is not safe as a file name."""
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"run.json: unsafe cell name {name!r}")


def _read_run_file(path: Path) -> RunFile:
    try:
        file = msgspec.convert(_read_modern(path), RunFile)
    except FileNotFoundError:
        raise ValueError(f"{path.parent} is not a run's folder: it has no run.json") from None
    except ValueError as error:
        raise ValueError(f"run.json cannot be read: {error}") from error
    if file.schema_version not in READABLE_VERSIONS:
        raise ValueError(f"run.json has schema version {file.schema_version}; this report reads {READABLE}")
    return file


def _read_modern(path: Path) -> dict[str, Any]:
    content = read_json(path)
    version = content.get("schema_version")
    return modernise(content, version) if isinstance(version, int) else content


def _read_cell(path: Path) -> Cell:
    try:
        cell = msgspec.convert(_read_modern(path), Cell)
        if cell.cell != path.stem:
            raise ValueError(f"it names the cell {cell.cell!r}")
    except FileNotFoundError:
        return _failed_cell(path.stem, NO_RECORD)
    except ValueError as error:
        return _failed_cell(path.stem, f"its record cannot be read: {error}")
    return cell


def _read_ceiling(path: Path) -> tuple[list[Product], str | None]:
    """The samples, and what is wrong with the file. A run without the file has neither."""
    try:
        file = msgspec.convert(read_json(path), CeilingFile)
        if file.schema_version not in READABLE_VERSIONS:
            raise ValueError(f"it has schema version {file.schema_version}")
        if file.schema_version < CEILING_APART_SINCE and file.samples:
            return [], NO_CEILING
    except FileNotFoundError:
        return [], None
    except ValueError as error:
        return [], f"ceiling.json cannot be read: {error}"
    return file.samples, None


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
