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
# How long a node may be gone before Ray says so.
LOSS_S = 40.0
NO_NODE = "no node of the cluster was left to run it"


@dataclass(frozen=True)
class Begun:
    """A cell has begun on a node, or on one for each of its ranks."""

    cell: Cell
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How a cell ended: on one node or several, by rank, or on none where none was left. logs are as the nodes are,
    None where one was lost."""

    cell: Cell
    nodes: tuple[str, ...]
    outcome: Outcome
    about: Mapping[str, Any] = field(default_factory=dict)
    logs: tuple[bytes | None, ...] = ()


def demand(cluster: Cluster) -> dict[str, Any]:
    """What a task takes: the whole of one node, so that no two are measured on it at a time, and never twice.

    A cell of several ranks takes a placement group of as many nodes instead.
    """
    return {
        "num_cpus": cluster.nodes[0].cpus,
        "num_gpus": int(cluster.takes_gpu),
        "max_retries": 0,
        "label_selector": select_nodes(cluster),
    }


def select_nodes(cluster: Cluster) -> dict[str, str]:
    """For Ray: only nodes that were there when we began. One that joins later is neither described nor placed."""
    return {"ray.io/node-id": f"in({','.join(node.id for node in cluster.nodes)})"}


def placement(cluster: Cluster, selection: Selection) -> dict[str, Any]:
    """For a request: what a worker may use, with the share of each node."""
    resources = asdict(selection.resources)
    return {"resources": resources, "shares": {node.id: node.share for node in cluster.nodes}}


def train_cells(cluster: Cluster, cells: Sequence[Cell], selection: Selection) -> Iterator[Begun | Ended]:
    """Every cell, as it begins and ends. After a signal, and when it is closed, what has not ended is cancelled."""
    import ray

    remote = ray.remote(**demand(cluster))(train_here)
    common = {"configuration": selection.config.to_dict(), **placement(cluster, selection)}
    waiting: dict[Any, Cell] = {remote.remote(json.dumps({**cell.identity(), **common})): cell for cell in cells}
    nodes: dict[Any, tuple[str, ...]] = {}
    looked_s = time.monotonic()
    try:
        while waiting and not is_interrupted():
            ready, _ = ray.wait(list(waiting), timeout=POLL_INTERVAL_S, fetch_local=False)
            for task in ready:
                event = _next_event(task, waiting[task], nodes.get(task, ()))
                if isinstance(event, Begun):
                    nodes[task] = event.nodes
                else:
                    del waiting[task]
                yield event
            if not ready and time.monotonic() - looked_s > NODES_INTERVAL_S:
                looked_s = time.monotonic()
                if not count_alive(cluster.nodes):
                    for task, cell in list(waiting.items()):
                        del waiting[task]
                        yield _without_node(cell, nodes.get(task, ()))
    finally:
        for task in waiting:
            # The process of Ray's is killed, and with it, by its guard, the worker it started.
            ray.cancel(task, force=True)


def _next_event(task: Any, cell: Cell, nodes: tuple[str, ...]) -> Begun | Ended:
    import ray
    from ray.exceptions import RayError

    try:
        answer = ray.get(next(task))
    except StopIteration:
        return Ended(cell, nodes, Outcome("failed", "its task ended without an outcome", {}, {}))
    except RayError as error:
        return Ended(cell, nodes, explain(error, *nodes))
    if isinstance(answer, str):
        return Begun(cell, (answer[:SHORT_ID],))
    packed, log = answer
    try:
        outcome, about = unpack(packed)
    except ProtocolError as error:
        return Ended(cell, nodes, Outcome("failed", str(error), {}, {}), logs=(log,))
    return Ended(cell, nodes, outcome, about, (log,))


def explain(error: Exception, node: str | None = None) -> Outcome:
    """The outcome of a cell whose answer never came. Ray's own words have addresses in them, so they are not used."""
    from ray import exceptions

    place = f"node {node}" if node else "its node"
    if isinstance(error, exceptions.RayTaskError):
        cause = getattr(error, "cause", None) or error
        reason = one_line(f"{place} could not run it: {type(cause).__name__}: {cause}")[:MAXIMUM_REASON_LENGTH]
        return Outcome("failed", reason, {}, {})
    if isinstance(error, exceptions.OutOfMemoryError):
        return Outcome("out_of_memory", f"Ray ended it while {place} was out of memory", {}, {})
    if isinstance(error, exceptions.TaskUnschedulableError):
        return Outcome("failed", NO_NODE, {}, {})
    # An actor is unavailable before Ray knows why.
    waits_s = LOSS_S if isinstance(error, exceptions.ActorUnavailableError) else 0.0
    is_actor = isinstance(error, exceptions.RayActorError)
    if isinstance(error, exceptions.NodeDiedError) or (is_actor and node and _is_lost(node, waits_s)):
        return Outcome("killed", f"{place} died", {}, {})
    return Outcome("killed", f"{place} lost it: {type(error).__name__}", {}, {})


def _without_node(cell: Cell, nodes: tuple[str, ...]) -> Ended:
    if nodes:
        return Ended(cell, nodes, Outcome("killed", f"node {nodes[0]} died", {}, {}))
    return Ended(cell, (), Outcome("failed", NO_NODE, {}, {}))


def count_alive(nodes: Sequence[Node]) -> int:
    """How many of the nodes are still there."""
    alive = _alive()
    return sum(node.id in alive for node in nodes)


def _is_lost(name: str, timeout_s: float) -> bool:
    """Whether a node is gone, or Ray says so in time."""
    deadline_s = time.monotonic() + timeout_s
    while any(node.startswith(name) for node in _alive()):
        if time.monotonic() >= deadline_s or is_interrupted():
            return False
        time.sleep(POLL_INTERVAL_S)
    return True


def _alive() -> set[str]:
    import ray

    return {str(node["NodeID"]) for node in ray.nodes() if node["Alive"]}
