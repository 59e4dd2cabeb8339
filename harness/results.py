"""A run's folder: run.json, one record a cell, its final parameters and its log."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from safetensors.numpy import save

from backends.contract import Parameters
from harness.plan import Cell
from harness.presets import ConfigurationError

SCHEMA_VERSION = 1


@dataclass(frozen=True)
class RunFolder:
    path: Path

    @classmethod
    def create(cls, path: Path, run: Mapping[str, Any]) -> RunFolder:
        """A new folder with its run.json. Raises ConfigurationError where `path` is already there."""
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            raise ConfigurationError(f"{path} already exists; name it with --resume to go on there") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from None
        for name in ("cells", "logs"):
            (path / name).mkdir()
        write_json(path / "run.json", {"schema_version": SCHEMA_VERSION, "created": _utc_now(), **run})
        return cls(path)

    @classmethod
    def resume(cls, path: Path, run: Mapping[str, Any]) -> RunFolder:
        """The folder of an earlier run of the same configuration, with this run's cells added to it.

        Raises ConfigurationError where there is none.
        """
        try:
            earlier = json.loads((path / "run.json").read_text(encoding="utf-8"))
            _refuse_differences(path, earlier["configuration"], json.loads(json.dumps(run["configuration"])))
            cells = list(dict.fromkeys([*earlier["cells"], *run["cells"]]))
        except (OSError, KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError):
            raise ConfigurationError(f"{path} holds no run that could be resumed: no readable run.json") from None
        write_json(path / "run.json", {**earlier, "cells": cells})
        return cls(path)

    def log(self, cell: Cell) -> Path:
        return self.path / "logs" / f"{cell.name}.log"

    def is_complete(self, cell: Cell) -> bool:
        """True where the cell's record says it went well."""
        record = self._read_cell(cell)
        return record.get("schema_version") == SCHEMA_VERSION and record.get("status") == "ok"

    def write_ceiling(self, cells: Iterable[Cell]) -> None:
        """The matrix products measured at the end of each cell, in running order."""
        samples = []
        for cell in cells:
            record = self._read_cell(cell)
            whose = {"after": cell.name, "backend": cell.backend.name, "precision": cell.precision}
            for sample in record.get("ceiling") or []:
                samples.append({**whose, "device": record.get("device"), **sample})
        write_json(self.path / "ceiling.json", {"schema_version": SCHEMA_VERSION, "samples": samples})

    def _read_cell(self, cell: Cell) -> dict[str, Any]:
        """The cell's record; empty where there is none that can be read."""
        try:
            record = json.loads((self.path / "cells" / f"{cell.name}.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return record if isinstance(record, dict) else {}

    def write_cell(self, cell: Cell, record: Mapping[str, Any], parameters: Parameters) -> None:
        head = {"schema_version": SCHEMA_VERSION, "cell": cell.name, **cell.identity()}
        if parameters:
            write_bytes(self.path / "cells" / f"{cell.name}.safetensors", save(parameters))
        write_json(self.path / "cells" / f"{cell.name}.json", {**head, **record})


def _refuse_differences(path: Path, earlier: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    for section, values in ours.items():
        for key, value in values.items():
            was = earlier.get(section, {}).get(key)
            if was != value:
                raise ConfigurationError(f"{path} was run with {section}.{key} = {was!r}, not {value!r}")


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    write_bytes(path, json.dumps(content, indent=1, allow_nan=False).encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Whole or not at all: written beside the file, synced and renamed into its place."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    with os.fdopen(handle, "wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    os.replace(temporary, path)


def default_folder(preset: str) -> Path:
    return Path("results") / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{Path(preset).stem}"


def _utc_now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
