"""The nodes of a cluster: which of them are measured on, and where each pins its workers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from harness.machine import Processors
from harness.processes.process import Resources
from harness.records import structs
from harness.records.structs import Making
from harness.task.presets import ConfigurationError

SHORT_ID = 12


@dataclass(frozen=True)
class Node:
    """A node as Ray counts it, and as it says it is.

    processors are those that its processes may use, on the machine of that mark; where several nodes have the same,
    share is the number of this node among them. The mark is compared and never written anywhere. versions are those of
    each backend, code the digest of the suite there.
    """

    id: str
    cpus: int
    gpus: int
    machine: str
    processors: Processors
    environment: Mapping[str, Any]
    versions: Mapping[str, Mapping[str, str]]
    code: str
    ray: str
    niceness: int = 0
    share: int = 0

    @property
    def name(self) -> str:
        return self.id[:SHORT_ID]

    @property
    def pool(self) -> tuple[str, tuple[int, ...]]:
        """What nodes have in common that share processors."""
        return self.machine, self.processors.order

    def made_with(self, backend: str) -> Making:
        """What a cell of the backend is made with here, beside its code; as on one machine."""
        return Making(dict(self.versions.get(backend, {})), self.environment["cpu"])

    def describe(self) -> structs.Node:
        """For run.json: the hardware, and nothing that tells whose it is."""
        gpus = [device.get("name") for device in self.environment["gpu"]["devices"]]
        return structs.Node(
            node=self.name,
            cpu=self.environment["cpu"],
            physical_cores=self.environment["physical_cores"],
            logical_cores=self.environment["logical_cores"],
            cpus=self.cpus,
            gpus=gpus[: self.gpus] or ["unknown"] * self.gpus,
            memory_bytes=self.environment["memory_bytes"],
            ray=self.ray,
        )


def takes_gpu(nodes: Sequence[Node], device: str) -> bool:
    """Whether a cell takes a GPU: where it is asked for, or where it is left to us and a node has one."""
    return device.startswith("cuda") or (device == "auto" and any(node.gpus for node in nodes))


def choose_nodes(nodes: Sequence[Node], device: str) -> tuple[list[Node], list[Node]]:
    """The nodes to measure on, and those left out: a cell asks for as many CPUs as its whole node has, which is one
    number for all, so the nodes that have the most are taken. A node that gives Ray no CPU is meant to stay out.

    Raises ConfigurationError where there is none.
    """
    offered = [node for node in nodes if node.cpus]
    needs_gpu = takes_gpu(offered, device)
    able = [node for node in offered if node.gpus or not needs_gpu]
    if not able:
        lacking = "GPU" if offered else "CPU"
        raise ConfigurationError(f"--device {device}: no node of the cluster offers Ray a {lacking} for it")
    most = max(node.cpus for node in able)
    chosen = [node for node in able if node.cpus == most]
    return chosen, [node for node in offered if node not in chosen]


def place_nodes(nodes: Sequence[Node]) -> list[Node]:
    """The nodes with their shares: nodes of one machine have no processor in common, as long as
    a quota leaves each one.

    Raises ConfigurationError where they offer more than it has.
    """
    placed, offered = list[Node](), Counter[Any]()
    for node in nodes:
        placed.append(replace(node, share=sum(other.pool == node.pool for other in placed)))
        offered[node.pool] += node.cpus
        n_processors = len(node.processors.order)
        if node.processors.has_affinity and offered[node.pool] > n_processors:
            raise ConfigurationError(
                f"node {node.name}: Ray is offered {offered[node.pool]} CPUs of its machine, which has {n_processors};"
                " start Ray with --num-cpus"
            )
    return placed


def fit_threads(resources: Resources, threads: int | None, nodes: Sequence[Node]) -> Resources:
    """The resources of a cell: the threads asked for, or as many as the node has by default that has the fewest. Nodes
    that share processors share them evenly.

    Raises ConfigurationError where a node has fewer.
    """
    most = min(min(node.cpus, node.processors.most) for node in nodes)
    if threads and threads > most:
        raise ConfigurationError(f"--threads {threads}: a cell may use 1 to {most} processors of its node")
    n_sharing = Counter(node.pool for node in nodes)
    default = min(min(node.cpus, node.processors.default // n_sharing[node.pool]) for node in nodes)
    return replace(resources, threads=threads or max(1, default))


def refuse_ranks(ranks: int, nodes: Sequence[Node]) -> None:
    """Raises ConfigurationError where a cell has more ranks than there are nodes."""
    if ranks > len(nodes):
        allowed = f"1 to {len(nodes)}" if len(nodes) > 1 else "1"
        raise ConfigurationError(
            f"--ranks {ranks}: each takes a node of its own, and the cluster has {len(nodes)} for them;"
            f" allowed: {allowed}"
        )


def refuse_other_code(nodes: Sequence[Node], code: str) -> None:
    """Raises ConfigurationError for a node whose suite is not ours: it would compute something else."""
    for node in nodes:
        if node.code != code:
            raise ConfigurationError(f"node {node.name} has other code of this suite; install the same on every node")
