"""The suite's implementations beside what a user would otherwise write. Times are reported, never asserted.

A fresh process is one sample. The contenders of a framework take turns, in random order in every round, so that drift
falls on all alike. Without --benchmark-enable each peer only takes a few tiny steps.
"""

from __future__ import annotations

import functools
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from backends import BACKENDS, FRAMEWORKS
from harness.machine import find_processors
from harness.processes.process import Resources, worker_environment
from harness.task.copy_task import CopyTask
from harness.task.recipe import ModelConfig, RunConfig, TrainConfig
from tests.frameworks import each_framework, marks

PEER = "peer"
PEERS = {"torch": "peers.torch_loop", "tensorflow": "peers.keras_fit", "jax": "peers.flax_loop"}
TINY = RunConfig(CopyTask(max_length=2), ModelConfig(layers=1, hidden=4), train=TrainConfig(batch=2, chunk=1))
# A framework's contenders at one shape take turns for about BUDGET_S, so that all shapes of all end in some 8 minutes.
BUDGET_S, LEAST_ROUNDS, PROCESS_TIMEOUT_S = 75.0, 3, 300.0


@dataclass(frozen=True)
class Shape:
    """A recipe, Adam with its usual constants as the peers have it, and the steps that are timed in a process."""

    config: RunConfig
    steps: int


# A call of keras.Model.fit costs some 0.05 s beside its steps; these are enough to make that a small part.
SHAPES = {
    "seed": Shape(RunConfig(CopyTask(), ModelConfig(), train=TrainConfig(batch=100, chunk=2)), steps=10),
    "quick": Shape(
        RunConfig(CopyTask(max_length=5), ModelConfig(hidden=128), train=TrainConfig(batch=16, chunk=20)), steps=200
    ),
}
CONTENDERS = [
    pytest.param(framework, shape, contender, marks=marks(BACKENDS[framework]))
    for framework in FRAMEWORKS
    for shape in SHAPES
    for contender in (PEER, *BACKENDS[framework].implementations)
]


class MeasuredClock:
    """A timer for pytest-benchmark that goes on by what another process measured."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s

    def advance(self, seconds: float) -> None:
        self.now_s += seconds


@dataclass
class Rounds:
    """Step times in ms by contender, one a round; a contender that failed has its reason instead."""

    step_ms: dict[str, list[float]] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)


CLOCK = MeasuredClock()


@pytest.mark.parametrize("framework", each_framework())
def test_a_peer_takes_training_steps(framework: str) -> None:
    answer = take_sample(framework, PEER, TINY, steps=2)
    assert answer["step_ms"] > 0
    assert all(0 < loss < 1 for loss in answer["losses"])


def test_an_implementation_of_the_suite_is_timed_by_the_same_process() -> None:
    answer = take_sample("reference", "idiomatic", TINY, steps=2)
    assert answer["step_ms"] > 0
    assert answer["losses"][0] == pytest.approx(0.69, abs=0.1)


def test_a_contender_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"ModuleNotFoundError: No module named 'backends.no_such'"):
        run_measure("reference", {"module": "backends.no_such", "is_peer": False, "steps": 1}, TINY)


def test_a_comparison_is_a_ratio_with_its_interval(make_comparison: Callable[..., Any]) -> None:
    comparison = make_comparison("jax", "seed", "idiomatic", [20.0, 22.0, 21.0], [10.0, 11.0, 10.5])
    assert comparison.ratio.estimate == pytest.approx(2.0)
    assert "2.0" in comparison.describe()


@pytest.mark.benchmark(timer=CLOCK)
@pytest.mark.parametrize(("framework", "shape", "contender"), CONTENDERS)
def test_a_training_step(
    framework: str,
    shape: str,
    contender: str,
    benchmark: BenchmarkFixture,
    make_comparison: Callable[..., Any],
    comparisons: list[Any],
) -> None:
    if benchmark.disabled:
        benchmark.skipped = True
        pytest.skip("timed with --benchmark-enable only, in minutes")
    rounds = take_turns(framework, shape)
    if contender in rounds.failures:
        benchmark.skipped = True
        pytest.fail(rounds.failures[contender], pytrace=False)
    samples_ms = rounds.step_ms[contender]
    benchmark.group = f"a training step: {framework}, {shape}'s shape"
    if contender != PEER and PEER in rounds.step_ms:
        comparisons.append(make_comparison(framework, shape, contender, rounds.step_ms[PEER], samples_ms))
        ratio = comparisons[-1].ratio
        benchmark.extra_info.update(peer_over_own=ratio.estimate, low=ratio.low, high=ratio.high)
    replayed = iter(samples_ms)
    benchmark.pedantic(lambda: CLOCK.advance(next(replayed) / 1000), rounds=len(samples_ms))


@functools.cache
def take_turns(framework: str, shape: str) -> Rounds:
    """Rounds of one sample for each contender until the budget is spent."""
    rounds, order = Rounds({name: [] for name in (PEER, *BACKENDS[framework].implementations)}), random.Random(0)
    begun_s, n_rounds = time.monotonic(), 0
    while n_rounds < LEAST_ROUNDS or (time.monotonic() - begun_s) * (n_rounds + 1) / n_rounds < BUDGET_S:
        for contender in order.sample(list(rounds.step_ms), len(rounds.step_ms)):
            try:
                answer = take_sample(framework, contender, SHAPES[shape].config, SHAPES[shape].steps)
                rounds.step_ms[contender].append(answer["step_ms"])
            except RuntimeError as error:
                rounds.failures[contender] = str(error)
                del rounds.step_ms[contender]
        n_rounds += 1
    return rounds


def take_sample(framework: str, contender: str, config: RunConfig, steps: int) -> dict[str, Any]:
    """One fresh process. Raises RuntimeError with the last line that it printed where it gave no answer."""
    module = PEERS[framework] if contender == PEER else BACKENDS[framework].implementations[contender]
    return run_measure(framework, {"module": module, "is_peer": contender == PEER, "steps": steps}, config)


def run_measure(framework: str, request: dict[str, Any], config: RunConfig) -> dict[str, Any]:
    resources = Resources(threads=find_processors().default)
    environment = worker_environment(BACKENDS[framework], resources)
    environment["PYTHONPATH"] += os.pathsep + str(Path(__file__).parent)  # where the peers are
    placed = {**request, "configuration": config.to_dict(), "cpus": resources.cpus()}
    reading, writing = os.pipe()
    with os.fdopen(reading) as answers:
        try:
            finished = subprocess.run(
                [sys.executable, str(Path(__file__).with_name("measure.py")), str(writing)],
                input=json.dumps(placed),
                capture_output=True,
                text=True,
                pass_fds=[writing],
                env=environment,
                timeout=PROCESS_TIMEOUT_S,
            )
        finally:
            os.close(writing)
        if finished.returncode:
            raise RuntimeError((finished.stderr.strip().splitlines() or [f"exit status {finished.returncode}"])[-1])
        return dict(json.load(answers))
