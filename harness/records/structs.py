"""What every file of a run holds, field by field: the one description of it, for those who write and those who read.

The worker fills a Measured, the parent makes a Cell of it, and the report reads that. Units are in the names; losses
are in nats, shares and errors 0..1. Keys beyond these are allowed: what a later version adds is not for an earlier one
to judge. docs/records.md is made from this module.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Struct

from harness.task.copy_task import CopyTask
from harness.task.recipe import RunConfig, TargetConfig

Status = Literal["ok", "failed", "timeout", "out_of_memory", "killed", "diverged", "unsupported", "not_installed"]
# How what never began ends: that tells nothing of its implementation.
NEVER_STARTED = ("not_installed", "unsupported")
# How what will not end otherwise ends, so that its checkpoint is needless.
ENDED_FOR_GOOD = ("ok", "diverged")
# The reason of a cell that the run did not come to, or was stopped in.
NO_RECORD = "no record"

Number = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
Positive = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Chunks(Struct, frozen=True):
    """The calls of Trainer.train in order: in every column a value for each."""

    steps: list[Count]
    """Optimiser steps of the call."""
    train_s: list[NotNegative]
    """Seconds of the call itself."""
    data_s: list[NotNegative]
    """Seconds that training waited for its batches before the call."""
    elapsed_s: list[NotNegative]
    """Seconds since training began, at the end of the call."""
    warmup: list[bool]
    """Whether the call is left out of the steady state."""
    time_steps: list[Count]
    """Time steps of each sequence; with steps, the shape of the call."""
    pause_s: list[NotNegative]
    """Seconds of evaluations and checkpoints since the call before."""
    first: list[bool]
    """Whether the call is the first of its shape in its process."""
    cpu_s: list[NotNegative] = []
    """CPU seconds of the whole process, all threads, during the call; empty in older records."""


class TestMeasures(Struct, frozen=True, kw_only=True):
    """Measures on the test set of mixed lengths, padding included."""

    sequences: Count
    original_loss: NotNegative
    """The metric of the original."""
    original_loss_floor: NotNegative
    """The least that it can be on these data."""
    cross_entropy_floor: NotNegative
    """The least that the training loss can be on these data."""
    mean_absolute_error: Share
    wrong_bits_per_sequence: NotNegative


class LengthMeasures(Struct, frozen=True, kw_only=True):
    """Measures on test sequences of one length."""

    length: Count
    sequences: Count
    wrong_bits: Natural
    bit_error: Share
    exact_fraction: Share
    """The share of sequences without a wrong bit."""
    bits_per_sequence: NotNegative
    """The loss of a sequence, in bits."""
    mean_absolute_error: Share
    original_loss: NotNegative | None = None
    original_loss_floor: NotNegative | None = None
    wrong_bits_by_position: list[Natural] | None = None
    """Over all sequences, by position in the pattern: `length` numbers."""
    wrong_bits_middle: list[Natural] | None = None
    """In the middle third of the pattern, for each sequence that has a wrong bit."""
    wrong_bits_outside: list[Natural] | None = None
    """Outside the middle third, for the same sequences."""

    def __post_init__(self) -> None:
        if self.wrong_bits_by_position is not None and len(self.wrong_bits_by_position) != self.length:
            raise ValueError(f"the wrong bits by position of length {self.length} are not of that number")
        middle, outside = self.wrong_bits_middle or [], self.wrong_bits_outside or []
        if len(middle) != len(outside) or len(middle) > self.sequences:
            raise ValueError(f"the wrong bits by sequence of length {self.length} do not belong together")

    @property
    def wrong_bits_by_sequence(self) -> list[int] | None:
        """The wrong bits of each sequence that has some; None where they were not located."""
        if self.wrong_bits_middle is None or self.wrong_bits_outside is None:
            return None
        return [inside + out for inside, out in zip(self.wrong_bits_middle, self.wrong_bits_outside, strict=True)]


class Validated(Struct, frozen=True, kw_only=True):
    """An evaluation on the validation data while training went on."""

    step: Count
    """Optimiser steps taken until then."""
    sequences: Count
    """Sequences trained on until then."""
    elapsed_s: NotNegative
    """Seconds since training began, evaluations included."""
    original_loss: NotNegative
    wrong_bits_per_sequence: NotNegative
    bits_per_sequence: NotNegative | None = None
    """The paper's measure; none in records of an earlier version."""


class Copy(Struct, frozen=True):
    """One sequence of the held-out data and what the network makes of it, each (time, bits)."""

    length: Count
    target: list[list[Share]]
    prediction: list[list[Share]]

    def __post_init__(self) -> None:
        bits = [len(step) for step in self.target]
        if bits != [len(step) for step in self.prediction] or len(set(bits)) != 1:
            raise ValueError("the target and the prediction of a copy are not of one shape (time, bits)")


class Evaluation(Struct, frozen=True):
    """What the trained network is worth on held-out data."""

    test: TestMeasures
    lengths: list[LengthMeasures]
    copies: list[Copy]


class Inference(Struct, frozen=True, kw_only=True):
    """The trained network in use: calls of Trainer.predict, each from NumPy inputs to NumPy probabilities."""

    length: Count
    """Vectors in each pattern: the longest trained length."""
    batch: Count
    """Sequences of a call with many."""
    batch_s: list[Positive]
    """Seconds of each call with many sequences."""
    single_s: list[Positive]
    """Seconds of each call with one sequence."""
    warmup_s: NotNegative
    """Seconds of the calls that were left out: the first of each shape, which may compile, and in each round the first
    with one sequence, which finds the caches full of the batch."""


Settings = Mapping[str, str | int | Number | bool | list[int] | None]


class Measured(Struct, kw_only=True):
    """What a worker measures of one cell; None, or empty, is what it did not come to."""

    status: Status
    """How the cell ended."""
    reason: str | None = None
    """Why it ended so, in one line; none of what is ok."""
    device: str | None = None
    """Where it was trained, as the framework names it."""
    n_parameters: Count | None = None
    settings: Settings | None = None
    """What was in force while it trained, as the backend tells it; cpus are the processors."""
    cpus_asked: list[Natural] | None = None
    """The processors that the process was given; of several ranks, the first."""
    timeline: dict[str, Number] | None = None
    """Seconds of each stage (harness/records/stages.py) and of all of them."""
    losses: list[NotNegative] | None = None
    """The training loss of each optimiser step, in as many digits as its type has."""
    chunks: Chunks | None = None
    evaluation: Evaluation | None = None
    evaluations: list[Validated] = []
    """Evaluations on the validation data, in order."""
    target_reached: Validated | None = None
    """The first of them that meets the target."""
    resumed_at_steps: list[Natural] = []
    """After how many steps an earlier process ended and a later one went on."""
    inference: Inference | None = None
    """None where it was not to be timed, and of several ranks."""
    peak_memory_bytes: Natural | None = None
    """The most that the device's memory held, where the framework tells; on a CPU, the most that the process held
    resident from just before the model was built, less what it held then."""
    process_memory_bytes: Natural | None = None
    """The most that the process held resident, importing included; of several ranks, the first."""
    other_cpu_share: NotNegative | None = None
    """What processes other than the cell's own used of all processors while it trained."""
    data_cpu_s: NotNegative | None = None
    """CPU seconds that making the batches took, beside training."""
    ranks: Count = 1
    """Processes that trained the cell together."""
    exchanges_s: list[NotNegative] = []
    """Seconds of each of some averages of as many numbers as the gradients have, between the ranks."""
    faults: list[str] = []
    """What was wrong with the record when it was made; the fields it was in were left out."""
    faulty: dict[str, Any] = {}
    """By name, what the fields held that were left out."""


class Making(Struct, frozen=True):
    """What a cell is made with, beside its code."""

    versions: dict[str, str]
    """Of Python and of the installed distributions that the backend uses."""
    cpu: str


class Provenance(Making, frozen=True):
    """What a cell was made with."""

    code: dict[str, Sha256]
    """The digest of each source file of this suite and of the backend that was loaded."""


class LoadAverage(Struct, frozen=True):
    """The system's load averages over 1, 5 and 15 minutes, before and after the cell."""

    before: list[NotNegative] | None
    after: list[NotNegative] | None


class Cell(Measured, kw_only=True):
    """A cell's record, cells/<cell>.json: which cell it is, what it was made with, and what its worker measured."""

    schema_version: int
    cell: str
    """<backend>-<implementation>-<precision>-seed<seed>-r<repeat>."""
    backend: str
    implementation: str
    precision: str
    seed: Natural
    repeat: Natural
    verified: bool | None = None
    """Whether the implementation was proven before it was timed; none where nobody tried."""
    verification_reason: str | None = None
    """Why it is not."""
    attempt: Count = 1
    """How often the cell was begun, this time included; the others are in attempts/."""
    configuration_sha256: Sha256 | None = None
    """Of run.json's configuration."""
    provenance: Provenance | None = None
    parameters_sha256: Sha256 | None = None
    """Of cells/<cell>.safetensors."""
    load_average: LoadAverage | None = None
    node: str | None = None
    """The node of a cluster that it ran on; of several ranks, the first one's."""
    nodes: list[str] = []
    """Of several ranks, the node of each."""
    sha256: Sha256 | None = None
    """The seal: the digest of all other fields."""

    @property
    def variant(self) -> tuple[str, str, str, str]:
        """What is compared: backend, implementation, precision, device."""
        return self.backend, self.implementation, self.precision, self.device or ""

    @property
    def has_started(self) -> bool:
        """Whether it is known to have begun, so that how it ended tells of its implementation."""
        return self.status not in NEVER_STARTED and self.reason != NO_RECORD


class Product(Struct, frozen=True, kw_only=True):
    """One sample of the ceiling: the median seconds of a framework's own (m x k)(k x n) product."""

    backend: str
    way: str
    """How it multiplied; a framework may have several ways."""
    precision: str
    device: str
    m: Count
    k: Count
    n: Count
    seconds: Positive
    calls: Count
    """Calls that the median is of."""
    after: str | None = None
    """The cell after which it was taken; none before all cells."""


class CeilingFile(Struct, frozen=True):
    """ceiling.json: how fast the machine multiplies matrices of the shapes that a training step is made of."""

    schema_version: int
    samples: list[Product]


class AAPair(Struct, frozen=True):
    """The A/A pair: a variant's cells of repeats below first_repeat, and as many processes of the same from there on,
    whose ratio shows the noise."""

    backend: str
    implementation: str
    precision: str
    first_repeat: Natural


class WorstError(Struct, frozen=True, kw_only=True):
    """The worst error of one quantity against the reference: ||a - b|| / ||b||."""

    quantity: str
    precision: str = ""
    error: float | None
    """None where it is infinite."""
    tolerance: float
    tensor: str = ""
    """The tensor that it is of."""
    case: str = ""
    """The case that it is from."""
    within: bool
    problem: str | None = None


class Verification(Struct, frozen=True, kw_only=True):
    """What `run` proved of one implementation before it timed anything."""

    backend: str
    implementation: str
    precision: str
    verified: bool
    reason: str | None = None
    """Why it is not verified."""
    worst: list[WorstError] = []
    """Of each quantity."""

    @property
    def variant(self) -> tuple[str, str, str]:
        """As Cell.variant of identity.py: whose proof it is."""
        return self.backend, self.implementation, self.precision


class Node(Struct, frozen=True, kw_only=True):
    """A node of a cluster that cells ran on."""

    node: str
    cpu: str
    physical_cores: int | None = None
    logical_cores: int | None = None
    cpus: int | None = None
    """Those that Ray was offered."""
    gpus: list[str | None] = []
    memory_bytes: int | None = None
    ray: str | None = None
    """Its version."""

    @property
    def hardware(self) -> str:
        """What nodes have to share for their cells to be comparable."""
        cores = [f"{self.physical_cores} core{'s' * (self.physical_cores > 1)}"] if self.physical_cores else []
        return ", ".join([self.cpu, *cores, *(gpu or "a GPU" for gpu in self.gpus)])


class CellResources(Struct, frozen=True):
    """What each cell may use."""

    device: str = "auto"
    threads: Count | None = None
    """CPU threads of each rank."""
    ranks: Count = 1


class Options(Struct, frozen=True, kw_only=True):
    """The options that --resume goes on with, as the command line takes them."""

    backends: str
    implementation: str
    precision: str
    device: str
    seeds: str
    threads: Count
    repeats: Count
    timeout: Positive | None = None
    """Seconds that a cell may take."""
    ranks: Count = 1


class Session(Struct, frozen=True):
    """One call of `run` that made the run, or went on with it."""

    started: str
    """UTC."""
    command: str
    environment: dict[str, Any]
    other_cpu_share: Share | None = None
    """What other processes used of the processors before the first cell; none on a cluster."""


class RunFile(Struct, frozen=True, kw_only=True):
    """run.json: what was asked for, and with what it was made."""

    schema_version: int
    created: str = ""
    """UTC."""
    preset: str = ""
    command: str = ""
    configuration: RunConfig
    resources: CellResources = CellResources()
    options: Options | None = None
    environment: dict[str, Any] = {}
    """The machine and its software, as `env --json` prints them."""
    cells: list[str]
    """In the order in which they run."""
    a_a: AAPair | None = None
    sessions: list[Session] = []
    verification: list[Verification] = []
    nodes: list[Node] = []
    left_out: list[str] = []
    """Patterns of files that were not published."""


class Run(Struct, frozen=True, kw_only=True, eq=False):
    """run.json with the records of its cells, in its order, and the samples of the ceiling or why there are none."""

    file: RunFile
    cells: list[Cell]
    products: list[Product] = []
    ceiling_problem: str | None = None

    @property
    def task(self) -> CopyTask:
        return self.file.configuration.task

    @property
    def batch(self) -> int:
        return self.file.configuration.train.batch

    @property
    def target(self) -> TargetConfig:
        return self.file.configuration.target

    @property
    def is_about_learning(self) -> bool:
        """False where the recipe trains for speed alone, so that nothing is said of what was learned."""
        return self.file.configuration.evaluate.learning

    @property
    def ok_cells(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.status == "ok"]

    @property
    def hardware(self) -> dict[str, list[str]]:
        """The ok cells by the hardware of their nodes, where some ran on the nodes of a cluster."""
        known = {node.node: node.hardware for node in self.file.nodes}
        found: dict[str, list[str]] = {}
        for cell in self.ok_cells if known else []:
            places = {known.get(node, "an unknown node") for node in cell.nodes or filter(None, [cell.node])}
            place = " with ".join(sorted(places)) or "a machine outside the cluster"
            found.setdefault(place, []).append(cell.cell)
        return found

    @property
    def own_cells(self) -> list[Cell]:
        """The cells that speak for their variants: all but the second set of the A/A pair."""
        return [cell for cell in self.cells if not self.is_second_of_a_a(cell)]

    @property
    def drawn_cells(self) -> list[Cell]:
        """The first ok cell of each variant and seed: its repeats train the same on the same data."""
        first: dict[tuple[str, ...], Cell] = {}
        for cell in sorted(self.ok_cells, key=lambda cell: cell.repeat):
            first.setdefault((*cell.variant, str(cell.seed)), cell)
        return list(first.values())

    def started_like(self, cell: Cell) -> list[Cell]:
        """The started cells of the cell's variant, however they ended. One that ended before it could tell its device
        counts for every device."""
        return [
            other
            for other in self.own_cells
            if other.has_started
            and other.variant[:3] == cell.variant[:3]
            and (other.device == cell.device or None in (other.device, cell.device))
        ]

    def is_second_of_a_a(self, cell: Cell) -> bool:
        """Whether the cell is of the second set of the A/A pair."""
        pair = self.file.a_a
        if pair is None or cell.repeat < pair.first_repeat:
            return False
        identity = (pair.backend, pair.implementation, pair.precision)
        return identity == (cell.backend, cell.implementation, cell.precision)
