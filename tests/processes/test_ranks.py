"""Cells of several ranks with real processes: those that train together, and those that leave each other alone."""

from __future__ import annotations

import re
import time
from pathlib import Path

import numpy as np
import pytest
from msgspec import Raw
from processes import Marked, ends

from backends import Backend, find_backend
from backends.contract import Group
from harness.machine import Processors, find_processors
from harness.processes import ranks
from harness.processes.process import Outcome, Resources
from harness.processes.ranks import Meeting, free_addresses, judge_ranks, rank_log
from harness.processes.runner import run_cell
from harness.records.identity import PlannedCell
from harness.records.messages import Failed
from harness.task.copy_task import CopyTask
from harness.task.recipe import ModelConfig, RunConfig, TrainConfig
from tests.frameworks import each_implementation
from tests.outcomes import measured

CONFIG = RunConfig(
    task=CopyTask(max_length=3),
    model=ModelConfig(layers=3, hidden=8, input_scale=2.0),
    train=TrainConfig(batch=6, steps=12, chunk=4, learning_rate=3e-3),
)


def run_ranks(name: str, tmp_path: Path, n_ranks: int = 2) -> Outcome:
    cell = PlannedCell(find_backend(name), "idiomatic", "float32", 0, 0)
    return run_cell(cell, CONFIG, Resources("cpu", 1, 60.0, ranks=n_ranks), tmp_path / "cell.log", lambda _: None)


@pytest.mark.parametrize(("backend", "implementation"), each_implementation())
def test_two_ranks_train_as_one_process_does(backend: Backend, implementation: str, tmp_path: Path) -> None:
    cell = PlannedCell(backend, implementation, "float32", 0, 0)
    alone, together = (
        run_cell(cell, CONFIG, Resources("cpu", 1, 250.0, ranks=n), tmp_path / f"{n}.log", lambda _: None)
        for n in (1, 2)
    )
    assert (alone.reason, together.reason) == (None, None)
    ours, single = measured(together), measured(alone)
    np.testing.assert_allclose(ours.losses, single.losses, rtol=1e-5)
    for name, array in alone.arrays.items():
        distance = np.linalg.norm(together.arrays[name] - array) / np.linalg.norm(array)
        assert distance <= 1e-4, name
    assert (ours.ranks, len(ours.exchanges_s)) == (2, 10)
    assert (single.ranks, single.exchanges_s) == (1, [])


def test_each_rank_is_handed_its_rows_and_processors(tmp_path: Path) -> None:
    outcome = run_ranks("together", tmp_path)
    settings = measured(outcome).settings or {}
    assert (outcome.status, settings["group_size"]) == ("ok", 2)
    logs = [rank_log(tmp_path / "cell.log", rank).read_text().split("\n") for rank in (0, 1)]
    expected = CONFIG.task.batch(seed=0, step=0, size=6).inputs
    assert [log[0] for log in logs] == [f"3 rows from {expected[first, 1, 2:].sum():.3f}" for first in (0, 3)]
    assert settings["cpus"] == find_processors().share(0, 1)


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("linear", "unsupported", "rank [01]: this backend trains in one process: its build takes no group"),
        ("deserting", "killed", r"rank 1: killed by signal 9 \(SIGKILL\)"),
        ("disagreeing", "failed", "ranks 0 and 1 disagree on lstm.0.kernel"),
    ],
)
def test_a_fault_of_a_rank_is_the_cells(
    name: str, status: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = Marked()
    monkeypatch.setenv(marked.variable, "1")
    outcome = run_ranks(name, tmp_path)
    assert outcome.status == status
    assert re.fullmatch(reason, str(outcome.reason))
    assert ends(lambda: not marked.pids())


def test_a_rank_that_never_arrives_ends_the_cell_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marked = Marked()
    monkeypatch.setenv(marked.variable, "1")
    monkeypatch.setattr(ranks, "MEETING_TIMEOUT_S", 5.0)
    outcome = run_ranks("stranded", tmp_path)
    assert (outcome.status, outcome.reason) == ("timeout", "the ranks did not connect within 5 s")
    assert ends(lambda: not marked.pids())


def test_the_ranks_that_are_absent_are_named() -> None:
    meeting = Meeting(3, timeout_s=0.01)
    meeting.tell(1, "started")
    time.sleep(0.02)
    assert meeting.is_over()
    failure = meeting.failure()
    assert failure is not None
    assert failure.reason == "rank 0, 2 did not start within 0.01 s"


def test_ranks_that_have_met_are_not_late() -> None:
    meeting = Meeting(2, timeout_s=0.01)
    for rank in (0, 1):
        meeting.tell(rank, "connected")
    time.sleep(0.02)
    assert not meeting.is_over()
    assert meeting.failure() is None


def test_one_rank_alone_meets_nobody_and_is_not_named() -> None:
    meeting = Meeting(1, timeout_s=0.01)
    time.sleep(0.02)
    assert not meeting.is_over()
    killed = Outcome("killed", "killed by signal 9 (SIGKILL)")
    assert judge_ranks([killed], meeting.failure()) == killed


def test_the_most_telling_failure_is_the_cells() -> None:
    lost = Outcome("failed", "connection reset by peer", Failed("failed", "x", Raw(b'{"losses": [0.5]}')))
    outcome = judge_ranks([lost, Outcome("killed", "killed by signal 9 (SIGKILL)")])
    assert (outcome.status, outcome.reason) == ("killed", "rank 1: killed by signal 9 (SIGKILL)")
    assert outcome.body == lost.body


def test_ranks_have_processors_of_their_own_as_long_as_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.processes.process.find_processors", lambda: Processors((2, 3, 5, 7), 4, 4))
    resources = Resources("cpu", threads=2, ranks=3)
    assert [resources.of_rank(rank).cpus() for rank in range(3)] == [[2, 3], [5, 7], [2, 3]]


def test_ranks_divide_a_batch_evenly_or_not_at_all() -> None:
    group = Group(1, tuple(free_addresses(3)), 1.0)
    assert group.rows(12) == slice(4, 8)
    with pytest.raises(ValueError, match="3 ranks do not divide a batch of 10"):
        group.rows(10)
    with pytest.raises(ValueError, match="below 3"):
        Group(3, group.addresses, 1.0)
