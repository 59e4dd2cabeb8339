"""One job in as many processes as it has ranks, which meet, work together and end together."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import msgspec
import numpy as np

from backends.contract import Array, Group, Parameters
from harness.cells.group import CONNECTED, STARTED
from harness.cells.requests import AnyJob
from harness.machine.interruption import is_interrupted
from harness.processes.process import INTERRUPTED, POLL_INTERVAL_S, Outcome, Resources, Watcher, run_job
from harness.records.messages import Message, Phase

# Frameworks take seconds to import, and ranks may share a processor.
MEETING_TIMEOUT_S = 120.0
HOST = "127.0.0.1"
# What says most about why a cell ended comes first: a rank that was killed has the others fail as well.
TELLING = ("out_of_memory", "killed", "timeout", "unsupported", "diverged", "failed")
# Ranks that take the same steps end alike but for rounding; on processors of one kind, alike to the last bit.
LARGEST_DISTANCE = 1e-5

Hear = Callable[[Message], None]


class RunRank(Protocol):
    """Does one rank's part of a job as run_job does."""

    def __call__(self, rank: int, watcher: Watcher) -> Outcome: ...


def run_together(
    job: AnyJob, resources: Resources, log: Path, hear: Hear = lambda _: None, arrays: Mapping[str, Array] = {}
) -> Outcome:
    """Do a job in a process for each rank; the outcome is the first rank's, or why one of them failed.

    `hear` gets the first rank's messages. Once a rank has failed, or one has not arrived in MEETING_TIMEOUT_S, the
    others are ended. The log of rank r > 0 is beside the first one's, with .rank<r> in its name.
    """
    if resources.ranks == 1:
        return run_job(job, resources, log, Watcher(hear), arrays)
    addresses = free_addresses(resources.ranks)

    def run_rank(rank: int, watcher: Watcher) -> Outcome:
        job_of_rank = join_group(job, rank, addresses)
        return run_job(job_of_rank, resources.of_rank(rank), rank_log(log, rank), watcher, arrays)

    return run_ranks(resources.ranks, run_rank, hear)


def run_ranks(n_ranks: int, run_rank: RunRank, hear: Hear = lambda _: None) -> Outcome:
    """Run every rank in a thread, wherever its process is; once one has failed the others are told to end.

    The outcome is the first rank's, whose messages `hear` gets, or why one of them failed.
    """
    meeting = Meeting(n_ranks, MEETING_TIMEOUT_S)

    def run(rank: int) -> Outcome:
        def hear_rank(message: Message) -> None:
            if isinstance(message.body, Phase):
                meeting.tell(rank, message.body.phase)
            if rank == 0:
                hear(message)

        status = None
        try:
            outcome = run_rank(rank, Watcher(hear_rank, meeting.is_over, meeting.await_results))
            status = outcome.status
        finally:
            if status != "ok":
                meeting.has_failed.set()
        return outcome

    with ThreadPoolExecutor(n_ranks, thread_name_prefix="rank") as pool:
        outcomes = list(pool.map(run, range(n_ranks)))
    return judge_ranks(outcomes, meeting.failure())


def join_group(job: AnyJob, rank: int, addresses: list[str]) -> AnyJob:
    """The job with the rank's group in it, where there are several."""
    if len(addresses) == 1:
        return job
    return msgspec.structs.replace(job, group=Group(rank, tuple(addresses), MEETING_TIMEOUT_S))


def rank_log(log: Path, rank: int) -> Path:
    """Where a rank's output goes: the first one's is the cell's."""
    return log if rank == 0 else log.with_suffix(f".rank{rank}{log.suffix}")


def free_addresses(n: int, host: str = HOST) -> list[str]:
    """So many addresses of this machine, by one of its names, that nobody listens on. Raises OSError."""
    with ExitStack() as open_sockets:
        sockets = [open_sockets.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind((host, 0))
        return [f"{host}:{each.getsockname()[1]}" for each in sockets]


class Meeting:
    """Which ranks have started and connected, and whether all have to end. For several threads."""

    def __init__(self, n_ranks: int, timeout_s: float) -> None:
        self.n_ranks, self.timeout_s = n_ranks, timeout_s
        self.deadline_s = time.monotonic() + timeout_s
        self.started: set[int] = set()
        # One alone has nobody to connect to.
        self.connected: set[int] = set(range(n_ranks)) if n_ranks == 1 else set()
        self.has_failed, self.is_late = threading.Event(), threading.Event()
        self.n_results, self.results = 0, threading.Condition()

    def tell(self, rank: int, phase: str) -> None:
        if phase == STARTED:
            self.started.add(rank)
        elif phase == CONNECTED:
            self.connected.add(rank)

    def await_results(self, outcome: Outcome) -> None:
        """Wait with a rank that has its result until all have: where one is ended, frameworks abort the others."""
        if outcome.status != "ok":
            self.has_failed.set()
        with self.results:
            self.n_results += 1
            self.results.notify_all()
            while self.n_results < self.n_ranks and not self.is_over():
                self.results.wait(POLL_INTERVAL_S)

    def is_over(self) -> bool:
        """Whether the ranks that are left have to end: asked to, after a failure, or because one is late."""
        if len(self.connected) < self.n_ranks and not self.has_failed.is_set() and time.monotonic() > self.deadline_s:
            self.is_late.set()
        return is_interrupted() or self.has_failed.is_set() or self.is_late.is_set()

    def failure(self) -> Outcome | None:
        """That ranks were late, where they were."""
        if not self.is_late.is_set():
            return None
        absent = [rank for rank in range(self.n_ranks) if rank not in self.started]
        who = f"rank {', '.join(map(str, absent))} did not start" if absent else "the ranks did not connect"
        return Outcome("timeout", f"{who} within {self.timeout_s:,.10g} s")


def judge_ranks(outcomes: list[Outcome], failure: Outcome | None = None) -> Outcome:
    """The first rank's outcome where all went well and ended alike; else the most telling failure, by rank, with what
    the first rank had measured until then."""
    for status in TELLING:
        for rank, outcome in enumerate(outcomes):
            if outcome.status == status:
                named = name_rank(outcome, rank, len(outcomes))
                return replace(outcomes[0], status=status, reason=named.reason, arrays={})
    if failure is not None and not is_interrupted():
        return failure
    for outcome in outcomes:
        if outcome.status == INTERRUPTED:
            return outcome
    for rank, outcome in enumerate(outcomes):
        if unlike := find_unlike(outcomes[0].arrays, outcome.arrays):
            return replace(outcomes[0], status="failed", reason=f"ranks 0 and {rank} disagree on {unlike}", arrays={})
    return outcomes[0]


def name_rank(outcome: Outcome, rank: int, n_ranks: int) -> Outcome:
    """The outcome with the rank in its reason, where there are several."""
    return outcome if n_ranks == 1 else replace(outcome, reason=f"rank {rank}: {outcome.reason}")


def find_unlike(ours: Parameters, theirs: Parameters) -> str | None:
    """The first array that is farther from ours than LARGEST_DISTANCE of it."""
    for name, array in ours.items():
        other = theirs.get(name)
        if other is None or other.shape != array.shape:
            return name
        if not np.linalg.norm(other - array) <= LARGEST_DISTANCE * np.linalg.norm(array):
            return name
    return None
