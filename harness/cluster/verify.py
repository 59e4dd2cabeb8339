"""The proof in brief, on the nodes: there the framework is, and there it is timed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from harness.cluster.connection import Cluster
from harness.cluster.group import IsStopped
from harness.cluster.on_node import verify_here
from harness.cluster.tasks import POLL_INTERVAL_S, demand, explain, placement
from harness.cluster.together import Tell, side_by_side, work_together
from harness.interruption import is_interrupted
from harness.plan import Cell
from harness.process import INTERRUPTED
from harness.proof import Observations, judge, verify_request
from harness.protocol import Message
from harness.selection import Selection
from harness.verdict import Cases, Verdict, choose_run_cases, limit_time, refuse_precision, sum_up
from harness.verification.oracle import forget


def verify_on_cluster(
    cluster: Cluster, cells: Sequence[Cell], selection: Selection
) -> Iterator[tuple[tuple[str, str, str], Verdict]]:
    """Each variant once, on whichever node is free, in the order in which they are done; before any is timed.

    None for what is not installed there. After a signal the rest is cancelled.
    """
    if cluster.ranks > 1:
        yield from _verify_together(cluster, cells, selection)
        return
    import ray

    remote = ray.remote(**demand(cluster))(verify_here)
    cases = choose_cases(cells, selection)
    common = {"cases": [case.to_dict() for case in cases], **placement(cluster, selection)}
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
        return Verdict(False, explain(error).reason)
    return Verdict(**told) if told else None


def _verify_together(
    cluster: Cluster, cells: Sequence[Cell], selection: Selection
) -> Iterator[tuple[tuple[str, str, str], Verdict]]:
    """Each variant once, on as many nodes as a cell takes; compared with the oracle here, and not remembered."""
    asked = choose_cases(cells, selection)
    limited = replace(selection, resources=limit_time(selection.resources, asked))

    def verify(cell: Cell, tell: Tell, is_stopped: IsStopped) -> None:
        if unknown := refuse_precision(cell.precision):
            tell((cell.variant, unknown))
            return
        cases, messages = {cell.precision: asked}, list[Message]()
        request = verify_request(cell.backend, cell.implementation, cases)

        def listen(message: Message) -> None:
            if message.kind != "phase":
                messages.append(message)

        outcome = work_together(cluster, request, limited, is_stopped, listen=listen)[0].outcome
        if outcome.status not in (INTERRUPTED, "not_installed"):
            proof = judge(cell.backend, cell.implementation, cases, Observations(outcome, messages))
            tell((cell.variant, sum_up(proof)))

    variants = {cell.variant: cell for cell in cells}
    try:
        yield from side_by_side(verify, list(variants.values()), len(cluster.nodes) // cluster.ranks)
    finally:
        forget()


def choose_cases(cells: Sequence[Cell], selection: Selection) -> Cases:
    """What is proven of each variant."""
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    return choose_run_cases(selection.config, seeds, selection.resources.ranks)
