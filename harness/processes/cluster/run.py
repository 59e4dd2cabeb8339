"""The cells of a plan on a cluster, each kept in the run's folder as on one machine."""

from __future__ import annotations

import time
from collections.abc import Sequence

from rich.console import Console

from harness.processes.ceiling import keep_samples
from harness.processes.cluster.ceiling import sample_node
from harness.processes.cluster.cells import Begun, Ended, train_cells
from harness.processes.cluster.connection import Cluster
from harness.processes.keeping import Circumstances, Keeper
from harness.processes.process import INTERRUPTED, Outcome
from harness.processes.ranks import rank_log
from harness.processes.saying import say
from harness.processes.schedule import Schedule
from harness.processes.selection import Selection
from harness.records.durable import write_bytes
from harness.records.identity import PlannedCell


def run_on_cluster(
    cluster: Cluster, cells: Sequence[PlannedCell], selection: Selection, keeper: Keeper, console: Console
) -> list[str]:
    """Train what is not complete; the status of every cell, in their order."""
    told, folder = _Told(cluster, cells, keeper, console), keeper.folder
    waiting = [cell for cell in cells if not told.is_complete(cell, selection)]
    if waiting:
        keep_samples(sample_node(cluster, selection), None, folder, console)
    for event in train_cells(cluster, waiting, selection):
        if isinstance(event, Begun):
            told.begin(event.cell, event.nodes)
        else:
            told.end(event)
    for cell in cells:
        if told.statuses.setdefault(cell.name, INTERRUPTED) == INTERRUPTED and cell.name in told.attempts:
            told.say(f"{cell.name}: interrupted")
    return [told.statuses[cell.name] for cell in cells]


class _Told:
    """What is known of the cells so far: how each ended, and which attempt at it has begun."""

    def __init__(self, cluster: Cluster, cells: Sequence[PlannedCell], keeper: Keeper, console: Console) -> None:
        self.folder, self.keeper, self.console = keeper.folder, keeper, console
        self.nodes = {node.name: node for node in cluster.nodes}
        self.schedule = Schedule(cells, n_at_once=cluster.n_at_once)
        self.statuses: dict[str, str] = {}
        self.attempts: dict[str, int] = {}
        self.begun_s: dict[str, float] = {}

    def say(self, text: str) -> None:
        say(self.console, text)

    def is_complete(self, cell: PlannedCell, selection: Selection) -> bool:
        """Whether the cell is kept: made as any node would make it today."""
        makings = [node.made_with(cell.backend.name) for node in self.nodes.values()]
        distinct = [making for place, making in enumerate(makings) if making not in makings[:place]]
        reasons = [self.folder.reason_to_train(cell, selection.config, making) for making in distinct]
        if None in reasons:
            self.statuses[cell.name] = "ok"
            self.schedule.finish(cell, None)
            self.say(f"{cell.name}: complete, kept")
        elif self.folder.record(cell).exists():
            self.say(f"{cell.name}: rerun: {reasons[0]}")
        return None in reasons

    def begin(self, cell: PlannedCell, nodes: Sequence[str]) -> bool:
        """Put an earlier attempt aside, and say in the log of this one where it runs, lest it be lost without a
        trace. False where that cannot be done: the cell has failed then."""
        try:
            self.attempts[cell.name] = self.folder.begin_attempt(cell)
            write_bytes(self.folder.log(cell), f"{_say_where(nodes)}; what it prints comes with its result\n".encode())
        except OSError as error:
            self.statuses[cell.name] = "failed"
            self.schedule.finish(cell, None)
            self.say(f"{cell.name}: failed: its attempt could not be begun: {error.strerror}")
            return False
        self.begun_s[cell.name] = time.monotonic()
        return True

    def end(self, ended: Ended) -> None:
        """Write the log and the record, and say so in one line."""
        cell = ended.cell
        begun = cell.name in self.attempts or self.begin(cell, ended.nodes)
        if not begun or cell.name in self.statuses:
            return
        outcome = self._write_logs(ended)
        node = self.nodes.get(ended.nodes[0]) if ended.nodes else None
        made_with = node.made_with(cell.backend.name) if node else None
        if ended.making:
            made_with = ended.making.made_with
        circumstances = Circumstances(
            self.attempts[cell.name],
            made_with,
            ended.making.load_average if ended.making else None,
            node.name if node else None,
            list(ended.nodes) if len(ended.nodes) > 1 else [],
        )
        written = self.keeper.keep(cell, outcome, circumstances)
        self.statuses[cell.name] = written.status
        duration_s = time.monotonic() - self.begun_s[cell.name]
        self.schedule.finish(cell, duration_s if outcome.body else None)
        place = f" {_say_where(ended.nodes)}" if ended.nodes else ""
        reason = f": {written.reason}" if written.reason else ""
        self.say(f"{cell.name}: {written.status} in {duration_s:.1f} s{place} ({self.schedule}){reason}")

    def _write_logs(self, ended: Ended) -> Outcome:
        try:
            for rank, log in enumerate(ended.logs):
                if log is not None:
                    write_bytes(rank_log(self.folder.log(ended.cell), rank), log)
        except OSError as error:
            return Outcome("failed", f"its log could not be written: {error.strerror}")
        return ended.outcome


def _say_where(nodes: Sequence[str]) -> str:
    return f"on node{'s' * (len(nodes) > 1)} {', '.join(nodes)}" if nodes else "on no node"
