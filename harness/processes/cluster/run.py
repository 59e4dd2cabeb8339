"""The cells of a plan on a cluster, each kept in the run's folder as on one machine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console

from harness.processes.ceiling import keep_samples
from harness.processes.cluster.ceiling import sample_node
from harness.processes.cluster.cells import Begun, Ended, train_cells
from harness.processes.cluster.connection import Cluster
from harness.processes.cluster.nodes import Node
from harness.processes.keeping import Circumstances, Ledger
from harness.processes.process import Outcome
from harness.processes.ranks import rank_log
from harness.processes.selection import Selection
from harness.records.durable import write_bytes
from harness.records.folder import RunFolder
from harness.records.identity import PlannedCell
from harness.records.structs import Making


def run_on_cluster(cluster: Cluster, ledger: Ledger, selection: Selection, console: Console) -> None:
    """Train what is not complete."""
    nodes = {node.name: node for node in cluster.nodes}
    waiting = [cell for cell in ledger.schedule.cells if not ledger.is_complete(cell, _makings(cluster, cell))]
    if waiting:
        keep_samples(sample_node(cluster, selection), None, ledger.folder, console)
    for event in train_cells(cluster, waiting, selection):
        if isinstance(event, Begun):
            ledger.begin(event.cell, _say_where(event.nodes))
        else:
            _end(event, nodes, ledger)


def _makings(cluster: Cluster, cell: PlannedCell) -> list[Making]:
    """What the nodes would make the cell with, each once."""
    makings = [node.made_with(cell.backend.name) for node in cluster.nodes]
    return [making for place, making in enumerate(makings) if making not in makings[:place]]


def _end(ended: Ended, nodes: Mapping[str, Node], ledger: Ledger) -> None:
    """Write the logs and the record."""
    cell, where = ended.cell, _say_where(ended.nodes)
    begun = cell.name in ledger.attempts or ledger.begin(cell, where)
    if not begun or cell.name in ledger.statuses:
        return
    node = nodes.get(ended.nodes[0]) if ended.nodes else None
    made_with = node.made_with(cell.backend.name) if node else None
    circumstances = Circumstances(
        ended.making.made_with if ended.making else made_with,
        ended.making.load_average if ended.making else None,
        node.name if node else None,
        list(ended.nodes) if len(ended.nodes) > 1 else [],
    )
    ledger.end(cell, _write_logs(ended, ledger.folder), circumstances, where if ended.nodes else "")


def _write_logs(ended: Ended, folder: RunFolder) -> Outcome:
    try:
        for rank, log in enumerate(ended.logs):
            if log is not None:
                write_bytes(rank_log(folder.log(ended.cell), rank), log)
    except OSError as error:
        return Outcome("failed", f"its log could not be written: {error.strerror}")
    return ended.outcome


def _say_where(nodes: Sequence[str]) -> str:
    return f"on node{'s' * (len(nodes) > 1)} {', '.join(nodes)}" if nodes else "on no node"
