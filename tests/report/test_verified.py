from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.records.reading import read_run
from harness.report.verified import tabulate_verification

TOO_LARGE = {"quantity": "gradient", "error": 0.3, "tolerance": 1e-4, "within": False, "tensor": "lstm.0.kernel"}


def proven(backend: str, worst: list[dict[str, Any]], **changes: Any) -> dict[str, Any]:
    named = {"backend": backend, "implementation": "idiomatic", "precision": "float32"}
    return {**named, "verified": True, "reason": None, "worst": worst} | changes


def test_a_column_for_each_quantity_says_what_is_allowed(run_folder: Callable[..., Path]) -> None:
    loss = {"quantity": "loss", "error": 2.5e-8, "tolerance": 1e-5, "within": True}
    fine = {"quantity": "gradient", "error": 3e-7, "tolerance": 1e-4, "within": True}
    broken = proven("jax", [{**loss, "error": None}, TOO_LARGE], verified=False, reason="gradient is off")
    table = tabulate_verification(read_run(run_folder(verification=[proven("torch", [loss, fine]), broken])))
    assert table is not None
    assert table.headers == ["implementation", "verified", "loss ≤ 1e-05", "gradient ≤ 1e-04", "reason"]
    assert table.rows[0] == ["torch idiomatic", "yes", "2.5e-08", "3.0e-07", ""]
    assert table.rows[1][2:] == ["infinite", "3.0e-01, too large in lstm.0.kernel", "gradient is off"]
    assert [row[3] for row in table.values] == [3e-7, 0.3]


def test_precisions_have_tolerances_of_their_own(run_folder: Callable[..., Path]) -> None:
    loss = {"quantity": "loss", "error": 2.5e-8, "tolerance": 1e-5, "within": True}
    half = proven("torch", [{**loss, "error": 1e-3, "tolerance": 1e-2}], precision="bfloat16")
    table = tabulate_verification(read_run(run_folder(verification=[proven("torch", [loss]), half])))
    assert table is not None
    assert table.headers == ["implementation", "verified", "loss"]
    assert [row[0] for row in table.rows] == ["torch idiomatic float32", "torch idiomatic bfloat16"]
    assert [row[2] for row in table.rows] == ["2.5e-08 (≤ 1e-05)", "1.0e-03 (≤ 1e-02)"]


def test_an_implementation_that_crashed_has_a_reason_and_no_errors(run_folder: Callable[..., Path]) -> None:
    crashed = proven("torch", [], verified=False, reason="failed: on fire")
    table = tabulate_verification(read_run(run_folder(verification=[crashed])))
    assert table is not None
    assert table.rows == [["torch idiomatic", "no", "failed: on fire"]]


def test_a_run_from_before_it_was_kept_has_no_table(mixed_run: Path) -> None:
    assert tabulate_verification(read_run(mixed_run)) is None
