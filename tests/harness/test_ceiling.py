from __future__ import annotations

import time
from pathlib import Path

import pytest

from backends import BACKENDS
from harness import ceiling
from harness.config import ModelConfig, RunConfig, TrainConfig
from harness.plan import Cell
from harness.process import Resources
from harness.runner import run_cell
from harness.task import CopyTask
from tests.frameworks import each_framework

CONFIG = RunConfig(CopyTask(max_length=2), ModelConfig(1, 4), train=TrainConfig(batch=3, steps=2, chunk=1))


def test_the_products_are_those_of_one_time_step_and_of_all() -> None:
    assert ceiling.product_shapes(RunConfig()) == [(100, 256, 1024), (4200, 256, 1024)]


def test_calls_are_timed_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    assert len(ceiling.time_calls(lambda: calls.append(1))) == ceiling.N_CALLS
    assert len(calls) == ceiling.N_CALLS + ceiling.WARMUP_CALLS
    monkeypatch.setattr(ceiling, "TIME_LIMIT_S", 0.02)
    assert 1 <= len(ceiling.time_calls(lambda: time.sleep(0.005))) <= 5


def test_a_backend_without_a_product_has_no_samples() -> None:
    assert ceiling.measure_ceiling(BACKENDS["reference"], CONFIG, device="cpu", precision="float32") == []


@pytest.mark.parametrize("name", each_framework())
def test_every_cell_of_a_framework_brings_the_rate_of_its_products(name: str, tmp_path: Path) -> None:
    cell = Cell(BACKENDS[name], "idiomatic", "float32", 0, 0)
    outcome = run_cell(cell, CONFIG, Resources("cpu", 1), tmp_path / "cell.log", lambda _: None)
    assert outcome.status == "ok", outcome.reason
    samples = outcome.body["ceiling"]
    assert [(sample["m"], sample["k"], sample["n"]) for sample in samples] == [(3, 4, 16), (18, 4, 16)]
    assert all(sample["seconds"] > 0 and sample["calls"] > 0 for sample in samples)
