"""One rank of a cell in a process of Ray's on its node: an actor that the driver tells what to do.

Ray ships it by name, as what is in on_node. Two of its methods may run at a time: hear waits, the others do not.
"""

from __future__ import annotations

import io
import json
import queue
import socket
import threading
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from backends import find_backend
from harness.cluster.messages import pack
from harness.cluster.on_node import describe_making, node_id, raise_priority, resources_here, run_logged
from harness.environment import load_average
from harness.process import Outcome, missing_reason, run_job
from harness.protocol import Message, write_message
from harness.ranks import free_addresses

# A message; the status, once the rank has its result; then the packed outcome and the log.
News = bytes | str | tuple[bytes, bytes]
# What crosses the cluster: the first has the ranks meet, the others are what verify compares.
CROSSING = ("phase", "observation", "unsupported")


class RankHere:
    """A job in a fresh process on this node, which is kept until the driver says that every rank has its result."""

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News | Exception] = queue.SimpleQueue()
        self.is_stopped, self.is_released = threading.Event(), threading.Event()

    def offer(self, backend: str) -> str:
        """Which node this is, where the rank may listen, and what is not installed here."""
        from ray.util import get_node_ip_address

        known = find_backend(backend)
        missing = known.missing_packages()
        offered = {
            "node": node_id(),
            "address": free_addresses(1, get_node_ip_address())[0],
            "host": socket.gethostname(),
            "missing": missing_reason(known, missing) if missing else None,
        }
        return json.dumps(offered)

    def start(self, asked: str) -> None:
        """Begin the job that is asked for."""
        threading.Thread(target=self._run, args=(json.loads(asked),), daemon=True).start()

    def hear(self) -> News:
        """What is new, once something is. Raises what kept the job from being done."""
        news = self.news.get()
        if isinstance(news, Exception):
            raise news
        return news

    def release(self) -> None:
        """Let go of the process, for all have their result."""
        self.is_released.set()

    def stop(self) -> None:
        """End the process."""
        self.is_stopped.set()
        self.is_released.set()

    def _run(self, asked: Mapping[str, Any]) -> None:
        try:
            self.news.put(self._do(asked))
        except Exception as error:
            self.news.put(error)

    def _do(self, asked: Mapping[str, Any]) -> tuple[bytes, bytes]:
        raise_priority()
        request = asked["request"]
        backend, resources = find_backend(request["backend"]), replace(resources_here(asked, node_id()), ranks=1)
        load_before = load_average()

        def run(log: Path) -> Outcome:
            return run_job(
                backend,
                request,
                resources,
                log,
                self._listen,
                is_stopped=self.is_stopped.is_set,
                conclude=self._conclude,
            )

        outcome, printed = run_logged(run)
        return pack(outcome, describe_making(backend, load_before)), printed

    def _listen(self, message: Message) -> None:
        if message.kind in CROSSING:
            stream = io.BytesIO()
            write_message(stream, message.kind, message.body, message.arrays)
            self.news.put(stream.getvalue())

    def _conclude(self, outcome: Outcome) -> None:
        self.news.put(outcome.status)
        self.is_released.wait()
