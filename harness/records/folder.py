"""A run's folder: run.json, one record a cell, its final parameters and its log, and the attempts before them."""

from __future__ import annotations

import glob
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from safetensors import SafetensorError
from safetensors.numpy import load, save

from backends.contract import Parameters
from harness.machine.provenance import changed_sources
from harness.records.durable import FolderLock, Locked, move, remove_temporaries, sync_folder, write_bytes, write_json
from harness.records.identity import Cell
from harness.records.schema import SAFE_NAME, SCHEMA_VERSION, UnreadableFile, digest, is_sealed, read_json, seal
from harness.records.shape import Head, Making, Measured, shape_fault
from harness.records.validation import parameter_faults, record_faults
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig

FOLDERS = ("cells", "logs", "attempts")
# What a run was asked for with, beside its configuration; a run that goes on must agree.
AGREED = ("configuration", "resources")


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the lock on it, which is held until the end of its `with` block."""

    path: Path
    lock: FolderLock

    @classmethod
    def create(cls, path: Path, run: Mapping[str, Any]) -> RunFolder:
        """A new folder with its run.json. Raises ConfigurationError where `path` is already there or cannot be made."""
        if path.exists() or path.is_symlink():
            raise ConfigurationError(f"{path} already exists; name it with --resume to go on there")
        # Named when it is complete: a folder that is there can be resumed.
        begun = path.with_name(f".{path.name}.new")
        try:
            begun.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(begun)
            for name in FOLDERS:
                (begun / name).mkdir(exist_ok=True)
            now = _utc_now()
            sessions = [{"started": now, "command": run.get("command"), "environment": run.get("environment")}]
            write_json(
                begun / "run.json", {"schema_version": SCHEMA_VERSION, "created": now, **run, "sessions": sessions}
            )
            begun.rename(path)
            sync_folder(path.parent)
        except Locked as error:
            raise ConfigurationError(f"{path} is being made by {error}") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be made: {error.strerror}") from None
        return cls(path, lock)

    @classmethod
    def resume(cls, path: Path, run: Mapping[str, Any]) -> RunFolder:
        """The folder of an earlier run of the same configuration, with this run's cells added to it.

        Raises ConfigurationError where there is none, where it is in use, and where it was asked for with something
        else, which it names.
        """
        read_description(path)
        try:
            lock = FolderLock(path)
        except Locked as error:
            raise ConfigurationError(f"{path} is in use by {error}; one run at a time") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be locked: {error.strerror}") from None
        try:
            # Again, now that nobody else can change it.
            earlier = read_description(path)
            refuse_differences(path, earlier, run)
            cells = list(dict.fromkeys([*earlier["cells"], *run["cells"]]))
            session = {"started": _utc_now(), "command": run.get("command"), "environment": run.get("environment")}
            changes = {
                "cells": cells,
                "a_a": _larger_a_a(earlier.get("a_a"), run.get("a_a")),
                "environment": run.get("environment"),
                "sessions": [*earlier["sessions"], session],
                **_all_nodes(earlier, run),
            }
            remove_temporaries(path)
            for name in FOLDERS:
                (path / name).mkdir(exist_ok=True)
            write_json(path / "run.json", {**earlier, **changes})
        except OSError as error:
            lock.close()
            raise ConfigurationError(f"{path} cannot be written to: {error.strerror}") from None
        except BaseException:
            lock.close()
            raise
        return cls(path, lock)

    def __enter__(self) -> RunFolder:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.lock.close()

    def log(self, cell: Cell) -> Path:
        return self.path / "logs" / f"{cell.name}.log"

    def _rank_logs(self, cell: Cell) -> list[Path]:
        return sorted((self.path / "logs").glob(f"{glob.escape(cell.name)}.rank*.log"))

    def record(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    def parameters(self, cell: Cell) -> Path:
        return self.path / "cells" / f"{cell.name}.safetensors"

    def incompleteness(self, cell: Cell, config: RunConfig, made_with: Mapping[str, Any]) -> str | None:
        """Why the cell has to be done, again or at all; None where it is complete and would be of the same making
        today, with the versions and the cpu that are in made_with."""
        try:
            record = read_json(self.record(cell))
        except FileNotFoundError:
            return "it has no record"
        except UnreadableFile as error:
            return f"its record cannot be read: {error}"
        if record.get("schema_version") != SCHEMA_VERSION:
            return f"its record has schema version {record.get('schema_version')}, not {SCHEMA_VERSION}"
        if not is_sealed(record):
            return "its record was altered"
        if fault := _first(filter(None, (shape_fault(record, kind) for kind in (Head, Making, Measured)))):
            return fault
        if record["status"] != "ok":
            return f"it ended as {record['status']}"
        return (
            _other_making(record, cell, config, made_with)
            or _first(record_faults(record, config))
            or self._parameter_fault(record, cell, config)
        )

    def add_to_session(self, **facts: Any) -> None:
        """Say more of the session that has just begun, in run.json. Raises OSError."""
        run = read_json(self.path / "run.json")
        *earlier, session = run["sessions"]
        write_json(self.path / "run.json", {**run, "sessions": [*earlier, {**session, **facts}]})

    def begin_attempt(self, cell: Cell) -> int:
        """Put what an earlier attempt has left into attempts/, under its number; the number of the one that begins.

        The record goes last, so that what a kill leaves half done is no complete cell and is put there next time.
        """
        numbers = [int(named[1]) for path in (self.path / "attempts").iterdir() if (named := _numbered(cell, path))]
        number = max(numbers, default=0) + 1
        left = [path for path in (self.log(cell), self.parameters(cell), self.record(cell)) if path.exists()]
        for path in [*self._rank_logs(cell), *left]:
            move(path, self.path / "attempts" / f"{cell.name}.{number}{path.name.removeprefix(cell.name)}")
        return number + 1 if left else number

    def write_cell(self, cell: Cell, record: Mapping[str, Any], parameters: Parameters) -> dict[str, Any]:
        """Write the parameters, then the record that vouches for them; the record as written.

        What cannot be written makes the cell a failed one with as much of its record as can be, at least in the
        returned one: never raises OSError.
        """
        head = {"schema_version": SCHEMA_VERSION, "cell": cell.name, **cell.identity()}
        # It is not the worker that says which cell this is.
        whole = {**head, **record, **head}
        try:
            if parameters:
                content = save(parameters)
                write_bytes(self.parameters(cell), content)
                whole["parameters_sha256"] = hashlib.sha256(content).hexdigest()
            return self._write_record(cell, whole)
        except (OSError, ValueError, RecursionError) as error:
            why = error.strerror if isinstance(error, OSError) else "JSON cannot hold it"
            reason = f"it could not be written: {why}"
            return self._write_remains(cell, {**whole, "status": "failed", "reason": reason})

    def add_to_ceiling(self, samples: Sequence[Mapping[str, Any]]) -> None:
        """Keep samples of the ceiling after those that are there. Raises OSError, and UnreadableFile for a file that is
        not ours."""
        path = self.path / "ceiling.json"
        try:
            earlier = read_json(path).get("samples")
        except FileNotFoundError:
            earlier = []
        if not isinstance(earlier, list):
            raise UnreadableFile("it holds no samples")
        write_json(path, {"schema_version": SCHEMA_VERSION, "samples": [*earlier, *samples]})

    def _write_record(self, cell: Cell, record: Mapping[str, Any]) -> dict[str, Any]:
        sealed = seal(record)
        write_json(self.record(cell), sealed)
        return sealed

    def _write_remains(self, cell: Cell, record: dict[str, Any]) -> dict[str, Any]:
        """All of it where only the parameters did not fit, else how it ended."""
        self.parameters(cell).unlink(missing_ok=True)
        record.pop("parameters_sha256", None)
        bulky = ("losses", "chunks", "evaluation", "settings", "timeline", "faulty")
        for left_out in ((), bulky):
            remains = {key: value for key, value in record.items() if key not in left_out}
            try:
                return self._write_record(cell, remains)
            except (OSError, ValueError, RecursionError):
                continue
        return record

    def _parameter_fault(self, record: Mapping[str, Any], cell: Cell, config: RunConfig) -> str | None:
        try:
            content = self.parameters(cell).read_bytes()
        except OSError:
            return "its parameters are missing"
        if hashlib.sha256(content).hexdigest() != record.get("parameters_sha256"):
            return "its parameters are not those of its record"
        try:
            return _first(parameter_faults(load(content), config.model_spec().shapes()))
        except SafetensorError as error:
            return f"its parameters cannot be read: {error}"


def read_description(path: Path) -> dict[str, Any]:
    """The run.json of a run that can be resumed. Raises ConfigurationError."""
    try:
        description = read_json(path / "run.json")
    except (OSError, UnreadableFile) as error:
        why = "" if isinstance(error, FileNotFoundError) else f": {error}"
        raise ConfigurationError(f"{path} holds no run that could be resumed: no readable run.json{why}") from None
    version = description.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ConfigurationError(
            f"{path} has schema version {version}; a run of version {SCHEMA_VERSION} can be resumed, others reported"
        )
    kinds = {"configuration": dict, "resources": dict, "options": dict, "cells": list, "sessions": list}
    for key, kind in kinds.items():
        if not isinstance(description.get(key), kind):
            raise ConfigurationError(f"{path} holds no run that could be resumed: its run.json has no {key}")
    for name in description["cells"]:
        if not isinstance(name, str) or not SAFE_NAME.fullmatch(name):
            raise ConfigurationError(f"{path}: its run.json has an unsafe cell name {name!r}")
    return description


def refuse_differences(path: Path, earlier: Mapping[str, Any], ours: Mapping[str, Any]) -> None:
    """Raises ConfigurationError that shows every difference in configuration and resources."""
    differences = []
    for part in AGREED:
        was, now = flatten(earlier[part]), flatten(ours[part])
        differences += [
            f"{key} = {was.get(key)!r}, not {now.get(key)!r}"
            for key in dict.fromkeys([*was, *now])
            if was.get(key) != now.get(key)
        ]
    if differences:
        raise ConfigurationError(f"{path} was run with {'; '.join(differences)}")


def flatten(sections: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested sections as {"section.key": value}, with tuples as the lists that JSON makes of them."""
    flat: dict[str, Any] = {}
    for key, value in sections.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = list(value) if isinstance(value, tuple) else value
    return flat


def _other_making(record: Mapping[str, Any], cell: Cell, config: RunConfig, made_with: Mapping[str, Any]) -> str | None:
    """Why the cell, done today, would be of another making."""
    made = record.get("provenance") or {}
    if record.get("configuration_sha256") != digest(config.to_dict()):
        return "it was made with another configuration"
    if changed := changed_sources(cell.backend, made.get("code", {"": ""})):
        return f"its code has changed: {', '.join(changed[:3])}"
    was, now = {**made.get("versions", {}), "cpu": made.get("cpu")}, {**made_with["versions"], "cpu": made_with["cpu"]}
    other = [f"{key} {was.get(key)}, now {now.get(key)}" for key in {**was, **now} if was.get(key) != now.get(key)]
    return f"it was made with {'; '.join(other)}" if other else None


def _larger_a_a(earlier: Any, ours: Any) -> Any:
    """The second set of the A/A pair begins after the most repeats asked for; of two pairs the first stays."""
    if not earlier or not ours:
        return earlier or ours
    same = {**earlier, "first_repeat": None} == {**ours, "first_repeat": None}
    return max(earlier, ours, key=lambda pair: pair["first_repeat"]) if same else earlier


def _all_nodes(earlier: Mapping[str, Any], ours: Mapping[str, Any]) -> dict[str, Any]:
    """The nodes of every cluster the run was on, once each; nothing where it was on none."""
    nodes = {node["node"]: node for node in (*earlier.get("nodes", []), *ours.get("nodes", []))}
    return {"nodes": list(nodes.values())} if nodes else {}


def _first(faults: Iterable[Any]) -> str | None:
    fault = next(iter(faults), None)
    return None if fault is None else f"its record is faulty: {fault}"


def _numbered(cell: Cell, path: Path) -> re.Match[str] | None:
    return re.fullmatch(rf"{re.escape(cell.name)}\.(\d+)\.(json|log|safetensors)", path.name)


def default_folder(preset: str) -> Path:
    return Path("results") / f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{Path(preset).stem}"


def _utc_now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
