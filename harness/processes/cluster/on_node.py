"""What runs on a node, in processes of Ray's: what the node says of itself, and one rank of a cell.

Ray ships these by name, so the suite has to be installed on the node. Requests and answers are JSON and bytes.
"""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from backends import find_backend
from harness.machine import cpu_model, describe_environment, find_processors, load_average
from harness.machine.files import read
from harness.machine.provenance import suite_digest, versions
from harness.processes.ceiling import offering, take_samples
from harness.processes.cluster.messages import (
    NodeDescription,
    NodeMaking,
    NodeResources,
    Offer,
    ProductsJob,
    RankJob,
    pack,
)
from harness.processes.process import MAXIMUM_LOG_BYTES, Outcome, Resources, Watcher, missing_reason, run_job
from harness.processes.ranks import free_addresses
from harness.records.messages import Message, Observation, Phase, Unsupported, encode, frame
from harness.records.structs import LoadAverage, Making

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# A message; the status, once the rank has its result; then the packed outcome and the log.
News = bytes | str | tuple[bytes, bytes]
# What crosses the cluster: the first has the ranks meet, the others are what verify compares.
CROSSING = (Phase, Observation, Unsupported)


def describe_node(backends: Sequence[str]) -> bytes:
    """What this node is, what is installed of the backends named, and which code of the suite: a NodeDescription."""
    raise_priority()
    found = {}
    for name in backends:
        with contextlib.suppress(KeyError):
            found[name] = versions(find_backend(name))
    described = NodeDescription(
        machine=read(BOOT_ID) or os.uname().nodename,
        processors=find_processors(),
        environment=describe_environment(),
        versions=found,
        code=suite_digest(),
        niceness=os.nice(0),
    )
    return encode(described)


class RankOnNode:
    """One rank of a cell: a job in a fresh process, which is kept until the run says that every rank has its result.

    An actor of Ray's. Two of its methods may run at a time: hear waits, the others do not.
    """

    def __init__(self) -> None:
        self.news: queue.SimpleQueue[News | Exception] = queue.SimpleQueue()
        self.is_stopped, self.is_released = threading.Event(), threading.Event()

    def offer(self, backend: str) -> bytes:
        """Which node this is, where the rank may listen, and what is not installed here: an Offer."""
        from ray.util import get_node_ip_address

        known = find_backend(backend)
        missing = known.missing_packages()
        address = free_addresses(1, get_node_ip_address())[0]
        lacking = missing_reason(known, missing) if missing else None
        return encode(Offer(node_id(), address, socket.gethostname(), lacking))

    def start(self, asked: bytes) -> None:
        """Begin the RankJob that is asked for."""
        rank_job = msgspec.json.decode(asked, type=RankJob)
        threading.Thread(target=self._run, args=(rank_job,), daemon=True).start()

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

    def _run(self, asked: RankJob) -> None:
        try:
            self.news.put(self._do(asked))
        except Exception as error:
            self.news.put(error)

    def _do(self, asked: RankJob) -> tuple[bytes, bytes]:
        raise_priority()
        resources, load_before = resources_here(asked.place), load_average()
        watcher = Watcher(self._hear, self.is_stopped.is_set, self._conclude)
        outcome, printed = run_logged(lambda log: run_job(asked.job, resources, log, watcher))
        made_with = Making(versions(find_backend(asked.job.backend)), cpu_model())
        return pack(outcome, NodeMaking(made_with, LoadAverage(load_before, load_average()))), printed

    def _hear(self, message: Message) -> None:
        if isinstance(message.body, CROSSING):
            self.news.put(frame(message.body, message.arrays))

    def _conclude(self, outcome: Outcome) -> None:
        self.news.put(outcome.status)
        self.is_released.wait()


def time_products_here(request: bytes) -> bytes:
    """Samples of this node's ceiling, and what failed: from a ProductsJob to Samples."""
    raise_priority()
    asked = msgspec.json.decode(request, type=ProductsJob)
    backends = []
    for name in asked.backends:
        with contextlib.suppress(KeyError):
            backends.append(find_backend(name))
    here = resources_here(asked.place)
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as logs:
        taken = take_samples(offering(backends), asked.configuration, asked.precisions, here, Path(logs))
    return encode(taken)


def run_logged(run: Callable[[Path], Outcome]) -> tuple[Outcome, bytes]:
    """The outcome of what writes its log to that path, and the log."""
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as folder:
        log = Path(folder) / "cell.log"
        outcome = run(log)
        if not log.exists():
            return outcome, b""
        with log.open("rb") as stream:
            return outcome, stream.read(MAXIMUM_LOG_BYTES)


def resources_here(place: NodeResources) -> Resources:
    """What one rank may use on this node."""
    return replace(place.resources, ranks=1, share=place.shares[node_id()])


def node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def raise_priority() -> None:
    """Ray starts its processes at niceness 15, and a worker inherits it. Only root may go back; others have to start
    Ray with RAY_worker_niceness=0, and are told."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
