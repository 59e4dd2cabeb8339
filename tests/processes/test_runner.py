"""The runner with real processes and backends that misbehave."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from processes import Marked, ends, is_running

from backends import find_backend
from harness.machine import find_processors
from harness.processes import process
from harness.processes.process import Outcome, Resources, last_lines, worker_environment
from harness.processes.runner import run_cell
from harness.records.identity import PlannedCell
from harness.records.messages import Message, Phase, Progress
from harness.task.copy_task import CopyTask
from harness.task.recipe import ModelConfig, RunConfig, TrainConfig
from tests.outcomes import measured

CONFIG = RunConfig(
    task=CopyTask(max_length=2),
    model=ModelConfig(layers=1, hidden=3),
    train=TrainConfig(batch=4, steps=12, chunk=3),
)


def run_fake(name: str, tmp_path: Path, *, timeout_s: float = 60.0, listen: list[Message] | None = None) -> Outcome:
    cell = PlannedCell(find_backend(name), "idiomatic", "float32", 0, 0)
    heard: list[Message] = [] if listen is None else listen
    return run_cell(cell, CONFIG, Resources("cpu", 1, timeout_s), tmp_path / "cell.log", heard.append)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Outcome, list[Message]]:
    """A cell that was trained to the end, and what its worker told."""
    heard: list[Message] = []
    return run_fake("linear", tmp_path_factory.mktemp("good"), listen=heard), heard


def test_a_good_cell_brings_its_record_and_parameters(good: tuple[Outcome, list[Message]]) -> None:
    outcome, heard = good
    assert (outcome.status, outcome.reason) == ("ok", None)
    record = measured(outcome)
    assert record.losses == pytest.approx([0.7 * 0.99**step for step in range(12)])
    assert record.chunks is not None
    assert record.chunks.steps == [3, 3, 3, 3]
    assert record.chunks.warmup == [True, True, False, False]
    assert set(outcome.arrays) == set(CONFIG.model_spec().shapes())
    assert {type(message.body) for message in heard} <= {Progress, Phase}


def test_the_timeline_adds_up_to_the_total(good: tuple[Outcome, list[Message]]) -> None:
    timeline = measured(good[0]).timeline or {}
    parts = {"spawn_s", "import_s", "build_s", "first_step_s", "steady_s", "data_s", "evaluation_s", "other_s"}
    assert set(timeline) == parts | {"total_s"}
    assert sum(timeline[part] for part in parts) == pytest.approx(timeline["total_s"])
    assert all(timeline[part] >= 0 for part in parts)


def test_every_trained_length_and_the_longer_ones_are_evaluated(good: tuple[Outcome, list[Message]]) -> None:
    evaluation = measured(good[0]).evaluation
    assert evaluation is not None
    assert [row.length for row in evaluation.lengths] == [1, 2, 3, 4, 6, 12]
    assert [copy.length for copy in evaluation.copies] == [1, 2, 4, 12]
    assert all(0.4 < row.bit_error < 0.6 for row in evaluation.lengths)


def test_a_worker_is_pinned_to_the_processors_it_was_given(good: tuple[Outcome, list[Message]]) -> None:
    settings = measured(good[0]).settings or {}
    assert settings["cpus"] == find_processors().share(0, 1)


def test_a_timeout_ends_the_whole_process_group(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "TERMINATION_GRACE_S", 0.5)
    outcome = run_fake("hanging", tmp_path, timeout_s=4.0)
    assert outcome.status == "timeout"
    assert re.fullmatch(r"ended after 4 s; its log ends: child \d+", str(outcome.reason))
    child = int((tmp_path / "cell.log").read_text().split()[1])
    assert ends(lambda: not is_running(child))


def test_what_a_good_worker_leaves_behind_is_ended_wherever_it_went(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked = Marked()
    monkeypatch.setenv(marked.variable, "1")
    assert run_fake("littering", tmp_path).status == "ok"
    assert ends(lambda: not marked.pids())


def test_messages_without_end_do_not_outlast_the_timeout(tmp_path: Path) -> None:
    assert run_fake("reporting", tmp_path, timeout_s=3.0).status == "timeout"


def test_a_log_that_cannot_be_written_costs_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / "cell.log").symlink_to("/dev/full")
    assert run_fake("noisy", tmp_path).reason == "OSError: [Errno 28] No space left on device"


def test_a_worker_that_cannot_be_started_has_failed(tmp_path: Path) -> None:
    outcome = run_fake("linear", tmp_path / "absent")
    assert (outcome.status, outcome.reason) == (
        "failed",
        "its process could not be started: No such file or directory",
    )


def test_a_kill_while_memory_runs_out_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    counts = iter([4, 5])
    monkeypatch.setattr(process, "out_of_memory_kills", lambda: next(counts))
    outcome = run_fake("killed", tmp_path)
    assert outcome.status == "out_of_memory"
    assert outcome.reason == "killed by signal 9 (SIGKILL) while the system was out of memory"


def test_the_last_lines_are_short_printable_and_few(tmp_path: Path) -> None:
    log = tmp_path / "cell.log"
    log.write_bytes(b"\n".join([b"first", b"", b"\x1b[1mse\0cond\x1b[0m", b"x" * 999, b"\xff last\r\n"]))
    assert last_lines(log) == ["se cond", "x" * 160, "\ufffd last"]
    assert last_lines(tmp_path / "absent") == []


def test_threads_and_devices_are_set_before_the_import() -> None:
    environment = worker_environment(find_backend("tensorflow"), Resources("cpu", 3))
    assert environment["OMP_NUM_THREADS"] == environment["TF_NUM_INTRAOP_THREADS"] == "3"
    assert environment["CUDA_VISIBLE_DEVICES"] == ""
    assert environment["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    assert worker_environment(find_backend("jax"), Resources())["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert set(os.environ) <= set(environment)


def test_a_worker_is_not_told_of_ranks_that_are_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within torchrun or a TFJob a cell trains by itself, and does not wait for the launcher's other processes."""
    told = {"RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1", "MASTER_ADDR": "node-a", "MASTER_PORT": "29500"}
    told |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "TF_CONFIG": '{"cluster": {"worker": ["a:1", "b:1"]}}'}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    assert not {*told} & {*worker_environment(find_backend("torch"), Resources("cpu"))}


def test_what_chooses_an_engine_or_a_way_to_other_ranks_is_not_the_users(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"KERAS_BACKEND": "jax", "http_proxy": "http://proxy:3128", "NO_PROXY": "intranet"}.items():
        monkeypatch.setenv(name, value)
    environment = worker_environment(find_backend("tensorflow"), Resources("cpu"))
    assert environment["KERAS_BACKEND"] == "tensorflow"
    assert environment["NO_PROXY"] == "intranet,127.0.0.1,localhost,::1"
    assert environment["no_proxy"] == "127.0.0.1,localhost,::1"


@pytest.mark.parametrize(
    ("visible", "gpu", "expected"),
    [(None, 1, "1"), ("4,6", 1, "6"), ("4", 1, "4"), ("", 1, ""), ("-1", 0, ""), ("2,-1,3", 1, "2")],
)
def test_a_rank_takes_a_gpu_of_those_that_it_may_see(
    visible: str | None, gpu: int, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    seen = worker_environment(find_backend("reference"), Resources("cuda", gpu=gpu))["CUDA_VISIBLE_DEVICES"]
    assert seen == expected
