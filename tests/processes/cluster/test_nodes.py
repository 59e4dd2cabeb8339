"""Which nodes are measured on, and where each pins its workers."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import asdict

from harness.machine import Processors
from harness.processes.cluster.nodes import (
    Node,
    choose_nodes,
    fit_threads,
    place_nodes,
    refuse_other_code,
    refuse_ranks,
    takes_gpu,
)
from harness.processes.process import Resources
from harness.records.structs import Making
from harness.task.presets import ConfigurationError


def make_node(name: str, cpus: int = 4, gpus: int = 0, **changes: Any) -> Node:
    environment = {
        "cpu": "a processor",
        "physical_cores": 4,
        "logical_cores": 8,
        "memory_bytes": 1,
        "gpu": {"devices": [{"name": "a GPU"}] * gpus},
    }
    known: dict[str, Any] = {
        "machine": name,
        "processors": Processors(order=tuple(range(8)), n_cores=4, n_performance=4),
        "environment": environment,
        "versions": {"torch": {"torch": "1"}},
        "code": "same",
        "ray": "2",
    }
    return Node(name.ljust(56, "0"), cpus, gpus, **{**known, **changes})


def test_the_nodes_with_the_most_cpus_are_taken_and_the_others_named() -> None:
    large, small, also_large, driver = make_node("a", 8), make_node("b", 4), make_node("c", 8), make_node("d", 0)
    assert choose_nodes([large, small, also_large, driver], "auto") == ([large, also_large], [small])


def test_a_gpu_is_taken_where_there_is_one_unless_the_cpu_is_asked_for() -> None:
    with_gpu, larger = make_node("a", 4, gpus=2), make_node("b", 8)
    assert choose_nodes([with_gpu, larger], "auto") == ([with_gpu], [larger])
    assert choose_nodes([with_gpu, larger], "cuda") == ([with_gpu], [larger])
    assert choose_nodes([with_gpu, larger], "cpu") == ([larger], [with_gpu])
    assert takes_gpu([with_gpu], "auto")
    assert not takes_gpu([larger], "auto")
    assert with_gpu.describe().gpus == ["a GPU", "a GPU"]


@pytest.mark.parametrize(
    ("node", "device", "lacking"), [(make_node("a", 0), "auto", "CPU"), (make_node("a"), "cuda", "GPU")]
)
def test_a_cluster_without_what_is_asked_for_is_refused(node: Node, device: str, lacking: str) -> None:
    with pytest.raises(ConfigurationError, match=f"no node of the cluster offers Ray a {lacking}"):
        choose_nodes([node], device)


def test_nodes_of_one_machine_share_no_processor() -> None:
    nodes = [make_node(name, 4, machine=machine) for name, machine in (("a", "one"), ("b", "two"), ("c", "one"))]
    placed = place_nodes(nodes)
    threads = fit_threads(Resources(), None, placed).threads
    assert [node.processors.share(node.share, threads) for node in placed] == [[0, 1], [0, 1], [2, 3]]
    with pytest.raises(ConfigurationError, match="offered 12 CPUs of its machine, which has 8"):
        place_nodes([*nodes, make_node("d", 4, machine="one")])


def test_threads_are_those_asked_for_or_the_default_of_the_least_node() -> None:
    nodes = [make_node("a", 8), make_node("b", 8)]
    assert fit_threads(Resources(), None, nodes).threads == 4
    assert fit_threads(Resources(), 6, nodes).threads == 6
    with pytest.raises(ConfigurationError, match="--threads 9: a cell may use 1 to 8 processors"):
        fit_threads(Resources(), 9, nodes)
    limited = [*nodes, make_node("c", 8, processors=Processors(tuple(range(8)), 4, 4, quota=2.5))]
    assert fit_threads(Resources(), None, limited).threads == 2
    with pytest.raises(ConfigurationError, match="--threads 3: a cell may use 1 to 2 processors"):
        fit_threads(Resources(), 3, limited)


def test_more_ranks_than_nodes_are_refused() -> None:
    refuse_ranks(2, [make_node("a"), make_node("b")])
    with pytest.raises(ConfigurationError, match=r"--ranks 3: each takes a node of its own, .* has 2 .*: 1 to 2"):
        refuse_ranks(3, [make_node("a"), make_node("b")])


def test_a_node_with_other_code_is_refused() -> None:
    refuse_other_code([make_node("a")], "same")
    with pytest.raises(ConfigurationError, match="node b0000"):
        refuse_other_code([make_node("a"), make_node("b", code="other")], "same")


def test_what_is_written_of_a_node_is_its_hardware() -> None:
    node = make_node("a", machine="whose it is")
    assert asdict(node.describe()) == {
        "node": "a00000000000",
        "cpu": "a processor",
        "physical_cores": 4,
        "logical_cores": 8,
        "cpus": 4,
        "gpus": [],
        "memory_bytes": 1,
        "ray": "2",
    }
    assert node.made_with("torch") == Making({"torch": "1"}, "a processor")
