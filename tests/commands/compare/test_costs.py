"""Memory, CPU time and inference in two runs, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.compare.costs import CostChange, cost_changes
from harness.analysis.compare.runs import load_runs
from tests.command import invoke, read_rows
from tests.made_up_runs import make_inference

Record = dict[str, Any]


def spend(peak_bytes: int, batch_s: float) -> Callable[[Record], None]:
    """What a process took in a made-up run, in memory and in inference; torch idiomatic is from before it was told."""

    def change(record: Record) -> None:
        if (record["backend"], record["implementation"]) != ("torch", "idiomatic"):
            record["peak_memory_bytes"] = peak_bytes + record["repeat"]
            record["inference"] = make_inference(batch_s=batch_s)

    return change


@pytest.fixture
def pair(make_run: Any) -> tuple[Path, Path]:
    """Twice the memory, and inference at half the rate, after."""
    before = make_run("before", machine=0, change=spend(2**20, 0.1))
    return before, make_run("after", machine=1, change=spend(2**21, 0.2))


def changes(folders: tuple[Path, Path]) -> dict[tuple[str, str], CostChange]:
    return {(change.label, change.cost): change for change in cost_changes(load_runs(list(folders)))}


def test_costs_that_both_runs_tell_are_ratios_with_intervals(pair: tuple[Path, Path]) -> None:
    found = changes(pair)
    assert {label for label, _ in found} == {"torch tuned", "jax idiomatic"}
    memory = found["jax idiomatic", "peak_memory_bytes"]
    assert memory.ratio.estimate == pytest.approx(2, rel=1e-4)
    assert memory.ratio.low is not None
    assert memory.processes == (8, 8)
    assert found["torch tuned", "inference_sequences_per_s"].ratio.estimate == pytest.approx(0.5)
    assert "cpu_ms" not in {cost for _, cost in found}


def test_what_is_not_alike_has_no_ratio(pair: tuple[Path, Path], edit: Callable[..., None]) -> None:
    edit(pair[1], lambda run: run["configuration"].update(inference={"batch": 64, "rounds": 10}))
    for path in (pair[1] / "cells").glob("*.json"):
        path.write_text(json.dumps(json.loads(path.read_text()) | {"device": "cuda:0"}))
    assert {cost for _, cost in changes(pair)} == {"latency_ms", "latency_p95_ms"}


def test_nothing_held_has_no_ratio(make_run: Any) -> None:
    def hold_nothing(record: Record) -> None:
        record["peak_memory_bytes"] = 0

    before, after = (make_run(name, machine=0, change=hold_nothing) for name in ("before", "after"))
    assert changes((before, after)) == {}


def test_they_are_printed_written_and_in_the_document(pair: tuple[Path, Path], tmp_path: Path) -> None:
    printed = invoke("compare", *pair, "--out", tmp_path / "out").output
    lines = [" ".join(line.split()) for line in printed.splitlines()]
    assert any(line.startswith("jax idiomatic inference seq/s 2,560 1,280 0.50 0.50") for line in lines)
    assert max(len(line) for line in printed.splitlines() if str(tmp_path) not in line) <= 80
    page = (tmp_path / "out" / "comparison.md").read_text()
    assert "## Memory, CPU time and inference, B against A" in page
    assert "| jax idiomatic | peak memory | 1 MiB | 2 MiB | 2.0 |" in page
    rows = read_rows(tmp_path / "out" / "costs.csv")
    assert {row["cost"] for row in rows} >= {"peak_memory_bytes", "latency_p95_ms"}
    document = json.loads(invoke("compare", *pair, "--json").stdout)
    assert len(document["costs"]) == len(rows)
    assert document["costs"][0]["ratio"]["estimate"] == float(rows[0]["ratio"])
