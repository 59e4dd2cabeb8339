"""The rows of a run's tables: a struct for each, whose fields, in their order, are the columns of its file.

report/columns.py says how a column is headed, shown and explained. None is unknown; shares and errors are 0..1, losses
in nats.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

from harness.records.structs import Cell

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Row = TypeVar("Row", bound="DataclassInstance")


def row_of(kind: type[Row], cell: Cell, **measured: Any) -> Row:
    """A row of a cell: what is not measured is as in the cell's record."""
    names = [field.name for field in fields(kind) if field.name not in measured]
    return kind(**{name: getattr(cell, name) for name in names}, **measured)


@dataclass(frozen=True, kw_only=True)
class ComparisonRow:
    """comparisons: sequences/s of left over those of right."""

    left: str
    right: str
    ratio: float
    low: float | None
    high: float | None
    repeats: int | None
    conclusion: str | None
    precision: str
    device: str
    a_a: bool


@dataclass(frozen=True, kw_only=True)
class CeilingRow:
    """ceiling: a sample of a product, beside the ceiling of its precision and device."""

    after: str | None
    backend: str
    precision: str
    device: str
    m: int
    k: int
    n: int
    seconds: float
    calls: int
    gflop_per_s: float
    ceiling_gflop_per_s: float
    way: str


@dataclass(frozen=True, kw_only=True)
class ProductRow:
    """products: a product over its samples."""

    precision: str
    device: str
    backend: str
    way: str
    product: str
    gflop_per_s: float
    low: float
    high: float
    samples: int
    is_ceiling: bool


@dataclass(frozen=True, kw_only=True)
class LossRow:
    """loss: a training step of a cell."""

    backend: str
    implementation: str
    precision: str
    seed: int
    repeat: int
    step: int
    sequences: int
    elapsed_s: float
    train_loss: float
    status: str
    verified: bool | None


@dataclass(frozen=True, kw_only=True)
class LengthRow:
    """bit_error_by_length: a length of a cell's evaluation."""

    backend: str
    implementation: str
    precision: str
    seed: int
    length: int
    sequences: int
    bit_error: float
    exact_fraction: float
    bits_per_sequence: float
    repeat: int
    trained: bool
    wrong_bits: int
    verified: bool | None
    bit_error_low: float | None
    bit_error_high: float | None
    bits_by_chance: int
    mean_absolute_error: float
    original_loss: float | None
    original_loss_floor: float | None
    original_loss_excess: float | None


@dataclass(frozen=True, kw_only=True)
class TargetRow:
    """time_to_target: a cell that was started."""

    backend: str
    implementation: str
    precision: str
    seed: int
    repeat: int
    target_reached: bool
    seconds_to_target: float
    sequences_to_target: float
    steps_to_target: float
    original_loss: float | None
    wrong_bits_per_sequence: float | None
    resumed: int
    device: str | None
    status: str
    verified: bool | None


@dataclass(frozen=True, kw_only=True)
class EvaluationRow:
    """evaluations: an evaluation of a cell while it trained."""

    backend: str
    implementation: str
    precision: str
    seed: int
    repeat: int
    step: int
    sequences: int
    elapsed_s: float
    original_loss: float
    wrong_bits_per_sequence: float
    status: str
    verified: bool | None
    bits_per_sequence: float | None


@dataclass(frozen=True, kw_only=True)
class QualityRow:
    """quality_comparisons: a measure of left less that of right, over seeds."""

    measure: str
    left: str
    right: str
    difference: float
    low: float | None
    high: float | None
    seeds_compared: int
    conclusion: str | None
    precision: str
    seeds_started: int


@dataclass(frozen=True, kw_only=True)
class PositionRow:
    """bit_error_by_position: a position of a length of a cell."""

    backend: str
    implementation: str
    precision: str
    seed: int
    repeat: int
    length: int
    position: int
    sequences: int
    wrong_bits: int
    bit_error: float
    verified: bool | None


@dataclass(frozen=True, kw_only=True)
class ThroughputRow:
    """throughput: the steady steps of a cell."""

    backend: str
    implementation: str
    precision: str
    repeat: int
    sequences_per_s: float | None
    step_ms_median: float
    step_ms_p5: float
    step_ms_p95: float
    steps: int
    seed: int
    device: str | None
    verified: bool | None
    overhead_share: float | None
    other_cpu_share: float | None


@dataclass(frozen=True, kw_only=True)
class NotOkRow:
    """not_ok: a cell that did not end ok."""

    cell: str
    status: str
    reason: str | None
