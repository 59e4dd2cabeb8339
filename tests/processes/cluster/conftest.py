"""Ray's own test cluster: a head that offers no CPU, and two nodes of one CPU each, all on this machine."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

PROJECT = Path(__file__).parents[3]
# The nodes train with no other framework, and would time the products of each.
ALL_BUT_TORCH = "tensorflow,jax"


@dataclass
class Nodes:
    """The cluster, the folder its fake backend is held by, and the nodes that are measured on, by shortened id."""

    cluster: Any
    held_in: Path
    workers: dict[str, Any]

    @property
    def address(self) -> str:
        return str(self.cluster.address)

    def add(self) -> None:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("HIDDEN_PACKAGES", ALL_BUT_TORCH)
            node = self.cluster.add_node(num_cpus=1)
        self.workers[node.node_id[:12]] = node

    def kill(self, name: str) -> None:
        self.cluster.remove_node(self.workers.pop(name), allow_graceful=False)

    def measuring(self) -> list[int]:
        """The processes that were started to measure."""
        found = []
        for process in psutil.process_iter():
            try:
                ours = process.environ().get("HELD_IN") == str(self.held_in)
                if ours and "harness.cells.worker" in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process.pid)
            except psutil.Error:
                continue
        return found


@pytest.fixture(scope="session")
def whole_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nodes]:
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed; pip install '.[cluster]' installs it")
    if (os.cpu_count() or 1) < 2:
        pytest.skip("two nodes need two processors")
    from ray.cluster_utils import Cluster

    held_in = tmp_path_factory.mktemp("held")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(PROJECT), os.environ["PYTHONPATH"]]))
        patch.setenv("HELD_IN", str(held_in))
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
        try:
            yield Nodes(cluster, held_in, {})
        finally:
            cluster.shutdown()


@pytest.fixture
def nodes(whole_cluster: Nodes) -> Nodes:
    """The cluster with two nodes to measure on, whatever an earlier test has killed."""
    while len(whole_cluster.workers) < 2:
        whole_cluster.add()
    for name in ("hold", "held"):
        (whole_cluster.held_in / name).unlink(missing_ok=True)
    return whole_cluster
