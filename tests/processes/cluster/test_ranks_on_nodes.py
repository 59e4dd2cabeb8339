"""Cells of two ranks on two nodes of a real cluster: they train as one process does, and a rank may be lost."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import numpy as np
import pytest
from processes import ends

from backends import BACKENDS
from harness.processes.process import missing_reason
from tests.processes.cluster.conftest import ALL_BUT_TORCH, Nodes
from tests.processes.cluster.test_connection import refuse
from tests.processes.cluster.test_run import LONGER, finish, record, start

pytestmark = pytest.mark.cluster

RANKS = ["--ranks", "2", "--threads", "1", "--device", "cpu", "--implementation", "idiomatic", *LONGER]
HELD = ["--backend", "held_together", *RANKS]


def are_free(nodes: Nodes) -> bool:
    """Whether nothing holds a processor of the nodes."""
    import ray
    from ray.util.placement_group import placement_group_table

    ray.init(address=nodes.address, logging_level="ERROR", log_to_driver=False)
    try:
        states = {group["state"] for group in placement_group_table().values()}
        return bool(ray.available_resources().get("CPU") == len(nodes.workers) and states <= {"REMOVED"})
    finally:
        ray.shutdown()


@pytest.mark.framework
@pytest.mark.skipif(bool(BACKENDS["torch"].missing_packages()), reason=missing_reason(BACKENDS["torch"], ["torch"]))
def test_two_ranks_train_as_one_process_does_and_one_that_is_killed_ends_its_cell_alone(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN_PACKAGES", ALL_BUT_TORCH)
    asked, folder = ["--backend", "torch,deserting", *RANKS], tmp_path / "together"
    finish(start("run", "--backend", "torch", *RANKS, "--ranks", "1", "--out", str(tmp_path / "alone")))
    told = finish(start("run", *asked, "--cluster", nodes.address, "--out", str(folder)), 1)
    assert "one cell at a time on 2 of them" in told
    assert "torch idiomatic float32: verified" in told
    cell = "torch-idiomatic-float32-seed0-r0"
    alone, together = record(tmp_path / "alone", cell), record(folder, cell)
    np.testing.assert_allclose(together["losses"], alone["losses"], rtol=1e-5)
    assert (together["ranks"], len(together["exchanges_s"]), together["verified"]) == (2, 10, True)
    assert {*together["nodes"]} == {*nodes.workers}
    assert together["node"] == together["nodes"][0]
    assert {path.name for path in (folder / "logs").glob("torch*")} == {f"{cell}.log", f"{cell}.rank1.log"}
    killed = record(folder, "deserting-idiomatic-float32-seed0-r0")
    assert (killed["status"], killed["reason"]) == ("killed", "rank 1: killed by signal 9 (SIGKILL)")
    assert not nodes.measuring()
    host, _, _ = nodes.address.rpartition(":")
    for path in folder.rglob("*"):
        assert not path.is_file() or host.encode() not in path.read_bytes(), f"{path.name} holds an address"
    finish(start("check", str(folder)))
    assert ends(lambda: are_free(nodes))


def test_a_node_that_dies_ends_its_cell_and_what_too_few_are_left_for(nodes: Nodes, tmp_path: Path) -> None:
    (nodes.held_in / "hold").touch()
    folder = tmp_path / "run"
    with start("run", *HELD, "--seeds", "0,1", "--cluster", nodes.address, "--out", str(folder)) as process:
        assert ends((nodes.held_in / "held").exists)
        [log] = (folder / "logs").iterdir()
        [(first, second)] = re.findall(r"on nodes (\w+), (\w+);", log.read_text())
        nodes.kill(second)
        finish(process, 1)
    records = [json.loads(path.read_text()) for path in (folder / "cells").glob("*.json")]
    other, killed = sorted(records, key=lambda each: str(each["status"]))
    assert (killed["status"], killed["reason"], killed["node"]) == ("killed", f"rank 1: node {second} died", first)
    assert (other["status"], other["reason"]) == ("failed", "too few nodes of the cluster were left for its 2 ranks: 1")
    assert not nodes.measuring()
    finish(start("check", str(folder)))


def test_a_signal_ends_every_rank(nodes: Nodes, tmp_path: Path) -> None:
    (nodes.held_in / "hold").touch()
    folder = tmp_path / "run"
    with start("run", *HELD, "--cluster", nodes.address, "--out", str(folder)) as process:
        assert ends((nodes.held_in / "held").exists)
        assert nodes.measuring()
        process.send_signal(signal.SIGTERM)
        assert "SIGTERM: 0 of 1 cell done" in finish(process, 143)
    assert not nodes.measuring()
    assert not [*(folder / "cells").iterdir()]


def test_a_rank_that_never_arrives_ends_its_cell_in_time(nodes: Nodes, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.processes.cluster import connect
    from harness.processes.cluster.cells import train_cells
    from harness.processes.options import ChosenOptions
    from harness.processes.selection import select
    from harness.records.identity import PlannedCell

    monkeypatch.setattr("harness.processes.ranks.MEETING_TIMEOUT_S", 5.0)
    named = {"backends": "stranded", "implementation": "idiomatic", "device": "cpu"}
    options = ChosenOptions(ranks=2, threads=1, cluster=nodes.address, **named)
    with connect(nodes.address, select(options), 1) as (cluster, selection):
        cell = PlannedCell(selection.backends[0], "idiomatic", "float32", 0, 0)
        begun, ended = train_cells(cluster, [cell], selection)
    assert {*begun.nodes} == {*nodes.workers}
    assert (ended.outcome.status, ended.outcome.reason) == ("timeout", "the ranks did not connect within 5 s")
    assert len(ended.logs) == 2
    assert not nodes.measuring()


def test_more_ranks_than_nodes_are_refused(nodes: Nodes, tmp_path: Path) -> None:
    line = refuse(tmp_path / "run", "--cluster", nodes.address, "--ranks", "4")
    assert line == ("Error: --ranks 4: each takes a node of its own, and the cluster has 2 for them; allowed: 1 to 2")
