"""What a run's files hold, as frozen dataclasses that msgspec checks and converts into."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import msgspec

from harness.task.recipe import TargetConfig

Positive = Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]
Count = Annotated[int, msgspec.Meta(ge=1)]
NEVER_STARTED = ("not_installed", "unsupported")
# The reason of a cell that the run did not come to, or was stopped in.
NO_RECORD = "no record"


@dataclass(frozen=True)
class Chunks:
    """Calls of Trainer.train: optimiser steps of each, its seconds, seconds since training began at its end, and
    whether it is left out of the steady state. time_steps of each sequence, and pause_s, the seconds of evaluations and
    checkpoints before the call; empty in older records, where sequences were all of one length and nothing paused."""

    steps: list[int] = field(default_factory=list)
    train_s: list[float] = field(default_factory=list)
    elapsed_s: list[float] = field(default_factory=list)
    warmup: list[bool] = field(default_factory=list)
    time_steps: list[Count] = field(default_factory=list)
    pause_s: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        columns: list[list[Any]] = [self.steps, self.train_s, self.elapsed_s, self.warmup]
        columns += [column for column in (self.time_steps, self.pause_s) if column]
        if len({len(column) for column in columns}) > 1:
            raise ValueError("its chunks are of unequal length")


@dataclass(frozen=True)
class TestMeasures:
    """Measures on the test set of mixed lengths, padding included; losses in nats."""

    original_loss: float | None = None
    original_loss_floor: float | None = None
    cross_entropy_floor: float | None = None
    mean_absolute_error: float | None = None
    wrong_bits_per_sequence: float | None = None


@dataclass(frozen=True)
class LengthMeasures:
    """Measures on `sequences` test sequences of one length; losses in nats.

    wrong_bits_by_position counts over all sequences (length,). wrong_bits_middle and wrong_bits_outside count by
    sequence, in the middle third of the pattern and outside it, of the sequences that have a wrong bit.
    """

    length: Count
    sequences: Count
    wrong_bits: int
    bit_error: float
    exact_fraction: float
    bits_per_sequence: float
    mean_absolute_error: float | None = None
    original_loss: float | None = None
    original_loss_floor: float | None = None
    wrong_bits_by_position: list[int] | None = None
    wrong_bits_middle: list[int] | None = None
    wrong_bits_outside: list[int] | None = None

    def __post_init__(self) -> None:
        if self.wrong_bits_by_position is not None and len(self.wrong_bits_by_position) != self.length:
            raise ValueError(f"the wrong bits by position of length {self.length} are not of that number")
        middle, outside = self.wrong_bits_middle or [], self.wrong_bits_outside or []
        if len(middle) != len(outside) or len(middle) > self.sequences:
            raise ValueError(f"the wrong bits by sequence of length {self.length} do not belong together")

    @property
    def wrong_bits_by_sequence(self) -> list[int] | None:
        """The wrong bits of each sequence that has some; None in older records."""
        if self.wrong_bits_middle is None or self.wrong_bits_outside is None:
            return None
        return [inside + out for inside, out in zip(self.wrong_bits_middle, self.wrong_bits_outside, strict=True)]


@dataclass(frozen=True)
class Validated:
    """An evaluation on the validation data after `step` steps and `sequences` sequences; elapsed_s since training
    began, evaluations included."""

    step: int
    sequences: int
    elapsed_s: float
    original_loss: float
    wrong_bits_per_sequence: float


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
    cpus_asked: list[int] | None = None
    timeline: dict[str, float | None] | None = None
    losses: list[float | None] | None = None
    chunks: Chunks | None = None
    evaluation: Evaluation | None = None
    evaluations: list[Validated] = field(default_factory=list)
    target_reached: Validated | None = None
    resumed_at_steps: list[int] = field(default_factory=list)
    peak_memory_bytes: int | None = None
    other_cpu_share: float | None = None
    data_cpu_s: float | None = None
    ranks: Count = 1
    exchanges_s: list[float] = field(default_factory=list)
    node: str | None = None
    nodes: list[str] = field(default_factory=list)
    # What was wrong with the record when it was made; the fields that it was in were left out.
    faults: list[str] = field(default_factory=list)

    @property
    def variant(self) -> tuple[str, str, str, str]:
        """What is compared: backend, implementation, precision, device."""
        return self.backend, self.implementation, self.precision, self.device or ""

    @property
    def has_started(self) -> bool:
        """Whether it is known to have begun, so that how it ended tells of its implementation."""
        return self.status not in NEVER_STARTED and self.reason != NO_RECORD


@dataclass(frozen=True)
class TaskSection:
    bits: int
    min_length: int
    max_length: int
    length_power: float = 0.0
    curriculum_steps: int = 0
    padding: str = "full"

    @property
    def trains_as_it_tests(self) -> bool:
        """Whether training batches have lengths and padding as the test set has, and so the same least loss."""
        return self.padding == "full" and not self.length_power and not self.curriculum_steps


@dataclass(frozen=True)
class TargetSection(TargetConfig):
    """The bounds that the validation measures have to meet; none where there is no target."""

    @property
    def exists(self) -> bool:
        return bool(self.bounds())


@dataclass(frozen=True)
class EvaluateSection:
    """learning is False where the recipe trains for speed alone, so that nothing is said of what was learned."""

    learning: bool = True


@dataclass(frozen=True)
class SelfComparison:
    """The A/A pair: the variant's cells of repeats below first_repeat, and as many processes of the same again."""

    backend: str
    implementation: str
    precision: str
    first_repeat: int


@dataclass(frozen=True)
class WorstError:
    """The worst error of one quantity against the reference: ||a - b|| / ||b||; None where it is infinite."""

    quantity: str
    error: float | None
    tolerance: float
    within: bool
    tensor: str = ""
    problem: str | None = None


@dataclass(frozen=True)
class Verification:
    """What `run` proved of one implementation before it timed anything."""

    backend: str
    implementation: str
    precision: str
    verified: bool
    reason: str | None = None
    worst: list[WorstError] = field(default_factory=list)


@dataclass(frozen=True)
class Product:
    """One sample of the ceiling: the median seconds of a backend's own (m x k)(k x n) product, over `calls` calls.
    It was taken after the cell of that name, or before all cells. `way` is how the backend multiplied; empty in older
    files, where each had one way."""

    backend: str
    precision: str
    device: str
    m: Count
    k: Count
    n: Count
    seconds: Positive
    after: str | None = None
    calls: int | None = None
    way: str = ""


@dataclass(frozen=True)
class CeilingFile:
    """ceiling.json."""

    schema_version: int
    samples: list[Product] = field(default_factory=list)


@dataclass(frozen=True)
class Node:
    """A node of a cluster that cells ran on."""

    node: str
    cpu: str
    physical_cores: int | None = None
    gpus: list[str | None] = field(default_factory=list)

    @property
    def hardware(self) -> str:
        """What nodes have to share for their cells to be comparable."""
        cores = [f"{self.physical_cores} core{'s' * (self.physical_cores > 1)}"] if self.physical_cores else []
        return ", ".join([self.cpu, *cores, *(gpu or "a GPU" for gpu in self.gpus)])


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
    a_a: SelfComparison | None = None
    verification: list[Verification] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)


@dataclass(frozen=True)
class Run:
    """run.json with the records of its cells, in its order, and the samples of the ceiling or why there are none."""

    file: RunFile
    task: TaskSection
    batch: int
    cells: list[Cell]
    products: list[Product] = field(default_factory=list)
    ceiling_problem: str | None = None
    target: TargetSection = TargetSection()
    evaluate: EvaluateSection = EvaluateSection()

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
        return [cell for cell in self.cells if not self.is_again(cell)]

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

    def is_again(self, cell: Cell) -> bool:
        """Whether the cell is of the second set of the A/A pair."""
        pair = self.file.a_a
        if pair is None or cell.repeat < pair.first_repeat:
            return False
        identity = (pair.backend, pair.implementation, pair.precision)
        return identity == (cell.backend, cell.implementation, cell.precision)
