"""Runs on two nodes of a real cluster, with nodes that die and signals that come."""

from __future__ import annotations

import json
import re
import signal
import subprocess
from pathlib import Path
from subprocess import PIPE
from typing import Any

import pytest
from processes import ends

from backends import BACKENDS
from tests.command import SMALL, command, environment, read_rows, settings
from tests.processes.cluster.conftest import ALL_BUT_TORCH, Nodes

pytestmark = pytest.mark.cluster

LONGER = [*SMALL, *settings({"train.steps": 24, "train.chunk": 4})]
HELD = ["--backend", "reference,held"]
HELD_CELL, OTHER_CELL = "held-idiomatic-float32-seed0-r0", "reference-idiomatic-float32-seed0-r0"
# Nothing that a clock or a memory counter had a part in.
QUALITY = {
    "summary": "backend implementation precision device status seeds train_loss original_loss bits_per_sequence "
    "bit_error n_parameters verified cells",
    "loss": "backend implementation precision seed repeat step sequences train_loss",
    "bit_error_by_length": "backend implementation precision seed length sequences bit_error exact_fraction "
    "bits_per_sequence",
    "timeline": "cell backend implementation precision seed repeat status",
}


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(command(*arguments), env=environment(), stdout=PIPE, stderr=PIPE, text=True)


def finish(process: subprocess.Popen[str], exit_code: int = 0) -> str:
    output, errors = process.communicate(timeout=120)
    assert process.returncode == exit_code, output + errors
    assert "Traceback" not in output + errors
    return " ".join(output.split())


def record(folder: Path, cell: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "cells" / f"{cell}.json").read_text())
    return content


def quality(folder: Path) -> dict[str, list[list[str]]]:
    """The rows in the columns that are the same each time, sorted: the report sorts by speed."""
    tables = {}
    for name, columns in QUALITY.items():
        rows = read_rows(folder / "tables" / f"{name}.csv")
        tables[name] = sorted([row[column] for column in columns.split()] for row in rows)
    return tables


@pytest.mark.framework
@pytest.mark.skipif(
    bool(BACKENDS["torch"].missing_packages()), reason="torch is not installed; pip install '.[torch]' installs it"
)
def test_two_nodes_give_the_tables_that_one_machine_gives(
    nodes: Nodes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HIDDEN_PACKAGES", ALL_BUT_TORCH)
    asked = ["--backend", "torch,reference", "--implementation", "idiomatic", "--threads", "1", "--device", "cpu"]
    asked += LONGER
    finish(start("run", *asked, "--out", str(tmp_path / "plain")))
    told = finish(start("run", *asked, "--cluster", nodes.address, "--out", str(tmp_path / "spread")))
    assert quality(tmp_path / "spread") == quality(tmp_path / "plain")
    assert told.count(": ok in ") == 2
    records = [record(tmp_path / "spread", f"{name}-idiomatic-float32-seed0-r0") for name in ("torch", "reference")]
    assert {each["node"] for each in records} == {*nodes.workers}
    samples = json.loads((tmp_path / "spread" / "ceiling.json").read_text())["samples"]
    assert {(sample["backend"], sample["after"]) for sample in samples} == {("torch", None)}
    # Two nodes of one machine pin their workers apart.
    assert sorted(each["settings"]["cpus"] for each in records) == [[0], [1]]
    described = json.loads((tmp_path / "spread" / "run.json").read_text())
    assert {node["node"] for node in described["nodes"]} == {*nodes.workers}
    host, _, _ = nodes.address.rpartition(":")
    for path in (tmp_path / "spread").rglob("*"):
        assert not path.is_file() or host.encode() not in path.read_bytes(), f"{path.name} holds the cluster's address"
    finish(start("check", str(tmp_path / "spread")))


def test_a_node_that_dies_fails_its_cell_alone_and_resume_takes_it_up(nodes: Nodes, tmp_path: Path) -> None:
    (nodes.held_in / "hold").touch()
    folder = tmp_path / "run"
    with start("run", *HELD, *LONGER, "--cluster", nodes.address, "--out", str(folder), "--json") as process:
        assert ends((nodes.held_in / "held").exists)
        assert ends((folder / "cells" / f"{OTHER_CELL}.json").exists)
        begun = (folder / "logs" / f"{HELD_CELL}.log").read_text()
        [name] = re.findall(r"on node (\w+)", begun)
        nodes.kill(name)
        output, errors = process.communicate(timeout=120)
    assert process.returncode == 1, errors
    rows = {row["backend"]: row for row in json.loads(output)["summary"]}
    assert rows["reference"]["status"] == "ok"
    killed = record(folder, HELD_CELL)
    assert (killed["status"], killed["reason"], killed["node"]) == ("killed", f"node {name} died", name)
    assert ends(lambda: not nodes.measuring())
    finish(start("check", str(folder)))

    (nodes.held_in / "hold").unlink()
    complete = (folder / "cells" / f"{OTHER_CELL}.json").read_bytes()
    resumed = finish(start("run", "--resume", str(folder), *HELD, "--cluster", nodes.address))
    assert f"{OTHER_CELL}: complete, kept" in resumed
    assert f"{HELD_CELL}: rerun: its process was killed" in resumed
    assert (folder / "cells" / f"{OTHER_CELL}.json").read_bytes() == complete
    again = record(folder, HELD_CELL)
    assert (again["status"], again["attempt"]) == ("ok", 2)
    assert again["node"] in nodes.workers
    assert sorted(path.name for path in (folder / "attempts").iterdir()) == [
        f"{HELD_CELL}.1.json",
        f"{HELD_CELL}.1.log",
    ]
    finish(start("check", str(folder)))


def test_a_signal_ends_what_runs_on_the_nodes_and_reports_what_is_done(nodes: Nodes, tmp_path: Path) -> None:
    (nodes.held_in / "hold").touch()
    folder = tmp_path / "run"
    with start("run", *HELD, *LONGER, "--cluster", nodes.address, "--out", str(folder)) as process:
        assert ends((nodes.held_in / "held").exists)
        assert ends((folder / "cells" / f"{OTHER_CELL}.json").exists)
        process.send_signal(signal.SIGTERM)
        output = finish(process, 143)
    assert "SIGTERM: 1 of 2 cells done" in output
    assert ends(lambda: not nodes.measuring())
    assert not (folder / "cells" / f"{HELD_CELL}.json").exists()
    assert (folder / "report.html").exists()


def test_a_run_that_is_killed_leaves_nothing_on_the_nodes(nodes: Nodes, tmp_path: Path) -> None:
    (nodes.held_in / "hold").touch()
    asked = ["--backend", "held", *LONGER, "--cluster", nodes.address]
    with start("run", *asked, "--out", str(tmp_path / "run")) as process:
        assert ends((nodes.held_in / "held").exists)
        assert nodes.measuring()
        process.kill()
    assert ends(lambda: not nodes.measuring())
