"""The first of the ranks that a launcher started: it knows who is there, has them begin each cell together, and judges
how the cell ended."""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any

from backends import Backend
from backends.contract import Array
from harness.interruption import is_interrupted
from harness.launch import Launch
from harness.link import (
    ANSWER_TIMEOUT_S,
    ARRIVAL_TIMEOUT_S,
    Link,
    LinkLost,
    free_port,
    is_loopback,
    join_address,
    listen,
    make_group,
)
from harness.presets import ConfigurationError
from harness.process import INTERRUPTED, POLL_INTERVAL_S, TERMINATION_GRACE_S, Listener, Outcome, Resources, run_job
from harness.protocol import Message
from harness.ranks import MEETING_TIMEOUT_S, Meeting, judge_ranks
from harness.schema import STATUSES


class Driver:
    """Listens for the other ranks in its `with` block. After an orderly end they are told that all is done."""

    def __init__(self, launch: Launch, agreed: str) -> None:
        """Raises ConfigurationError where the port is not free."""
        self.launch, self.agreed = launch, agreed
        self.begun_s = time.monotonic()
        self._links: dict[int, Link] = {}
        self._left: set[int] = set()
        self._changed = threading.Condition()
        self._is_open = True
        try:
            self._server = listen(launch.port)
        except OSError as error:
            raise ConfigurationError(
                f"--ranks launcher: port {launch.port} cannot be listened on: {error.strerror}"
            ) from None

    def __enter__(self) -> Driver:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_open = False
        # It also wakes the thread that waits there.
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for rank in [*self._links]:
            if kind is None:
                self._tell(rank, "done")
            self._drop(rank)

    def run_together(
        self,
        name: str,
        backend: Backend,
        request: Mapping[str, Any],
        resources: Resources,
        log: Path,
        hear: Listener = lambda _: None,
        *,
        arrays: Mapping[str, Array] = {},
    ) -> Outcome:
        """Do a cell's job with the other ranks; as harness.ranks does with those of one machine. No host's name and no
        address is in the outcome, nor in the log."""
        if absence := self._wait_for_all(resources.timeout_s):
            return absence
        names = self._hosts()
        addresses = self._find_addresses(name)
        if isinstance(addresses, Outcome):
            return addresses
        meeting = Meeting(self.launch.size, MEETING_TIMEOUT_S)

        def run_rank(rank: int) -> Outcome:
            if rank:
                return self._follow(rank, meeting, addresses)
            return self._run_first(backend, {**request, "group": group}, resources, log, hear, arrays, meeting)

        group = make_group(self.launch, addresses)
        with ThreadPoolExecutor(self.launch.size, thread_name_prefix="rank") as pool:
            outcomes = list(pool.map(run_rank, range(self.launch.size)))
        outcome = judge_ranks(outcomes, meeting.failure())
        hide_in_file(log, names)
        return Outcome(outcome.status, hide_hosts(outcome.reason or "", names) or None, outcome.body, outcome.arrays)

    def _accept(self) -> None:
        while self._is_open:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            threading.Thread(target=self._greet, args=(connection,), daemon=True).start()

    def _greet(self, connection: socket.socket) -> None:
        """Take a rank in, or tell it why not."""
        try:
            link = Link(connection)
        except (OSError, ValueError):
            connection.close()
            return
        try:
            body = link.expect("join").body
            rank = body.get("rank")
            with self._changed:
                refusal = self._refusal(body)
                link.send("refused" if refusal else "welcome", {"reason": refusal})
                if refusal is None and isinstance(rank, int):
                    self._links[rank] = link
                    self._changed.notify_all()
                    return
        except LinkLost:
            pass
        link.close()

    def _refusal(self, body: Mapping[str, Any]) -> str | None:
        rank, size = body.get("rank"), body.get("size")
        if size != self.launch.size or not isinstance(rank, int) or not 0 < rank < self.launch.size:
            return f"rank {rank} of {size} is none of the {self.launch.size} of the first rank's"
        if body.get("agreed") != self.agreed:
            return "it was given another command than the first rank, or has other code or versions"
        if rank in self._links or rank in self._left:
            return f"rank {rank} was there already"
        return None

    def _wait_for_all(self, timeout_s: float) -> Outcome | None:
        """Until all are there; how the cell ends where that takes too long or one has left."""
        limit_s = min(ARRIVAL_TIMEOUT_S, timeout_s)
        with self._changed:
            while len(self._links) < self.launch.size - 1 and not self._left and not is_interrupted():
                if time.monotonic() - self.begun_s > limit_s:
                    absent = sorted({*range(1, self.launch.size)} - {*self._links})
                    return Outcome("timeout", f"{_name(absent)} did not arrive within {limit_s:g} s", {}, {})
                self._changed.wait(POLL_INTERVAL_S)
            if is_interrupted():
                return Outcome(INTERRUPTED, "asked to end", {}, {})
            if self._left:
                return Outcome("failed", f"{_name(sorted(self._left))} left the run in an earlier cell", {}, {})
        return None

    def _find_addresses(self, name: str) -> list[str] | Outcome:
        """Where each rank may listen, all of them having been told of the cell; no host stands for the first rank's,
        which each of them knows by a name of its own."""
        addresses = [f":{free_port()}"]
        for rank in range(1, self.launch.size):
            self._tell(rank, "cell", {"cell": name})
        for rank in range(1, self.launch.size):
            try:
                link = self._link(rank)
                port = int(link.expect("port").body["port"])
            except (LinkLost, KeyError, TypeError, ValueError):
                for other in range(1, self.launch.size):
                    self._tell(other, "concluded")
                return self._lose(rank)
            addresses.append(f":{port}" if is_loopback(link.peer) else join_address(link.peer, port))
        return addresses

    def _run_first(
        self,
        backend: Backend,
        request: Mapping[str, Any],
        resources: Resources,
        log: Path,
        hear: Listener,
        arrays: Mapping[str, Array],
        meeting: Meeting,
    ) -> Outcome:
        def listen_too(message: Message) -> None:
            if message.kind == "phase":
                meeting.note(0, str(message.body.get("phase")))
            hear(message)

        stopped, conclude = meeting.is_over, meeting.conclude
        return run_job(
            backend, request, resources, log, listen_too, arrays=arrays, is_stopped=stopped, conclude=conclude
        )

    def _follow(self, rank: int, meeting: Meeting, addresses: list[str]) -> Outcome:
        """What becomes of another rank: how it says that it ended, or that it is gone."""
        try:
            outcome = self._hear(rank, meeting, addresses)
        except LinkLost:
            outcome = self._lose(rank)
        meeting.conclude(outcome)
        self._tell(rank, "concluded")
        return outcome

    def _hear(self, rank: int, meeting: Meeting, addresses: list[str]) -> Outcome:
        link = self._link(rank)
        link.send("start", {"addresses": addresses})
        stopped_s: float | None = None
        while True:
            if stopped_s is None and meeting.is_over():
                link.send("stop")
                stopped_s = time.monotonic()
            if stopped_s is not None and time.monotonic() - stopped_s > TERMINATION_GRACE_S + ANSWER_TIMEOUT_S:
                raise LinkLost("it did not stop")
            message = link.receive(POLL_INTERVAL_S)
            if message is not None and message.kind == "phase":
                meeting.note(rank, str(message.body.get("phase")))
            elif message is not None and message.kind == "outcome":
                return read_outcome(message)

    def _link(self, rank: int) -> Link:
        with self._changed:
            if rank not in self._links:
                raise LinkLost("it is gone")
            return self._links[rank]

    def _tell(self, rank: int, kind: str, body: Mapping[str, Any] = {}) -> None:
        """What a rank that is gone need not be told; that it is will be noticed where it is waited for."""
        try:
            self._link(rank).send(kind, body)
        except LinkLost:
            self._drop(rank)

    def _lose(self, rank: int) -> Outcome:
        self._drop(rank)
        return Outcome("killed", "its task is gone", {}, {})

    def _drop(self, rank: int) -> None:
        with self._changed:
            self._left.add(rank)
            link = self._links.pop(rank, None)
        if link:
            link.close()

    def _hosts(self) -> list[str]:
        """The names and addresses that no file is to have."""
        with self._changed:
            hosts = [self.launch.host, *(link.peer for link in self._links.values())]
        return [host for host in hosts if host not in ("localhost", "127.0.0.1", "::1")]


def read_outcome(message: Message) -> Outcome:
    """What another rank said, or that it is nonsense."""
    status, reason = message.body.get("status"), message.body.get("reason")
    if status not in (*STATUSES, INTERRUPTED) or not isinstance(reason, str | None):
        return Outcome("failed", f"its task ended with status {str(status)[:50]!r}", {}, {})
    return Outcome(status, reason, {}, message.arrays)


def hide_hosts(text: str, hosts: list[str]) -> str:
    """The text with HOST in place of each, and of the first part of its name."""
    names = {*hosts, *(host.partition(".")[0] for host in hosts if not host[0].isdigit())}
    for name in sorted(names, key=len, reverse=True):
        text = re.sub(rf"(?<![\w-]){re.escape(name)}(?![\w-])", "HOST", text)
    return text


def hide_in_file(path: Path, hosts: list[str]) -> None:
    if hosts and path.exists():
        text = path.read_text(encoding="utf-8", errors="replace")
        path.write_text(hide_hosts(text, hosts), encoding="utf-8")


def _name(ranks: list[int]) -> str:
    return f"rank {', '.join(map(str, ranks))}"
