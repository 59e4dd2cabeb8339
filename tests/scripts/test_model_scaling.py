"""The model of scaling: what follows from its parts, and the page that has what the script prints of a sweep."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from model_scaling import Compute, Network, fit_compute, strong_efficiency, weak_efficiency

from tests.documentation import PROJECT, commands

PAGE = "docs/scaling.md"
COMPUTE = Compute(fixed_s=0.010, per_row_s=0.001)
BYTES = 5.3e6


def test_the_page_has_what_the_script_prints_of_the_published_sweep() -> None:
    (command,) = (command for command in commands(PAGE) if "model_scaling" in command)
    finished = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]], capture_output=True, text=True, cwd=PROJECT, timeout=60
    )
    assert (finished.returncode, finished.stderr) == (0, "")
    page = Path(PROJECT, PAGE).read_text(encoding="utf-8").splitlines()
    printed = [line for line in finished.stdout.splitlines() if line]
    assert len(printed) > 10
    assert [line for line in printed if line not in page] == []


def test_a_fit_finds_what_made_the_steps() -> None:
    fitted = fit_compute({rows: COMPUTE.step_s(rows) for rows in (10, 50, 100)})
    assert fitted.fixed_s == pytest.approx(0.010)
    assert fitted.per_row_s == pytest.approx(0.001)


def test_a_step_that_grows_faster_than_its_batch_has_no_fixed_part() -> None:
    fitted = fit_compute({10: 0.01, 100: 0.12})
    assert fitted.fixed_s == 0
    assert fitted.per_row_s == pytest.approx(0.0011)


def test_one_size_is_too_few() -> None:
    with pytest.raises(ValueError, match="two sizes"):
        fit_compute({100: 0.1})


def test_a_ring_sends_twice_the_bytes_at_most_and_waits_for_every_message() -> None:
    network = Network(latency_s=1e-5, bandwidth=1e9)
    assert network.exchange_s(1, BYTES) == 0
    assert network.exchange_s(2, BYTES) == pytest.approx(2e-5 + BYTES / 1e9)
    assert network.exchange_s(512, BYTES) == pytest.approx(1022e-5 + 2 * BYTES * 511 / 512 / 1e9)


def test_without_a_network_weak_scaling_is_perfect_and_strong_scaling_loses_the_fixed_part() -> None:
    free = Network(latency_s=0.0, bandwidth=float("inf"))
    assert weak_efficiency(COMPUTE, free, 100, 512, BYTES) == 1
    assert strong_efficiency(COMPUTE, free, 100, 1, BYTES) == 1
    assert strong_efficiency(COMPUTE, free, 100, 10, BYTES) == pytest.approx(0.110 / (10 * 0.020))


def test_a_slower_network_costs_efficiency() -> None:
    fast, slow = Network(1e-5, 1e10), Network(1e-4, 1e9)
    for ranks in (8, 64, 512):
        assert 0 < weak_efficiency(COMPUTE, slow, 100, ranks, BYTES) < weak_efficiency(COMPUTE, fast, 100, ranks, BYTES)
