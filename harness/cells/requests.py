"""What a worker can be asked for: a struct for each job. The parent writes one, the worker does it."""

from __future__ import annotations

from msgspec import Struct

from backends.contract import Group
from harness.cells.placement import Envelope
from harness.proof.calls import TrainingCall
from harness.proof.cases import Case
from harness.records.messages import Checkpoint, Layout
from harness.task.recipe import RunConfig


class Job(Struct, frozen=True, kw_only=True, tag_field="job"):
    """What every job names: a backend, and this worker's place in the group that does it together, if there is one."""

    backend: str
    group: Group | None = None


class Describe(Job, frozen=True, kw_only=True, tag="describe"):
    """Build the model; tell its size and settings."""

    implementation: str
    precision: str
    configuration: RunConfig


class Train(Job, frozen=True, kw_only=True, tag="train"):
    """Train and evaluate a cell, from the checkpoint of an earlier process if there is one; its arrays come along."""

    implementation: str
    precision: str
    seed: int
    configuration: RunConfig
    checkpoint: Checkpoint | None = None


class Verify(Job, frozen=True, kw_only=True, tag="verify"):
    """Observe the cases, and then the run's own calls, of each precision."""

    implementation: str
    cases: dict[str, list[Case]]
    calls: dict[str, list[TrainingCall]]


class Predict(Job, frozen=True, kw_only=True, tag="predict"):
    """Predict a held-out sequence of each length, with the parameters that come along."""

    implementation: str
    precision: str
    configuration: RunConfig
    lengths: list[int]
    sequence_seed: int


class TimeProducts(Job, frozen=True, kw_only=True, tag="time_products"):
    """Time the backend's own matrix products, of the shapes that a training step is made of."""

    precisions: list[str]
    configuration: RunConfig


AnyJob = Describe | Train | Verify | Predict | TimeProducts


class Request(Envelope, frozen=True):
    """A job, where it runs, and the arrays that follow it."""

    job: AnyJob
    arrays: Layout
