"""What crosses a cluster between the run and its nodes: JSON and raw arrays, as workers speak, no pickle of ours."""

from __future__ import annotations

import io
from typing import Any

from msgspec import Struct

from harness.cells.requests import AnyJob
from harness.machine import Processors
from harness.processes.process import Outcome, Resources
from harness.records.messages import Last, ProtocolError, frame, read_frame
from harness.records.structs import LoadAverage, Making
from harness.task.recipe import RunConfig


class NodeDescription(Struct, frozen=True):
    """What a node says of itself: see nodes.Node."""

    machine: str
    processors: Processors
    environment: dict[str, Any]
    versions: dict[str, dict[str, str]]
    code: str
    niceness: int


class Offer(Struct, frozen=True):
    """Where a rank may listen: see placement.Rank."""

    node: str
    address: str
    host: str
    missing: str | None


class NodeResources(Struct, frozen=True):
    """What a cell may use on a node, and the number of each node among those that share a machine."""

    resources: Resources
    shares: dict[str, int]


class RankJob(Struct, frozen=True):
    """One rank's part of a job."""

    job: AnyJob
    place: NodeResources


class ProductsJob(Struct, frozen=True):
    """The products of a node to time."""

    backends: list[str]
    precisions: list[str]
    configuration: RunConfig
    place: NodeResources


class NodeMaking(Struct, frozen=True):
    """What a cell was made with on its node, and how busy that was."""

    made_with: Making
    load_average: LoadAverage


class _End(Struct, frozen=True):
    status: str
    reason: str | None
    body: Last | None
    making: NodeMaking


def pack(outcome: Outcome, making: NodeMaking) -> bytes:
    """The outcome with what the node tells of its making."""
    return frame(_End(outcome.status, outcome.reason, outcome.body, making), outcome.arrays)


def unpack(content: bytes) -> tuple[Outcome, NodeMaking]:
    """The outcome and what was told of its making. Raises ProtocolError for anything but all of it."""
    read = read_frame(io.BytesIO(content), _End)
    if read is None:
        raise ProtocolError("the node sent no outcome")
    end, arrays = read
    return Outcome(end.status, end.reason, end.body, arrays), end.making
