"""Memory, CPU time and inference of a variant, from the records of its cells."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import Analysis, analyse
from harness.records.reading import read_run
from tests.made_up_runs import make_inference

Make = Callable[..., dict[str, Any]]


def analyse_folder(folder: Path) -> Analysis:
    return analyse(read_run(folder))


def test_costs_are_medians_over_processes(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [
        record("torch", repeat=repeat, peak_memory_bytes=peak, inference=make_inference(batch_s=0.1 * (1 + repeat)))
        for repeat, peak in enumerate((100, 300, 200))
    ]
    analysis = analyse_folder(run_folder(*cells))
    costs = analysis.variants[0].costs
    assert costs["peak_memory_bytes"].estimate == 200
    assert costs["inference_sequences_per_s"].estimate == pytest.approx(256 / 0.2)
    [row] = analysis.summary
    assert (row.peak_memory_bytes, row.inference_sequences_per_s) == (200, pytest.approx(256 / 0.2))
    assert row.inference_sequences_per_s_low is not None
    assert row.inference_sequences_per_s_high is not None
    assert row.inference_sequences_per_s_low <= 256 / 0.2 <= row.inference_sequences_per_s_high


def test_latency_is_the_median_call_and_the_95th_percentile(run_folder: Callable[..., Path], record: Make) -> None:
    inference = make_inference() | {"single_s": [0.001 * (1 + call) for call in range(101)]}
    [row] = analyse_folder(run_folder(record("torch", inference=inference))).summary
    assert (row.latency_ms, row.latency_p95_ms) == (pytest.approx(51), pytest.approx(96))
    assert row.latency_ms_low is None


def test_what_no_record_tells_is_no_cost(run_folder: Callable[..., Path], record: Make) -> None:
    """As in records from before any of this was measured."""
    analysis = analyse_folder(run_folder(record("torch")))
    assert analysis.variants[0].costs == {}
    assert (analysis.summary[0].latency_ms, analysis.summary[0].cpu_ms) == (None, None)
