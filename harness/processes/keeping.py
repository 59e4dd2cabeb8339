"""From how a worker ended to the record in the run's folder."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec

from harness.processes.process import Outcome
from harness.records.checkpoints import checkpoint_path
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

    attempt: int
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

    def keep(self, cell: PlannedCell, outcome: Outcome, circumstances: Circumstances) -> Cell:
        """The record as written; a checkpoint that it makes needless is removed."""
        record = make_record(cell, outcome, self.config, circumstances)
        if verdict := self.verdicts.get(cell.variant):
            told = {"verified": verdict.verified, "verification_reason": verdict.reason}
            record = msgspec.structs.replace(record, **told)
        written = self.folder.write_cell(cell, record, outcome.arrays)
        if written.status in ENDED_FOR_GOOD:
            checkpoint_path(self.folder.path, cell.name).unlink(missing_ok=True)
        return written


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
        attempt=circumstances.attempt,
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
