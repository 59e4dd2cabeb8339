"""From how a worker ended to the record in the run's folder, and to a line for whoever watches."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec
from rich.console import Console

from harness.processes.process import INTERRUPTED, Outcome
from harness.processes.saying import say
from harness.processes.schedule import Schedule
from harness.records.checkpoints import checkpoint_path
from harness.records.durable import write_text
from harness.records.fault import Fault
from harness.records.folder import RunFolder
from harness.records.identity import PlannedCell
from harness.records.leave_out import leave_out_faulty
from harness.records.messages import NOTHING, Failed, Trained
from harness.records.parameter_faults import parameter_faults
from harness.records.schema import SCHEMA_VERSION, digest
from harness.records.structs import ENDED_FOR_GOOD, Cell, LoadAverage, Making, Measured, Provenance, Verification
from harness.task.recipe import RunConfig


@dataclass(frozen=True)
class Circumstances:
    """What is known of an attempt at a cell beside what its worker measured; made_with is None where it never came to a
    machine."""

    made_with: Making | None
    load_average: LoadAverage | None = None
    node: str | None = None
    nodes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Keeper:
    """Writes the records of a run; verdicts are by variant."""

    folder: RunFolder
    config: RunConfig
    verdicts: Mapping[tuple[str, ...], Verification]

    def keep(self, cell: PlannedCell, attempt: int, outcome: Outcome, circumstances: Circumstances) -> Cell:
        """The record as written; a checkpoint that it makes needless is removed."""
        record = msgspec.structs.replace(make_record(cell, outcome, self.config, circumstances), attempt=attempt)
        if verdict := self.verdicts.get(cell.variant):
            told = {"verified": verdict.verified, "verification_reason": verdict.reason}
            record = msgspec.structs.replace(record, **told)
        written = self.folder.write_cell(cell, record, outcome.arrays)
        if written.status in ENDED_FOR_GOOD:
            checkpoint_path(self.folder.path, cell.name).unlink(missing_ok=True)
        return written


class Ledger:
    """The cells of a run as they begin and end: their attempts, their records, a line for each, and what is left.

    statuses are those of the cells that are complete or have ended.
    """

    def __init__(self, keeper: Keeper, cells: Sequence[PlannedCell], console: Console, n_at_once: int = 1) -> None:
        self.keeper, self.folder, self.console = keeper, keeper.folder, console
        self.schedule = Schedule(cells, n_at_once=n_at_once)
        self.statuses: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.begun_s: dict[str, float] = {}

    def is_complete(self, cell: PlannedCell, makings: Sequence[Making]) -> bool:
        """Whether the cell is kept: made as one of these would make it today."""
        reasons = [self.folder.reason_to_train(cell, self.keeper.config, making) for making in makings]
        if None in reasons:
            self._finish(cell, "ok")
            self._say(cell, "complete, kept")
        elif self.folder.record(cell).exists():
            self._say(cell, f"rerun: {reasons[0]}")
        return None in reasons

    def begin(self, cell: PlannedCell, where: str = "") -> bool:
        """Put an earlier attempt aside, and say in the log of this one where it runs, lest it be lost without a
        trace. False where that cannot be done: the cell has failed then."""
        try:
            self.attempts[cell.name] = self.folder.begin_attempt(cell)
            if where:
                write_text(self.folder.log(cell), f"{where}; what it prints comes with its result\n")
        except OSError as error:
            self._finish(cell, "failed")
            self._say(cell, f"failed: its attempt could not be begun: {error.strerror}")
            return False
        self.begun_s[cell.name] = time.monotonic()
        return True

    def end(self, cell: PlannedCell, outcome: Outcome, circumstances: Circumstances, where: str = "") -> None:
        """Write the record of a cell that has begun, and say so in one line."""
        written = self.keeper.keep(cell, self.attempts[cell.name], outcome, circumstances)
        duration_s = time.monotonic() - self.begun_s[cell.name]
        self._finish(cell, written.status, duration_s if written.status != "not_installed" else None)
        place, reason = f" {where}" if where else "", f": {written.reason}" if written.reason else ""
        self._say(cell, f"{written.status} in {duration_s:.1f} s{place} ({self.schedule}){reason}")

    def close(self) -> list[str]:
        """The status of every cell, in their order; those that have begun and not ended were interrupted."""
        for cell in self.schedule.cells:
            if cell.name not in self.statuses and cell.name in self.attempts:
                self._say(cell, "interrupted")
        return [self.statuses.get(cell.name, INTERRUPTED) for cell in self.schedule.cells]

    def _finish(self, cell: PlannedCell, status: str, duration_s: float | None = None) -> None:
        self.statuses[cell.name] = status
        self.schedule.finish(cell, duration_s)

    def _say(self, cell: PlannedCell, text: str) -> None:
        say(self.console, f"{cell.name}: {text}")


def make_record(cell: PlannedCell, outcome: Outcome, config: RunConfig, circumstances: Circumstances) -> Cell:
    """The record of what a worker sent, without the fields that are malformed or do not agree with the rest."""
    sources = outcome.body.sources if isinstance(outcome.body, Trained) else {}
    made_with, provenance = circumstances.made_with, None
    if made_with is not None:
        provenance = Provenance(made_with.versions, made_with.cpu, sources)
    measured = _leave_out(outcome, config, sources)
    # It is not the worker that says which cell this is.
    return Cell(
        **msgspec.structs.asdict(measured),
        schema_version=SCHEMA_VERSION,
        cell=cell.name,
        backend=cell.backend.name,
        implementation=cell.implementation,
        precision=cell.precision,
        seed=cell.seed,
        repeat=cell.repeat,
        configuration_sha256=digest(config.to_dict()),
        provenance=provenance,
        load_average=circumstances.load_average,
        node=circumstances.node,
        nodes=circumstances.nodes,
    )


def _leave_out(outcome: Outcome, config: RunConfig, sources: Mapping[str, str]) -> Measured:
    faults: list[Fault] = []
    if outcome.status == "ok":
        faults += parameter_faults(outcome.arrays, config.model_spec().shapes())
        if not sources:
            faults.append(Fault("provenance.code", "it names no source"))
    told = outcome.body.record if isinstance(outcome.body, Trained | Failed) else NOTHING
    ended = {"status": outcome.status, "reason": outcome.reason}
    return leave_out_faulty({**msgspec.json.decode(told), **ended}, config, faults)
