"""pytest-benchmark's JSON, as its --benchmark-json writes it: a benchmark for each implementation, a round for each
process, so that `pytest-benchmark compare` reads it."""

from __future__ import annotations

import statistics
from typing import Any

import numpy as np

from harness.analysis.analysis import Analysis
from harness.records.structs import Run
from harness.report.exports.samples import Samples, take_samples

# The version of pytest-benchmark whose format this is.
FORMAT_VERSION = "5.0.0"


def to_pytest_benchmark(analysis: Analysis) -> dict[str, Any]:
    """Seconds a training step. What the file says of the machine is what run.json says."""
    run, file = analysis.run, analysis.run.file
    revision = file.environment.get("git_revision")
    return {
        "machine_info": {name: file.environment.get(name) for name in ("system", "cpu", "python", "packages")},
        "commit_info": {"id": str(revision or "unknown").rstrip("+"), "dirty": str(revision).endswith("+")},
        "benchmarks": [_benchmark(samples, run) for samples in take_samples(analysis)],
        "datetime": file.created,
        "version": FORMAT_VERSION,
    }


def _benchmark(samples: Samples, run: Run) -> dict[str, Any]:
    name = f"train_step[{samples.name}]"
    return {
        "group": None,
        "name": name,
        "fullname": f"{run.file.preset or 'run'}::{name}",
        "params": samples.identity,
        "param": samples.name,
        "extra_info": {
            "verified": samples.verified,
            "batch": run.batch,
            "cells": [cell.cell for cell in samples.cells],
        },
        "options": {"disable_gc": False, "timer": "perf_counter", "min_rounds": len(samples.step_s), "warmup": True},
        "stats": {**_statistics(samples.step_s), "data": samples.step_s, "iterations": 1},
    }


def _statistics(data: list[float]) -> dict[str, float | int | str]:
    """pytest-benchmark's fields; quartiles are NumPy's, outliers beyond 1.5 interquartile ranges (Tukey)."""
    q1, median, q3 = (float(value) for value in np.percentile(data, [25, 50, 75]))
    mean = statistics.fmean(data)
    deviation = statistics.stdev(data) if len(data) > 1 else 0.0
    low, high = q1 - 1.5 * (q3 - q1), q3 + 1.5 * (q3 - q1)
    within = [value for value in data if low <= value <= high]
    beyond = sum(abs(value - mean) > deviation for value in data)
    return {
        "min": min(data),
        "max": max(data),
        "mean": mean,
        "stddev": deviation,
        "rounds": len(data),
        "median": median,
        "iqr": q3 - q1,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": len(data) - len(within),
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{len(data) - len(within)}",
        "ld15iqr": min(within),
        "hd15iqr": max(within),
        "ops": 1 / mean,
        "total": sum(data),
    }
