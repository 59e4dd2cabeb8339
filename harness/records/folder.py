"""A run's folder: run.json, one record a cell, its final parameters and its log, and the attempts before them."""

from __future__ import annotations

import errno
import glob
import hashlib
import itertools
import os
import re
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

import msgspec
from msgspec.structs import replace
from safetensors import SafetensorError
from safetensors.numpy import load, save

from backends.contract import Parameters
from harness.machine.provenance import changed_sources
from harness.records.durable import FolderLock, Locked, move, remove_temporaries, sync_folder, write_bytes, write_json
from harness.records.fault import shape_fault
from harness.records.identity import PlannedCell
from harness.records.parameter_faults import parameter_faults
from harness.records.reading import check_name, read_file, read_run_file
from harness.records.record_faults import record_faults
from harness.records.schema import SCHEMA_VERSION, UnreadableFile, digest, flatten, is_sealed, read_json, seal
from harness.records.structs import (
    AAPair,
    CeilingFile,
    Cell,
    Making,
    Product,
    Provenance,
    RunFile,
    Session,
    Verification,
)
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig

FOLDERS = ("cells", "logs", "attempts")
# How an attempt ended that is made again.
ENDED = {
    "failed": "it failed",
    "timeout": "it ran out of time",
    "out_of_memory": "it ran out of memory",
    "killed": "its process was killed",
    "diverged": "it diverged",
}
# What a record goes without where a full disk has no room for it.
BULKY = ("losses", "chunks", "evaluation", "settings", "timeline")


class FolderTaken(ConfigurationError):
    """There is a folder of that name, or another run is making it."""


@dataclass(frozen=True)
class RunFolder:
    """A run's folder and the lock on it, which is held until the end of its `with` block."""

    path: Path
    lock: FolderLock

    @classmethod
    def create(cls, path: Path, run: RunFile) -> RunFolder:
        """A new folder with its run.json. Raises ConfigurationError where `path` is already there or cannot be made."""
        if path.exists() or path.is_symlink():
            raise FolderTaken(f"{path} already exists; name it with --resume to go on there")
        # Named when it is complete: a folder that is there can be resumed.
        begun = path.with_name(f".{path.name}.new")
        lock = None
        try:
            begun.mkdir(parents=True, exist_ok=True)
            lock = FolderLock(begun)
            for name in FOLDERS:
                (begun / name).mkdir(exist_ok=True)
            session = _begin_session(run)
            _write_struct(begun / "run.json", replace(run, created=session.started, sessions=[session]))
            begun.rename(path)
            sync_folder(path.parent)
        except Locked as error:
            raise FolderTaken(f"{path} is being made by {error}") from None
        except OSError as error:
            if lock:
                lock.close()
                shutil.rmtree(begun, ignore_errors=True)
            kind = FolderTaken if error.errno in (errno.ENOTEMPTY, errno.EEXIST) else ConfigurationError
            raise kind(f"{path} cannot be made: {error.strerror}") from None
        return cls(path, lock)

    @classmethod
    def resume(cls, path: Path, run: RunFile) -> RunFolder:
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
            remove_temporaries(path)
            for name in FOLDERS:
                (path / name).mkdir(exist_ok=True)
            _write_struct(path / "run.json", _go_on(earlier, run))
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

    def log(self, cell: PlannedCell) -> Path:
        return self.path / "logs" / f"{cell.name}.log"

    def _rank_logs(self, cell: PlannedCell) -> list[Path]:
        return sorted((self.path / "logs").glob(f"{glob.escape(cell.name)}.rank*.log"))

    def record(self, cell: PlannedCell) -> Path:
        return self.path / "cells" / f"{cell.name}.json"

    def parameters(self, cell: PlannedCell) -> Path:
        return self.path / "cells" / f"{cell.name}.safetensors"

    def reason_to_train(self, cell: PlannedCell, config: RunConfig, made_with: Making) -> str | None:
        """Why the cell has to be done, again or at all; None where it is complete and would be of the same making
        today."""
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
        if fault := shape_fault(record, Cell):
            return _first([fault])
        made = msgspec.convert(record, Cell)
        if made.status != "ok":
            return ENDED.get(made.status, f"it ended as {made.status}")
        return (
            _other_making(made, config, cell, made_with)
            or _first(record_faults(record, config))
            or self._parameter_fault(made, cell, config)
        )

    def add_to_session(self, other_cpu_share: float) -> None:
        """What other processes used of the processors before the first cell of this session. Raises OSError."""
        run = read_run_file(self.path / "run.json")
        *earlier, session = run.sessions
        sessions = [*earlier, replace(session, other_cpu_share=other_cpu_share)]
        _write_struct(self.path / "run.json", replace(run, sessions=sessions))

    def add_verification(self, verification: Sequence[Verification]) -> None:
        """Keep what was proven of each implementation, in place of an earlier proof of the same. Raises OSError."""
        run = read_run_file(self.path / "run.json")
        known = {each.variant: each for each in (*run.verification, *verification)}
        _write_struct(self.path / "run.json", replace(run, verification=list(known.values())))

    def begin_attempt(self, cell: PlannedCell) -> int:
        """Put what an earlier attempt has left into attempts/, under its number; the number of the one that begins.

        The record goes last, so that what a kill leaves half done is no complete cell and is put there next time.
        """
        numbers = [int(named[1]) for path in (self.path / "attempts").iterdir() if (named := _numbered(cell, path))]
        number = max(numbers, default=0) + 1
        left = [path for path in (self.log(cell), self.parameters(cell), self.record(cell)) if path.exists()]
        for path in [*self._rank_logs(cell), *left]:
            move(path, self.path / "attempts" / f"{cell.name}.{number}{path.name.removeprefix(cell.name)}")
        return number + 1 if left else number

    def write_cell(self, cell: PlannedCell, record: Cell, parameters: Parameters) -> Cell:
        """Write the parameters, then the record that vouches for them; the record as written.

        What cannot be written makes the cell a failed one with as much of its record as can be, at least in the
        returned one: never raises OSError.
        """
        try:
            if parameters:
                content = save(parameters)
                write_bytes(self.parameters(cell), content)
                record = replace(record, parameters_sha256=hashlib.sha256(content).hexdigest())
            return self._write_record(cell, record)
        except OSError as error:
            reason = f"it could not be written: {error.strerror}"
            return self._write_remains(cell, replace(record, status="failed", reason=reason))

    def add_to_ceiling(self, samples: Sequence[Product]) -> None:
        """Keep samples of the ceiling after those that are there. Raises OSError, and ValueError for a file that is not
        ours."""
        path = self.path / "ceiling.json"
        try:
            earlier = read_file(path, CeilingFile).samples
        except FileNotFoundError:
            earlier = []
        _write_struct(path, CeilingFile(SCHEMA_VERSION, [*earlier, *samples]))

    def _write_record(self, cell: PlannedCell, record: Cell) -> Cell:
        sealed = seal(msgspec.to_builtins(record))
        write_json(self.record(cell), sealed)
        return replace(record, sha256=sealed["sha256"])

    def _write_remains(self, cell: PlannedCell, record: Cell) -> Cell:
        """All of it where only the parameters did not fit, else how it ended."""
        self.parameters(cell).unlink(missing_ok=True)
        whole = replace(record, parameters_sha256=None)
        for remains in (whole, replace(whole, **dict.fromkeys(BULKY), faulty={})):
            try:
                return self._write_record(cell, remains)
            except OSError:
                continue
        return whole

    def _parameter_fault(self, record: Cell, cell: PlannedCell, config: RunConfig) -> str | None:
        try:
            content = self.parameters(cell).read_bytes()
        except OSError:
            return "its parameters are missing"
        if hashlib.sha256(content).hexdigest() != record.parameters_sha256:
            return "its parameters are not those of its record"
        try:
            return _first(parameter_faults(load(content), config.model_spec().shapes()))
        except SafetensorError as error:
            return f"its parameters cannot be read: {error}"


def read_description(path: Path) -> RunFile:
    """The run.json of a run that can be resumed. Raises ConfigurationError."""
    try:
        description = read_run_file(path / "run.json")
        for name in description.cells:
            check_name(name)
    except (OSError, ValueError, RecursionError) as error:
        why = "" if isinstance(error, FileNotFoundError) else f": {error}"
        raise ConfigurationError(f"{path} holds no run that could be resumed: no readable run.json{why}") from None
    return description


def refuse_differences(path: Path, earlier: RunFile, ours: RunFile) -> None:
    """Raises ConfigurationError that shows every difference in configuration and resources."""
    was, now = (_agreed(run) for run in (earlier, ours))
    differing = [f"{key} = {was.get(key)!r}, not {now.get(key)!r}" for key in now if was.get(key) != now.get(key)]
    if differing:
        raise ConfigurationError(f"{path} was run with {'; '.join(differing)}")


def _agreed(run: RunFile) -> dict[str, Any]:
    """What a run that goes on has to be asked for with."""
    return flatten(asdict(run.configuration)) | flatten(msgspec.to_builtins(run.resources))


def _go_on(earlier: RunFile, ours: RunFile) -> RunFile:
    """The earlier run with our cells, nodes and session added to it."""
    return replace(
        earlier,
        cells=list(dict.fromkeys([*earlier.cells, *ours.cells])),
        a_a=_larger_a_a(earlier.a_a, ours.a_a),
        environment=ours.environment,
        sessions=[*earlier.sessions, _begin_session(ours)],
        nodes=list({node.node: node for node in (*earlier.nodes, *ours.nodes)}.values()),
    )


def _begin_session(run: RunFile) -> Session:
    return Session(_utc_now(), run.command, run.environment)


def _write_struct(path: Path, file: msgspec.Struct) -> None:
    write_json(path, msgspec.to_builtins(file))


def _other_making(record: Cell, config: RunConfig, cell: PlannedCell, made_with: Making) -> str | None:
    """Why the cell, done today, would be of another making."""
    made = record.provenance or Provenance({}, "", {"": ""})
    if record.configuration_sha256 != digest(config.to_dict()):
        return "it was made with another configuration"
    if changed := changed_sources(cell.backend, made.code):
        return f"its code has changed: {', '.join(changed[:3])}"
    was, now = {**made.versions, "cpu": made.cpu}, {**made_with.versions, "cpu": made_with.cpu}
    other = [f"{key} {was.get(key)}, now {now.get(key)}" for key in {**was, **now} if was.get(key) != now.get(key)]
    return f"it was made with {'; '.join(other)}" if other else None


def _larger_a_a(earlier: AAPair | None, ours: AAPair | None) -> AAPair | None:
    """The second set of the A/A pair begins after the most repeats asked for; of two pairs the first stays."""
    if earlier is None or ours is None:
        return earlier or ours
    same = replace(earlier, first_repeat=0) == replace(ours, first_repeat=0)
    return max(earlier, ours, key=lambda pair: pair.first_repeat) if same else earlier


def _first(faults: Iterable[Any]) -> str | None:
    fault = next(iter(faults), None)
    return None if fault is None else f"its record is faulty: {fault}"


def _numbered(cell: PlannedCell, path: Path) -> re.Match[str] | None:
    return re.fullmatch(rf"{re.escape(cell.name)}\.(\d+)\.(json|log|safetensors)", path.name)


def default_folder(preset: str) -> Path:
    """A name that no other run has taken, be it started in the same second."""
    name = f"{datetime.now(UTC):%Y-%m-%dT%H%M%SZ}-{Path(preset).stem}"
    names = itertools.chain([name], (f"{name}-{number}" for number in itertools.count(2)))
    free = (path for path in map(Path("results").joinpath, names) if not _is_taken(path))
    return next(free)


def _is_taken(path: Path) -> bool:
    return any(os.path.lexists(each) for each in (path, path.with_name(f".{path.name}.new")))


def _utc_now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}"
