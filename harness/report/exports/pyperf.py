"""pyperf's JSON, version 1.0: a benchmark for each implementation, a run for each process, so that
`pyperf compare_to` reads it (pyperf.readthedocs.io, "pyperf JSON format" and its metadata)."""

from __future__ import annotations

from typing import Any

from harness.analysis.analysis import Analysis
from harness.records.structs import Cell, Run
from harness.report.exports.samples import Samples, take_samples, warmup_calls

FORMAT_VERSION = "1.0"


def to_pyperf(analysis: Analysis) -> dict[str, Any]:
    """Seconds a training step."""
    run = analysis.run
    benchmarks = [_benchmark(samples, run) for samples in take_samples(analysis)]
    return {"version": FORMAT_VERSION, "metadata": _machine(run), "benchmarks": benchmarks}


def _machine(run: Run) -> dict[str, Any]:
    environment = run.file.environment
    known = {
        "cpu_model_name": environment.get("cpu"),
        "cpu_count": environment.get("logical_cores"),
        "platform": environment.get("system"),
        "python_version": environment.get("python"),
    }
    return {"unit": "second", **{name: value for name, value in known.items() if value}}


def _benchmark(samples: Samples, run: Run) -> dict[str, Any]:
    about = {
        "name": samples.name,
        "description": f"one training step of {run.batch} sequences",
        "verified": "unknown" if samples.verified is None else str(samples.verified).lower(),
        "device": samples.identity["device"] or "unknown",
    }
    runs = [_run(cell, step_s) for cell, step_s in zip(samples.cells, samples.step_s, strict=True)]
    return {"metadata": about, "runs": runs}


def _run(cell: Cell, step_s: float) -> dict[str, Any]:
    total_s = (cell.timeline or {}).get("total_s")
    about = {"cell": cell.cell, "seed": cell.seed} | ({"duration": total_s} if total_s else {})
    warmups = [list(call) for call in warmup_calls(cell)]
    return {"values": [step_s], "metadata": about} | ({"warmups": warmups} if warmups else {})
