"""The proof in brief, on the nodes: there the framework is, and there it is timed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.on_node import verify_here
from harness.cluster.tasks import POLL_INTERVAL_S, demand, explain, placement
from harness.interruption import is_interrupted
from harness.plan import Cell
from harness.selection import Selection
from harness.verdict import Verdict


def verify_on_cluster(
    cluster: Cluster, cells: Sequence[Cell], selection: Selection
) -> Iterator[tuple[tuple[str, str, str], Verdict]]:
    """Each variant once, on whichever node is free, in the order in which they are done; before any is timed.

    None for what is not installed there. After a signal the rest is cancelled.
    """
    import ray

    remote = ray.remote(**demand(cluster))(verify_here)
    common = {"configuration": selection.config.to_dict(), **placement(cluster, selection)}
    variants = {cell.variant: cell for cell in cells}
    waiting = {remote.remote(json.dumps({**cell.identity(), **common})): name for name, cell in variants.items()}
    try:
        while waiting and not is_interrupted():
            ready, _ = ray.wait(list(waiting), timeout=POLL_INTERVAL_S)
            for task in ready:
                name = waiting.pop(task)
                if verdict := _read_verdict(task):
                    yield name, verdict
    finally:
        for task in waiting:
            ray.cancel(task, force=True)


def _read_verdict(task: Any) -> Verdict | None:
    import ray
    from ray.exceptions import RayError

    try:
        told = json.loads(ray.get(task))
    except RayError as error:
        return Verdict(False, explain(error, None).reason)
    return Verdict(**told) if told else None
