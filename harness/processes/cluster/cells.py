"""Cells on the nodes of a cluster, a node for each rank: they meet, work and end together, as on one machine."""

from __future__ import annotations

import io
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from harness.cells.requests import AnyJob
from harness.machine.interruption import is_interrupted
from harness.processes.cluster.connection import Cluster
from harness.processes.cluster.losses import explain
from harness.processes.cluster.messages import NodeMaking, RankJob, unpack
from harness.processes.cluster.placement import IsStopped, NotGathered, Rank, gather
from harness.processes.process import INTERRUPTED, POLL_INTERVAL_S, Outcome, Watcher
from harness.processes.ranks import Hear, join_group, run_ranks
from harness.processes.runner import train_job
from harness.processes.selection import Selection
from harness.records.identity import PlannedCell
from harness.records.messages import Message, ProtocolError, encode, read_message

# What a node that is asked to end may take: more than a worker may.
STOP_GRACE_S = 20.0

Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Begun:
    """A cell has begun, on these nodes by rank."""

    cell: PlannedCell
    nodes: tuple[str, ...]


@dataclass(frozen=True)
class Ended:
    """How a cell ended: on which nodes, by rank, or on none where too few were left. logs are as the nodes are, None
    where one was lost."""

    cell: PlannedCell
    nodes: tuple[str, ...]
    outcome: Outcome
    making: NodeMaking | None = None
    logs: tuple[bytes | None, ...] = ()


@dataclass(frozen=True)
class Answer:
    """How one rank ended, what its node tells of its making, and its log; None where it was lost."""

    outcome: Outcome
    making: NodeMaking | None = None
    log: bytes | None = None


def train_cells(cluster: Cluster, cells: Sequence[PlannedCell], selection: Selection) -> Iterator[Begun | Ended]:
    """Every cell, as it begins and ends, as many at once as there are nodes for. After a signal, and when it is closed,
    what has not ended is ended."""

    def train(cell: PlannedCell, tell: Tell, is_stopped: IsStopped) -> None:
        job, begun = train_job(cell, selection.config), list[str]()

        def begin(nodes: list[str]) -> None:
            begun.extend(nodes)
            tell(Begun(cell, tuple(nodes)))

        answers = work_on_nodes(cluster, job, selection, is_stopped, begin)
        outcome = answers[0].outcome
        if outcome.status != INTERRUPTED:
            tell(Ended(cell, tuple(begun), outcome, answers[0].making, tuple(answer.log for answer in answers)))

    yield from side_by_side(train, cells, cluster.n_at_once)


def side_by_side(
    job: Callable[[PlannedCell, Tell, IsStopped], None], cells: Sequence[PlannedCell], n_at_once: int
) -> Iterator[Any]:
    """What the job tells of each cell, until a signal. Raises what a job raises."""
    told: queue.SimpleQueue[Any] = queue.SimpleQueue()
    stopped, end = threading.Event(), object()

    def run(cell: PlannedCell) -> None:
        try:
            job(cell, told.put, lambda: stopped.is_set() or is_interrupted())
        except Exception as error:
            told.put(error)
        told.put(end)

    with ThreadPoolExecutor(n_at_once, thread_name_prefix="cell") as pool:
        try:
            for cell in cells:
                pool.submit(run, cell)
            n_left = len(cells)
            while n_left and not is_interrupted():
                try:
                    news = told.get(timeout=POLL_INTERVAL_S)
                except queue.Empty:
                    continue
                if isinstance(news, Exception):
                    raise news
                if news is end:
                    n_left -= 1
                else:
                    yield news
        finally:
            stopped.set()
            pool.shutdown(cancel_futures=True)


def work_on_nodes(
    cluster: Cluster,
    job: AnyJob,
    selection: Selection,
    is_stopped: IsStopped,
    begin: Callable[[list[str]], None] = lambda _: None,
    hear: Hear = lambda _: None,
) -> list[Answer]:
    """Do a job on as many nodes as it has ranks; the answer of each rank, the first with the outcome of the whole.

    `begin` is told the nodes, `hear` gets the first rank's messages.
    """
    place = cluster.place(selection)
    try:
        with gather(cluster, job.backend, is_stopped) as ranks:
            begin([rank.node for rank in ranks])
            if missing := [rank.missing for rank in ranks if rank.missing]:
                return [Answer(Outcome("not_installed", missing[0]), log=b"")]
            addresses = [rank.address for rank in ranks]
            answers: dict[int, Answer] = {}

            def run_rank(rank: int, watcher: Watcher) -> Outcome:
                asked = RankJob(join_group(job, rank, addresses), place)
                stopped_too = replace(watcher, is_over=lambda: watcher.is_over() or is_stopped())
                answers[rank] = run_on_node(ranks[rank], asked, stopped_too)
                return answers[rank].outcome

            outcome = run_ranks(cluster.ranks, run_rank, hear)
    except NotGathered as error:
        return [Answer(error.outcome)]
    whole = replace(answers[0], outcome=outcome)
    return [_hide(answer, ranks) for answer in (whole, *(answers[number] for number in range(1, cluster.ranks)))]


def run_on_node(rank: Rank, asked: RankJob, watcher: Watcher) -> Answer:
    """Have a rank do its part of a job on its node, as run_job does it here."""
    import ray
    from ray.exceptions import RayError

    rank.actor.start.remote(encode(asked))
    pending, deadline_s = rank.actor.hear.remote(), None
    while True:
        if deadline_s is None and watcher.is_over():
            rank.actor.stop.remote()
            deadline_s = time.monotonic() + STOP_GRACE_S
        if not ray.wait([pending], timeout=POLL_INTERVAL_S)[0]:
            if deadline_s is not None and time.monotonic() > deadline_s:
                return Answer(_unanswered(rank))
            continue
        try:
            news = ray.get(pending)
            if isinstance(news, tuple):
                return Answer(*unpack(news[0]), news[1])
            if isinstance(news, bytes):
                watcher.hear(_read(news))
            else:
                watcher.conclude(Outcome(news))
                rank.actor.release.remote()
        except RayError as error:
            # The others are not to wait until it is known what has happened.
            watcher.conclude(Outcome("killed"))
            return Answer(explain(error, rank.node))
        except ProtocolError as error:
            return Answer(Outcome("failed", str(error)))
        pending = rank.actor.hear.remote()


def _read(content: bytes) -> Message:
    message = read_message(io.BytesIO(content))
    if message is None:
        raise ProtocolError("the node sent an empty message")
    return message


def _unanswered(rank: Rank) -> Outcome:
    if is_interrupted():
        return Outcome(INTERRUPTED, None)
    return Outcome("killed", f"node {rank.node} did not answer when it was asked to end")


def _hide(answer: Answer, ranks: Sequence[Rank]) -> Answer:
    """The answer without what is written nowhere."""
    reason, log = (answer.outcome.reason or "").encode(), answer.log
    for rank in ranks:
        reason, log = rank.hide(reason), None if log is None else rank.hide(log)
    return replace(answer, outcome=replace(answer.outcome, reason=reason.decode() or None), log=log)
