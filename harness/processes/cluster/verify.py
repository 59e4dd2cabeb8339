"""The proof in brief, on the nodes: there the framework is, and there it is timed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from harness.processes.cluster.cells import Tell, side_by_side, work_on_nodes
from harness.processes.cluster.connection import Cluster
from harness.processes.cluster.placement import IsStopped
from harness.processes.process import INTERRUPTED, Outcome
from harness.processes.proof import Observations, hear_into, judge, verify_job
from harness.processes.selection import Selection
from harness.processes.verdict import choose_run_cases, limit_time, refuse_precision, sum_up
from harness.proof.oracle import forget
from harness.records.identity import PlannedCell
from harness.records.structs import Verification


def verify_on_cluster(cluster: Cluster, cells: Sequence[PlannedCell], selection: Selection) -> Iterator[Verification]:
    """Each variant once, on as many nodes as a cell takes, in the order in which they are done; before any is timed.

    Compared with the oracle here, and not remembered. What is not installed there has no verdict. After a signal the
    rest is ended.
    """
    seeds = list(dict.fromkeys(cell.seed for cell in cells))
    asked = choose_run_cases(selection.config, seeds, selection.resources.ranks)
    limited = replace(selection, resources=limit_time(selection.resources, asked))

    def verify(cell: PlannedCell, tell: Tell, is_stopped: IsStopped) -> None:
        if unknown := refuse_precision(cell.backend, cell.implementation, cell.precision):
            tell(unknown)
            return
        cases, heard = {cell.precision: asked}, Observations(Outcome("ok"))
        job = verify_job(cell.backend, cell.implementation, cases)
        outcome = work_on_nodes(cluster, job, limited, is_stopped, hear=hear_into(heard))[0].outcome
        if outcome.status not in (INTERRUPTED, "not_installed"):
            proof = judge(cell.backend, cell.implementation, cases, replace(heard, outcome=outcome))
            tell(sum_up(proof, cell.precision))

    variants = {cell.variant: cell for cell in cells}
    try:
        yield from side_by_side(verify, list(variants.values()), cluster.n_at_once)
    finally:
        forget()
