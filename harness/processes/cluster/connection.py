"""Finding a cluster, and leaving it as it was."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from harness.machine import find_processors
from harness.machine.provenance import suite_digest
from harness.processes.cluster.messages import NodeDescription, NodeResources
from harness.processes.cluster.nodes import (
    Node,
    choose_nodes,
    fit_threads,
    place_nodes,
    refuse_other_code,
    refuse_ranks,
    takes_gpu,
)
from harness.processes.cluster.on_node import describe_node
from harness.processes.selection import Selection
from harness.task.one_line import one_line
from harness.task.presets import ConfigurationError

LOCAL = "local"
ALLOWED = f"allowed: {LOCAL}, or HOST:PORT of a Ray cluster that this machine is a node of"
CONNECT_TIMEOUT_S = 5.0
# An address may be open and not be Ray's; Ray itself would try for minutes.
ANSWER_TIMEOUT_S = 30.0
QUIET = {"logging_level": "ERROR", "log_to_driver": False, "configure_logging": False}


@dataclass(frozen=True)
class Cluster:
    """A cluster we are connected to: the nodes to measure on, and those left out."""

    nodes: list[Node]
    left_out: list[Node]
    takes_gpu: bool
    ranks: int = 1

    @property
    def n_at_once(self) -> int:
        """How many cells there are nodes for at a time."""
        return len(self.nodes) // self.ranks

    @property
    def environment(self) -> dict[str, Any]:
        """That of the first node, for the run is made there and not on the driver."""
        return dict(self.nodes[0].environment)

    @property
    def whole_node(self) -> dict[str, int]:
        """What Ray is asked for, so that nothing else runs on a node meanwhile."""
        return {"num_cpus": self.nodes[0].cpus, "num_gpus": int(self.takes_gpu)}

    @property
    def only_its_nodes(self) -> dict[str, str]:
        """Ray's label selector of the nodes that were there when we began: one that joins later is not described."""
        return {"ray.io/node-id": f"in({','.join(node.id for node in self.nodes)})"}

    def place(self, selection: Selection) -> NodeResources:
        """What a worker may use, with the share of each node."""
        return NodeResources(selection.resources, {node.id: node.share for node in self.nodes})

    def describe(self) -> Iterator[str]:
        """Lines for the user."""
        where = f"{self.ranks} of them" if self.ranks > 1 else "each"
        count = f"{len(self.nodes)} node{'s' * (len(self.nodes) > 1)}"
        yield (
            f"Cluster: {count} of {self.nodes[0].cpus} CPUs{' and a GPU' * self.takes_gpu}, one cell at a time on"
            f" {where}: {', '.join(node.name for node in self.nodes)}."
        )
        for reason in sorted({node.processors.reason for node in self.nodes if node.processors.reason}):
            yield f"Threads by default: {reason}."
        if self.left_out:
            names = ", ".join(f"{node.name} ({node.cpus} CPUs, {node.gpus} GPUs)" for node in self.left_out)
            yield f"Left out, since a cell takes as much on every node: {names}."
        nice = [node.name for node in self.nodes if node.niceness > 0]
        if nice:
            yield f"At a lower priority on {', '.join(nice)}: start Ray there with RAY_worker_niceness=0."


@contextlib.contextmanager
def connect(address: str, selection: Selection, threads: int | None) -> Iterator[tuple[Cluster, Selection]]:
    """The cluster at the address and the selection with the resources of a cell there.

    Raises ConfigurationError where Ray is not installed, the cluster cannot be reached or cannot do what is asked.
    """
    _check_installed()
    if selection.resources.device.startswith("cuda:"):
        raise ConfigurationError(
            f"--device {selection.resources.device}: on a cluster Ray picks the GPU; allowed: auto, cpu, cuda"
        )
    if address != LOCAL:
        _check_address(address)
    # Ray takes TERM for itself.
    earlier = signal.getsignal(signal.SIGTERM)
    try:
        _start(address)
        yield _describe_cluster(selection, threads)
    finally:
        _leave()
        signal.signal(signal.SIGTERM, earlier)


def hide_address(arguments: Sequence[str]) -> list[str]:
    """A command's arguments with the cluster's address, which is nobody's business, as ADDRESS."""
    hidden = list(arguments)
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--cluster" and equals and value != LOCAL:
            hidden[place] = "--cluster=ADDRESS"
        elif place and arguments[place - 1] == "--cluster" and argument != LOCAL:
            hidden[place] = "ADDRESS"
    return hidden


def _check_installed() -> None:
    if importlib.util.find_spec("ray") is None:
        raise ConfigurationError("--cluster needs Ray, which is not installed; pip install '.[cluster]' installs it")


def _check_address(address: str) -> None:
    parts = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[\w.-]+):(\d{1,5})", address, re.ASCII)
    if not parts or not 0 < int(parts[2]) < 2**16:
        raise ConfigurationError(f"--cluster {address!r}: {ALLOWED}")
    try:
        socket.create_connection((parts[1].strip("[]"), int(parts[2])), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        why = error.strerror or "no answer"
        raise ConfigurationError(f"--cluster {address}: nothing can be reached there ({why}); {ALLOWED}") from None
    command = [sys.executable, "-m", "ray.scripts.scripts", "status", "--address", address]
    try:
        answer = subprocess.run(command, capture_output=True, timeout=ANSWER_TIMEOUT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        answer = None
    if answer is None or answer.returncode:
        raise ConfigurationError(f"--cluster {address}: what answers there is no Ray cluster that takes us; {ALLOWED}")


def _start(address: str) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # What Ray has to say of a node that is lost would go to our standard output, among JSON that others read.
    worker: Any = importlib.import_module("ray._private.worker")
    worker._worker_logs_enabled = False
    # Of several ranks that are lost, one is told; Ray would print what nobody asks for, with addresses.
    os.environ.setdefault("RAY_IGNORE_UNHANDLED_ERRORS", "1")
    import ray
    from ray.exceptions import RayError

    own: dict[str, Any] = {}
    if address == LOCAL:
        os.environ.setdefault("RAY_worker_niceness", "0")
        # As it would be, but Ray warns of what was not said.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        own = {"num_cpus": find_processors().most, "include_dashboard": False}
    try:
        ray.init(address=address, **own, **QUIET)
    except (OSError, RuntimeError, ValueError, AssertionError, RayError) as error:
        why = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"--cluster {address}: Ray could not join it: {why}; {ALLOWED}") from None


def _leave() -> None:
    import ray

    ray.shutdown()


def _describe_cluster(selection: Selection, threads: int | None) -> tuple[Cluster, Selection]:
    device = selection.resources.device
    nodes = _ask_nodes([backend.name for backend in selection.backends])
    chosen, left_out = choose_nodes(nodes, device)
    placed = place_nodes(chosen)
    refuse_other_code(placed, suite_digest())
    resources = fit_threads(selection.resources, threads, placed)
    refuse_ranks(resources.ranks, placed)
    cluster = Cluster(placed, left_out, takes_gpu(placed, device), resources.ranks)
    return cluster, replace(selection, resources=resources)


def _ask_nodes(backends: list[str]) -> list[Node]:
    """Every node that answers, by what it says of itself. Raises ConfigurationError where one cannot run the suite."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    counted = sorted((node for node in ray.nodes() if node["Alive"]), key=lambda node: str(node["NodeID"]))
    remote = ray.remote(num_cpus=0, max_retries=0)(describe_node)
    asked = []
    for node in counted:
        there = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
        asked.append(remote.options(scheduling_strategy=there).remote(backends))
    ray.wait(asked, num_returns=len(asked), timeout=ANSWER_TIMEOUT_S)
    answers = [(node, _read_answer(task)) for node, task in zip(counted, asked, strict=True)]
    return [_read_node(node, answer, ray.__version__) for node, answer in answers if answer]


def _read_answer(task: Any) -> NodeDescription | None:
    """None from a node that does not answer: one that has just died is still counted for a while."""
    import ray
    from ray.exceptions import RayError, RayTaskError

    try:
        return msgspec.json.decode(ray.get(task, timeout=0), type=NodeDescription)
    except RayTaskError as error:
        cause = error.cause or error
        why = one_line(f"{type(cause).__name__}: {cause}")[:200]
        raise ConfigurationError(f"a node of the cluster cannot run this suite: {why}") from None
    except RayError:
        return None


def _read_node(counted: Mapping[str, Any], told: NodeDescription, version: str) -> Node:
    offered = counted["Resources"]
    return Node(
        id=counted["NodeID"],
        cpus=int(offered.get("CPU", 0)),
        gpus=int(offered.get("GPU", 0)),
        machine=told.machine,
        processors=told.processors,
        environment=told.environment,
        versions=told.versions,
        code=told.code,
        ray=version,
        niceness=told.niceness,
    )
