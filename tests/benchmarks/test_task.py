"""What the task costs beside a training step. Times are reported, never asserted."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from harness.task.copy_task import CopyTask

TASK = CopyTask(bits=8, min_length=1, max_length=20)


@pytest.mark.benchmark(group="task", max_time=0.3)
def test_a_training_batch_of_100(benchmark: BenchmarkFixture) -> None:
    batch = benchmark(TASK.batch, seed=0, step=17, size=100)
    assert batch.inputs.shape == (100, 42, 10)


@pytest.mark.benchmark(group="task", max_time=0.3)
def test_an_evaluation_batch_of_100_at_six_times_the_longest_length(benchmark: BenchmarkFixture) -> None:
    batch = benchmark(TASK.evaluation_batch, seed=0, length=120, size=100)
    assert batch.inputs.shape == (100, 242, 10)
