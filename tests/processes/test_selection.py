"""The processors that a command takes on machines with two threads a core and in containers with a quota."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from harness.commands.announcement import describe_processors
from harness.machine import topology
from harness.processes.options import ChosenOptions
from harness.processes.selection import parse_seeds, select_resources
from tests.command import SMALL, harness, invoke

ASKED = ChosenOptions(device="cpu")
needs_two = pytest.mark.skipif(
    not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2, reason="this machine has one processor"
)

Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """A function that makes this a machine of those processors, processor n on core n modulo n_cores."""

    def be(processors: list[int], *, n_cores: int | None = None, quota: float | None = None) -> None:
        monkeypatch.setattr(topology, "available_cpus", lambda: processors)
        monkeypatch.setattr(topology, "_core", lambda _, number: str(number % (n_cores or len(processors))))
        monkeypatch.setattr(topology, "_performance_cores", lambda available, _: {*available})
        monkeypatch.setattr(topology, "describe_limits", lambda _: {"cpus": quota, "memory_bytes": None})

    return be


def test_a_cell_has_a_thread_on_each_core_and_is_told_so(machine: Machine) -> None:
    machine([0, 1, 2, 3], n_cores=2)
    resources = select_resources(ASKED)
    assert resources.cpus() == [0, 1]
    expected = "Processors: 0-1 (one on each of 2 physical cores, of 4 logical processors)."
    assert describe_processors(resources) == expected


def test_more_threads_than_cores_are_had_for_the_asking(machine: Machine) -> None:
    machine([0, 1, 2, 3], n_cores=2)
    resources = select_resources(replace(ASKED, threads=3))
    assert resources.cpus() == [0, 1, 2]
    assert describe_processors(resources) == "Processors: 0-2."


def test_ranks_share_the_cores_and_not_one_core_s_two_threads(machine: Machine) -> None:
    machine([0, 1, 2, 3], n_cores=2)
    resources = select_resources(replace(ASKED, ranks=2))
    assert [resources.of_rank(rank).cpus() for rank in range(2)] == [[0], [1]]
    assert describe_processors(resources).startswith("Processors of each rank: 0; 1 (one on each of 2")


def test_ranks_share_what_the_quota_pays_for(machine: Machine) -> None:
    machine([0, 1, 2, 3], quota=1.0)
    resources = select_resources(replace(ASKED, ranks=2))
    assert [resources.of_rank(rank).cpus() for rank in range(2)] == [[0], [0]]


def test_a_seed_that_is_named_twice_is_trained_once() -> None:
    assert parse_seeds("3, 0,3,0") == [3, 0]


@pytest.mark.parametrize(
    ("quota", "allowed"),
    [(1.0, "1 processor: the control group allows 1"), (2.5, "1 to 2 processors: the control group allows 2.5")],
)
def test_more_threads_than_the_quota_allows_are_refused(
    quota: float, allowed: str, machine: Machine, tmp_path: Path
) -> None:
    machine([0, 1, 2, 3], quota=quota)
    result = invoke("run", "--backend", "reference", "--threads", "3", "--out", tmp_path / "run")
    assert result.exit_code == 2
    assert f"--threads 3: this process may use {allowed} processor" in result.output.splitlines()[-1]
    assert list(tmp_path.iterdir()) == []


@needs_two
def test_a_run_under_a_quota_says_which_processors_it_takes_and_why(
    machine: Machine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A run in this process waits for a quiet machine and times every framework's products, as no other of the tests.
    monkeypatch.setattr("harness.commands.run.await_quiet", lambda say: 0.0)
    monkeypatch.setattr("harness.processes.ceiling.FRAMEWORKS", ())
    available = sorted(os.sched_getaffinity(0))
    machine(available, quota=1.5)
    result = invoke("run", "--backend", "reference", "--device", "cpu", *SMALL, "--out", tmp_path / "run")
    assert f"Processors: {available[0]} (the control group allows 1.5 processors)." in result.output
    description = json.loads((tmp_path / "run" / "run.json").read_text())
    assert description["resources"]["threads"] == 1
    [path] = (tmp_path / "run" / "cells").glob("*.json")
    assert json.loads(path.read_text())["settings"]["cpus"] == available[:1]


def test_env_says_which_processors_a_cell_takes_and_why(machine: Machine) -> None:
    machine([0, 1, 2, 3], n_cores=2)
    lines = invoke("env").output.splitlines()
    told = {tuple(line.split("  ", 1)) for line in lines if line.startswith("cell processors")}
    assert {(name, text.strip()) for name, text in told} == {
        ("cell processors", "0, 1"),
        ("cell processors reason", "one on each of 2 physical cores, of 4 logical"),
    }


@needs_two
def test_a_library_that_takes_other_processors_is_recorded_and_warned_of(tmp_path: Path) -> None:
    result = harness("run", "--backend", "straying", "--threads", "1", *SMALL, "--out", tmp_path / "run")
    [path] = (tmp_path / "run" / "cells").glob("*.json")
    record = json.loads(path.read_text())
    assert (record["status"], len(record["cpus_asked"])) == ("ok", 1)
    assert {*record["settings"]["cpus"]} >= os.sched_getaffinity(0)
    for text in (result.stdout, (tmp_path / "run" / "report.md").read_text()):
        assert "Other processors or threads than asked for: 1 of 1 cell;" in " ".join(text.split())
