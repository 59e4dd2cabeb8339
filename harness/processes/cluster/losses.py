"""What became of a rank whose answer never came: its node is lost, or a process of Ray's there."""

from __future__ import annotations

import time
from collections.abc import Sequence

from harness.machine.interruption import is_interrupted
from harness.processes.cluster.nodes import Node
from harness.processes.process import POLL_INTERVAL_S, Outcome
from harness.records.schema import MAXIMUM_REASON_LENGTH
from harness.task.one_line import one_line

# How long a node may be gone before Ray says so.
LOSS_S = 40.0
NO_NODE = "no node of the cluster was left to run it"


def explain(error: Exception, node: str | None = None) -> Outcome:
    """The outcome of a rank whose answer never came. Ray's own words have addresses in them, so they are not used."""
    from ray import exceptions

    where = f"node {node}" if node else "its node"
    if isinstance(error, exceptions.RayTaskError):
        cause = getattr(error, "cause", None) or error
        reason = one_line(f"{where} could not run it: {type(cause).__name__}: {cause}")[:MAXIMUM_REASON_LENGTH]
        return Outcome("failed", reason)
    if isinstance(error, exceptions.OutOfMemoryError):
        return Outcome("out_of_memory", f"Ray ended it while {where} was out of memory")
    if isinstance(error, exceptions.ActorUnschedulableError):
        return Outcome("failed", NO_NODE)
    # An actor is unavailable before Ray knows why.
    waits_s = LOSS_S if isinstance(error, exceptions.ActorUnavailableError) else 0.0
    is_actor = isinstance(error, exceptions.RayActorError)
    if isinstance(error, exceptions.NodeDiedError) or (is_actor and node and _is_lost(node, waits_s)):
        return Outcome("killed", f"{where} died")
    return Outcome("killed", f"{where} lost it: {type(error).__name__}")


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
