"""Cells as Ray tasks: what each takes, and how it ended, whatever became of its node."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.messages import unpack
from harness.cluster.nodes import SHORT_ID, Node
from harness.cluster.on_node import train_here
from harness.interruption import is_interrupted
from harness.one_line import one_line
from harness.plan import Cell
from harness.process import MAXIMUM_REASON_LENGTH, Outcome
from harness.protocol import ProtocolError
from harness.selection import Selection

POLL_INTERVAL_S = 0.5
# How often we see whether a node is left for what waits.
NODES_INTERVAL_S = 2.0
NO_NODE = "no node of the cluster was left to run it"


@dataclass(frozen=True)
class Begun:
    """A cell has begun on a node."""

    cell: Cell
    node: str


@dataclass(frozen=True)
class Ended:
    """How a cell ended: on a node, or on none where none was left. log is None where it was lost."""

    cell: Cell
    node: str | None
    outcome: Outcome
    about: Mapping[str, Any] = field(default_factory=dict)
    log: bytes | None = None


def demand(cluster: Cluster) -> dict[str, Any]:
    """What a task takes: the whole of one node, so that no two are measured on it at a time, and never twice.

    Only nodes that were there when we began are taken: one that joins later is neither described nor placed. A cell of
    several ranks would take a placement group here instead, of a bundle like this for each of its nodes.
    """
    return {
        "num_cpus": cluster.nodes[0].cpus,
        "num_gpus": int(cluster.takes_gpu),
        "max_retries": 0,
        "label_selector": {"ray.io/node-id": f"in({','.join(node.id for node in cluster.nodes)})"},
    }


def placement(cluster: Cluster, selection: Selection) -> dict[str, Any]:
    """For a request: what a worker may use, with the first processor of each node."""
    resources = asdict(selection.resources)
    return {"resources": resources, "first_cpus": {node.id: node.first_cpu for node in cluster.nodes}}


def train_cells(cluster: Cluster, cells: Sequence[Cell], selection: Selection) -> Iterator[Begun | Ended]:
    """Every cell, as it begins and ends. After a signal, and when it is closed, what has not ended is cancelled."""
    import ray

    remote = ray.remote(**demand(cluster))(train_here)
    common = {"configuration": selection.config.to_dict(), **placement(cluster, selection)}
    waiting: dict[Any, Cell] = {remote.remote(json.dumps({**cell.identity(), **common})): cell for cell in cells}
    nodes: dict[Any, str] = {}
    looked_s = time.monotonic()
    try:
        while waiting and not is_interrupted():
            ready, _ = ray.wait(list(waiting), timeout=POLL_INTERVAL_S, fetch_local=False)
            for task in ready:
                event = _next_event(task, waiting[task], nodes.get(task))
                if isinstance(event, Begun):
                    nodes[task] = event.node
                else:
                    del waiting[task]
                yield event
            if not ready and time.monotonic() - looked_s > NODES_INTERVAL_S:
                looked_s = time.monotonic()
                if not _any_alive(cluster.nodes):
                    for task, cell in list(waiting.items()):
                        del waiting[task]
                        yield _without_node(cell, nodes.get(task))
    finally:
        for task in waiting:
            # The process of Ray's is killed, and with it, by its guard, the worker it started.
            ray.cancel(task, force=True)


def _next_event(task: Any, cell: Cell, node: str | None) -> Begun | Ended:
    import ray
    from ray.exceptions import RayError

    try:
        answer = ray.get(next(task))
    except StopIteration:
        return Ended(cell, node, Outcome("failed", "its task ended without an outcome", {}, {}))
    except RayError as error:
        return Ended(cell, node, explain(error, node))
    if isinstance(answer, str):
        return Begun(cell, answer[:SHORT_ID])
    packed, log = answer
    try:
        outcome, about = unpack(packed)
    except ProtocolError as error:
        return Ended(cell, node, Outcome("failed", str(error), {}, {}), log=log)
    return Ended(cell, node, outcome, about, log)


def explain(error: Exception, node: str | None) -> Outcome:
    """The outcome of a cell whose answer never came. Ray's own words have addresses in them, so they are not used."""
    from ray.exceptions import NodeDiedError, OutOfMemoryError, RayTaskError, TaskUnschedulableError

    place = f"node {node}" if node else "its node"
    if isinstance(error, RayTaskError):
        cause = getattr(error, "cause", None) or error
        reason = one_line(f"{place} could not run it: {type(cause).__name__}: {cause}")[:MAXIMUM_REASON_LENGTH]
        return Outcome("failed", reason, {}, {})
    if isinstance(error, OutOfMemoryError):
        return Outcome("out_of_memory", f"Ray ended it while {place} was out of memory", {}, {})
    if isinstance(error, TaskUnschedulableError):
        return Outcome("failed", NO_NODE, {}, {})
    if isinstance(error, NodeDiedError):
        return Outcome("killed", f"{place} died", {}, {})
    return Outcome("killed", f"{place} lost it: {type(error).__name__}", {}, {})


def _without_node(cell: Cell, node: str | None) -> Ended:
    if node:
        return Ended(cell, node, Outcome("killed", f"node {node} died", {}, {}))
    return Ended(cell, None, Outcome("failed", NO_NODE, {}, {}))


def _any_alive(nodes: Sequence[Node]) -> bool:
    import ray

    alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
    return any(node.id in alive for node in nodes)
