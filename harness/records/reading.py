"""Reading a run's folder, with everything in it checked.

Record files are external input: a record that cannot be read becomes a failed cell with its reason, a ceiling that
cannot be read is told as a problem, and a cell name that could leave the folder is refused.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from harness.records.record_faults import column_faults
from harness.records.schema import SAFE_NAME, SCHEMA_VERSION, read_json
from harness.records.structs import NO_RECORD, CeilingFile, Cell, Product, Run, RunFile
from harness.task.presets import ConfigurationError

CELL_NAME = re.compile(
    r"(?P<backend>[^-]+)-(?P<implementation>[^-]+)-(?P<precision>[^-]+)-seed(?P<seed>\d+)-r(?P<repeat>\d+)"
)

File = TypeVar("File", RunFile, Cell, CeilingFile)


def read_run(folder: Path) -> Run:
    """The run in `folder`. Raises ConfigurationError, which names the folder, where run.json is missing or malformed or
    names a cell unsafely."""
    try:
        file = read_run_file(folder / "run.json")
        for name in file.cells:
            check_name(name)
        cells = [_read_cell(folder / "cells" / f"{name}.json") for name in file.cells]
    except FileNotFoundError:
        raise ConfigurationError(f"{folder} is no run's folder: it has no run.json") from None
    except ValueError as error:
        raise ConfigurationError(f"{folder / 'run.json'} cannot be read: {error}") from None
    products, problem = _read_ceiling(folder / "ceiling.json")
    return Run(file=file, cells=cells, products=products, ceiling_problem=problem)


def read_run_file(path: Path) -> RunFile:
    """As read_file; a recipe without one of its parts is malformed, for defaults would take their place."""
    content = _read_content(path)
    file = msgspec.convert(content, RunFile)
    for section in ("task", "model", "optimizer", "train"):
        if section not in content["configuration"]:
            raise ValueError(f"configuration.{section} is missing")
    return file


def read_file(path: Path, kind: type[File]) -> File:
    """A file of a run. Raises ValueError, in one line, for another version or what is not as its struct says, and
    FileNotFoundError."""
    return msgspec.convert(_read_content(path), kind)


def _read_content(path: Path) -> dict[str, Any]:
    content = read_json(path)
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"it has schema version {version!r}; allowed is {SCHEMA_VERSION}")
    return content


def check_name(name: str) -> None:
    """Raise ValueError for a cell name that is not safe as a file name."""
    if not SAFE_NAME.fullmatch(name):
        raise ValueError(f"unsafe cell name {name!r}")


def _read_cell(path: Path) -> Cell:
    try:
        cell = read_file(path, Cell)
        if cell.cell != path.stem:
            raise ValueError(f"it names the cell {cell.cell!r}")
        for fault in column_faults(cell.chunks) if cell.chunks else ():
            raise ValueError(str(fault))
    except FileNotFoundError:
        return _failed_cell(path.stem, NO_RECORD)
    except (ValueError, RecursionError) as error:
        return _failed_cell(path.stem, f"its record cannot be read: {error}")
    return cell


def _read_ceiling(path: Path) -> tuple[list[Product], str | None]:
    """The samples, and what is wrong with the file. A run without the file has neither."""
    try:
        return read_file(path, CeilingFile).samples, None
    except FileNotFoundError:
        return [], None
    except ValueError as error:
        return [], f"ceiling.json cannot be read: {error}"


def _failed_cell(name: str, reason: str) -> Cell:
    parts = CELL_NAME.fullmatch(name)
    if parts is None:
        raise ValueError(f"{name}: {reason}, and its name is not <backend>-<implementation>-<precision>-seed<S>-r<R>")
    return Cell(
        schema_version=SCHEMA_VERSION,
        cell=name,
        backend=parts["backend"],
        implementation=parts["implementation"],
        precision=parts["precision"],
        seed=int(parts["seed"]),
        repeat=int(parts["repeat"]),
        status="failed",
        reason=reason,
    )
