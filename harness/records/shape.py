"""The types of a record's fields, as frozen dataclasses that msgspec checks and converts into. Keys beyond these are
allowed: what a later version adds is not for an earlier one to judge."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import msgspec

from harness.records.fault import Fault

Status = Literal["ok", "failed", "timeout", "out_of_memory", "killed", "diverged", "unsupported", "not_installed"]
Number = Annotated[float, msgspec.Meta(ge=-sys.float_info.max, le=sys.float_info.max)]
NotNegative = Annotated[float, msgspec.Meta(ge=0, le=sys.float_info.max)]
Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


@dataclass(frozen=True)
class Chunks:
    steps: list[Positive]
    train_s: list[NotNegative]
    data_s: list[NotNegative]
    elapsed_s: list[NotNegative]
    warmup: list[bool]
    # Added later.
    time_steps: list[Positive] = field(default_factory=list)
    pause_s: list[NotNegative] = field(default_factory=list)
    first: list[bool] = field(default_factory=list)


@dataclass(frozen=True)
class TestMeasures:
    sequences: Positive
    original_loss: NotNegative
    original_loss_floor: NotNegative
    cross_entropy_floor: NotNegative
    mean_absolute_error: Share
    wrong_bits_per_sequence: NotNegative | None = None


@dataclass(frozen=True)
class LengthMeasures:
    length: Positive
    sequences: Positive
    wrong_bits: Natural
    bit_error: Share
    exact_fraction: Share
    bits_per_sequence: NotNegative
    mean_absolute_error: Share
    original_loss: NotNegative | None = None
    original_loss_floor: NotNegative | None = None
    wrong_bits_by_position: list[Natural] | None = None
    wrong_bits_middle: list[Natural] | None = None
    wrong_bits_outside: list[Natural] | None = None


@dataclass(frozen=True)
class Validated:
    step: Positive
    sequences: Positive
    elapsed_s: NotNegative
    original_loss: NotNegative
    wrong_bits_per_sequence: NotNegative


@dataclass(frozen=True)
class Copy:
    length: Positive
    target: list[list[Share]]
    prediction: list[list[Share]]


@dataclass(frozen=True)
class Evaluation:
    test: TestMeasures
    lengths: list[LengthMeasures]
    copies: list[Copy]


@dataclass(frozen=True)
class Product:
    m: Positive
    k: Positive
    n: Positive
    seconds: Annotated[float, msgspec.Meta(gt=0, le=sys.float_info.max)]
    calls: Positive


@dataclass(frozen=True)
class Sample(Product):
    """A product as ceiling.json has it since version 3."""

    after: str | None
    backend: str
    way: str
    precision: str
    device: str


@dataclass(frozen=True)
class CeilingFile:
    schema_version: int
    samples: list[Sample]


@dataclass(frozen=True)
class Measured:
    """What a worker sends; of a cell that did not end well, only what it came to."""

    status: Status
    reason: str | None = None
    timeline: dict[str, Number] = field(default_factory=dict)
    settings: dict[str, str | int | Number | bool | list[int] | None] | None = None
    # Those that the process was given, of several ranks the first; settings.cpus are those in force. Since version 3.
    cpus_asked: list[Natural] | None = None
    device: str | None = None
    n_parameters: Positive | None = None
    losses: list[NotNegative] | None = None
    chunks: Chunks | None = None
    other_cpu_share: NotNegative | None = None
    data_cpu_s: NotNegative | None = None
    evaluation: Evaluation | None = None
    evaluations: list[Validated] = field(default_factory=list)
    target_reached: Validated | None = None
    resumed_at_steps: list[Natural] = field(default_factory=list)
    peak_memory_bytes: Natural | None = None
    # Until version 2.
    ceiling: list[Product] | None = None
    # Of a cell of several ranks, which the first one tells.
    ranks: Positive = 1
    exchanges_s: list[NotNegative] = field(default_factory=list)
    # What was wrong with it when it was made, and by its field's name what was left out for that.
    faults: list[str] = field(default_factory=list)
    faulty: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Head:
    """What the harness adds to it, in every version."""

    schema_version: int
    cell: str
    backend: str
    implementation: str
    precision: str
    seed: Natural
    repeat: Natural
    verified: bool | None
    verification_reason: str | None


@dataclass(frozen=True)
class Provenance:
    code: dict[str, Sha256]
    versions: dict[str, str]
    cpu: str


@dataclass(frozen=True)
class Making:
    """What version 2 added; of a cell that never came to its process, less."""

    attempt: Positive
    configuration_sha256: Sha256
    sha256: Sha256
    provenance: Provenance | None = None
    parameters_sha256: Sha256 | None = None
    # The node of a cluster that it ran on.
    node: str | None = None
    # Of a cell of several ranks, the node of each; the first is the one above.
    nodes: list[str] = field(default_factory=list)


def shape_fault(content: object, kind: type) -> Fault | None:
    """The first field that is missing or of the wrong type or range."""
    try:
        msgspec.convert(content, kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$")
        place = path.rstrip("`").lstrip(".")
        missing = re.search(r"missing required field `(.+)`", text)
        if missing:
            return Fault(f"{place}.{missing[1]}".lstrip("."), "it is missing")
        return Fault(place, f"{text[:1].lower()}{text[1:]}")
    except RecursionError:
        return Fault("", "it is nested too deeply")
    return None
