"""What runs on a node, in processes of Ray's: what the node says of itself, and one rank of a cell.

Ray ships these by name, so the suite has to be installed on the node. Requests and answers are JSON and bytes.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import socket
import tempfile
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from backends import Backend, find_backend
from harness.machine import cpu_model, describe_environment, find_processors, load_average
from harness.machine.files import read
from harness.machine.provenance import suite_digest, versions
from harness.processes.ceiling import offering, take_samples
from harness.processes.cluster.messages import pack
from harness.processes.process import MAXIMUM_LOG_BYTES, Outcome, Resources, missing_reason, run_job
from harness.processes.ranks import free_addresses
from harness.records.messages import Message, write_message
from harness.task.recipe import RunConfig

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")

# A message; the status, once the rank has its result; then the packed outcome and the log.
News = bytes | str | tuple[bytes, bytes]
# What crosses the cluster: the first has the ranks meet, the others are what verify compares.
CROSSING = ("phase", "observation", "unsupported")


def describe_node(request: str) -> str:
    """What this node is, what is installed of the backends named, and which code of the suite."""
    raise_priority()
    found = {}
    for name in json.loads(request)["backends"]:
        with contextlib.suppress(KeyError):
            found[name] = versions(find_backend(name))
    described = {
        "machine": read(BOOT_ID) or os.uname().nodename,
        "processors": asdict(find_processors()),
        "environment": describe_environment(),
        "versions": found,
        "code": suite_digest(),
        "niceness": os.nice(0),
    }
    return json.dumps(described)


class RankOnNode:
    """One rank of a cell: a job in a fresh process, which is kept until the run says that every rank has its result.

    An actor of Ray's. Two of its methods may run at a time: hear waits, the others do not.
    """

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
        backend, resources = find_backend(request["backend"]), resources_here(asked)
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


def time_products_here(request: str) -> str:
    """Samples of this node's ceiling, and what failed."""
    raise_priority()
    asked = json.loads(request)
    backends = []
    for name in asked["backends"]:
        with contextlib.suppress(KeyError):
            backends.append(find_backend(name))
    config = RunConfig.from_dict(asked["configuration"])
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as logs:
        taken = take_samples(offering(backends), config, asked["precisions"], resources_here(asked), Path(logs))
    return json.dumps(asdict(taken))


def describe_making(backend: Backend, load_before: Any) -> dict[str, Any]:
    """What a cell was made with here, and how busy the node was before it and is now."""
    return {
        "made_with": {"versions": versions(backend), "cpu": cpu_model()},
        "load_average": {"before": load_before, "after": load_average()},
    }


def run_logged(run: Callable[[Path], Outcome]) -> tuple[Outcome, bytes]:
    """The outcome of what writes its log to that path, and the log."""
    with tempfile.TemporaryDirectory(prefix="lstm-copy-benchmark-") as folder:
        log = Path(folder) / "cell.log"
        outcome = run(log)
        if not log.exists():
            return outcome, b""
        with log.open("rb") as stream:
            return outcome, stream.read(MAXIMUM_LOG_BYTES)


def resources_here(asked: Mapping[str, Any]) -> Resources:
    """What one rank may use on this node."""
    return replace(Resources(**asked["resources"]), ranks=1, share=asked["shares"][node_id()])


def node_id() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def raise_priority() -> None:
    """Ray starts its processes at niceness 15, and a worker inherits it. Only root may go back; others have to start
    Ray with RAY_worker_niceness=0, and are told."""
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, 0)
