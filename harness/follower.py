"""Every other rank that a launcher started: it trains its part of each cell that the first rank names, and keeps no
files."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends import Backend
from backends.contract import Array
from harness.environment.privacy import shorten
from harness.interruption import Interruption, is_interrupted
from harness.launch import Launch
from harness.link import ANSWER_TIMEOUT_S, ARRIVAL_TIMEOUT_S, Link, LinkLost, free_port, make_group
from harness.plan import Cell
from harness.presets import ConfigurationError
from harness.process import INTERRUPTED, POLL_INTERVAL_S, Listener, Outcome, Resources, run_job
from harness.protocol import Message
from harness.runner import Together
from harness.schema import STATUSES

Say = Callable[[str], None]
# Trains a cell's rank: how run_cell does it, with what is left to say.
Train = Callable[[Cell, Path, Together], Outcome]


def follow(launch: Launch, agreed: str, cells: Sequence[Cell], timeout_s: float, train: Train, say: Say) -> int:
    """Serve the first rank until it is done; 0 whatever became of the cells, which is its to tell, 1 where it is lost.

    timeout_s is what a cell may take, and it is not waited for longer than that. Raises ConfigurationError where the
    first rank refuses this one.
    """
    with Interruption() as interruption:
        try:
            with contextlib.closing(arrive(launch, agreed, min(timeout_s, ARRIVAL_TIMEOUT_S))) as link:
                _serve(link, launch, {cell.name: cell for cell in cells}, train, say)
        except LinkLost as error:
            if not interruption:
                say(f"rank {launch.rank}: the first rank is gone: {error}")
                return 1
        return interruption.exit_code if interruption else 0


def arrive(launch: Launch, agreed: str, timeout_s: float) -> Link:
    """A link to the first rank, once it listens. Raises LinkLost, and ConfigurationError where it refuses."""
    deadline_s = time.monotonic() + timeout_s
    while not is_interrupted() and time.monotonic() < deadline_s:
        try:
            link = Link(socket.create_connection((launch.host, launch.port), timeout=ANSWER_TIMEOUT_S))
        # A name that no server knows yet may be known soon, and so may one that does not fit in a question.
        except (OSError, UnicodeError):
            time.sleep(POLL_INTERVAL_S)
            continue
        try:
            link.send("join", {"rank": launch.rank, "size": launch.size, "agreed": agreed})
            answer = link.expect("welcome", "refused")
        except LinkLost:
            # Somebody else listens there, or the first rank has just begun to.
            link.close()
            time.sleep(POLL_INTERVAL_S)
            continue
        if answer.kind == "refused":
            link.close()
            raise ConfigurationError(f"rank {launch.rank}: {answer.body.get('reason')}")
        return link
    raise LinkLost(f"it did not answer at {launch.host}, port {launch.port}, within {timeout_s:g} s")


def _serve(link: Link, launch: Launch, cells: Mapping[str, Cell], train: Train, say: Say) -> None:
    while not is_interrupted():
        message = link.receive(POLL_INTERVAL_S)
        if message is None or message.kind in ("stop", "concluded"):
            continue
        if message.kind == "done":
            return
        cell = cells.get(str(message.body.get("cell"))) if message.kind == "cell" else None
        if cell is None:
            raise LinkLost(f"it said {message.kind}, which means nothing here")
        outcome = _train_one(link, launch, cell, train)
        if outcome is not None:
            reason = f": {outcome.reason}" if outcome.reason else ""
            say(f"{cell.name}: rank {launch.rank}: {outcome.status}{reason}")


def _train_one(link: Link, launch: Launch, cell: Cell, train: Train) -> Outcome | None:
    """How this rank of the cell ended, as the first rank is told; None where the cell was called off."""
    link.send("port", {"port": free_port()})
    # Every other rank is asked for its port first, and one of them may be lost and be waited for.
    begun_s, message = time.monotonic(), None
    while message is None and time.monotonic() - begun_s < launch.size * ANSWER_TIMEOUT_S and not is_interrupted():
        message = link.receive(POLL_INTERVAL_S)
    if message is None or message.kind != "start":
        return None
    rank = _Rank(link, make_group(launch, message.body["addresses"]))
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as folder:
        outcome = train(cell, Path(folder) / "cell.log", rank.run)
    return rank.tell(outcome)


class _Rank:
    """This rank of one cell, and whether the first rank wants it to end."""

    def __init__(self, link: Link, group: Mapping[str, Any]) -> None:
        self.link, self.group = link, group
        self.has_told, self.is_over = False, False

    def run(
        self,
        backend: Backend,
        request: Mapping[str, Any],
        resources: Resources,
        log: Path,
        listen: Listener = lambda _: None,
        *,
        arrays: Mapping[str, Array] = {},
    ) -> Outcome:
        """As harness.ranks.run_together, but one rank alone."""
        return run_job(
            backend,
            {**request, "group": self.group},
            resources,
            log,
            self.hear,
            arrays=arrays,
            is_stopped=self.is_stopped,
            conclude=self.conclude,
        )

    def hear(self, message: Message) -> None:
        if message.kind == "phase":
            self.link.send("phase", message.body)

    def is_stopped(self) -> bool:
        """Raises LinkLost, which ends the worker as well."""
        message = self.link.receive(0)
        self.is_over |= message is not None and message.kind in ("stop", "concluded")
        return self.is_over or is_interrupted()

    def conclude(self, outcome: Outcome) -> None:
        """Wait with a result until all ranks have theirs. Why there is none is told later, with the end of the log."""
        if outcome.status != "ok":
            return
        self.tell(outcome)
        while not self.is_stopped():
            time.sleep(POLL_INTERVAL_S / 10)

    def tell(self, outcome: Outcome) -> Outcome:
        """What the first rank is told of how this one ended, once."""
        if outcome.status == INTERRUPTED and not self.is_over:
            outcome = replace(outcome, status="failed", reason="its task was asked to end")
        if not self.has_told:
            self.has_told = True
            status = outcome.status if outcome.status in (*STATUSES, INTERRUPTED) else "failed"
            # The first rank knows this machine by an address alone, and could not leave its name out.
            reason = outcome.reason and shorten(outcome.reason)
            self.link.send("outcome", {"status": status, "reason": reason}, outcome.arrays)
        return outcome
