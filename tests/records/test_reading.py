from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.records.reading import read_run


@pytest.mark.parametrize("name", ["../escape", ".hidden", "a/b", "", "torch-idiomatic-float32-seed0-r0\n", "..", "a b"])
def test_a_hostile_cell_name_is_refused_in_one_line(run_folder: Callable[..., Path], name: str) -> None:
    folder = run_folder(unrecorded=(name,))
    with pytest.raises(ValueError, match="unsafe cell name") as caught:
        read_run(folder)
    assert "\n" not in str(caught.value)


def test_a_cell_without_a_record_has_failed(run_folder: Callable[..., Path]) -> None:
    cell = read_run(run_folder(unrecorded=("torch-tuned-bfloat16-seed7-r2",))).cells[0]
    assert (cell.status, cell.reason) == ("failed", "no record")
    assert (cell.backend, cell.implementation, cell.precision) == ("torch", "tuned", "bfloat16")
    assert (cell.seed, cell.repeat) == (7, 2)


@pytest.mark.parametrize("text", ["{", "[]", '{"cell": 1}'])
def test_an_unreadable_record_has_failed_with_the_reason(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]], text: str
) -> None:
    folder = run_folder(record("torch"))
    (folder / "cells" / "torch-idiomatic-float32-seed0-r0.json").write_text(text, "utf-8")
    cell = read_run(folder).cells[0]
    assert cell.status == "failed"
    assert str(cell.reason).startswith("its record cannot be read: ")


def test_a_record_of_another_cell_is_not_believed(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]
) -> None:
    folder = run_folder(record("torch"))
    path = folder / "cells" / "torch-idiomatic-float32-seed0-r0.json"
    path.write_text(json.dumps(record("jax")), "utf-8")
    assert "it names the cell" in str(read_run(folder).cells[0].reason)


@pytest.mark.parametrize(
    "changes", [{"chunks": {"steps": [1]}}, {"evaluation": {"copies": [{"length": 1, "target": [], "prediction": []}]}}]
)
def test_arrays_that_do_not_fit_are_refused(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> None:
    assert read_run(run_folder(record("torch", **changes))).cells[0].status == "failed"


@pytest.mark.parametrize("column", ["data_s", "time_steps"])
def test_columns_of_different_lengths_are_refused_with_the_column(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]], column: str
) -> None:
    whole = record("torch")
    whole["chunks"][column].pop()
    cell = read_run(run_folder(whole)).cells[0]
    assert cell.status == "failed"
    assert f"its record cannot be read: chunks.{column}: its length" in str(cell.reason)


def test_a_run_without_a_ceiling_has_no_products_and_no_problem(run_folder: Callable[..., Path]) -> None:
    run = read_run(run_folder())
    assert (run.products, run.ceiling_problem) == ([], None)


@pytest.mark.parametrize(
    "changes", [{"seconds": 0.0}, {"seconds": -1.0}, {"seconds": float("inf")}, {"m": 0}, {"device": None}]
)
def test_a_malformed_ceiling_is_told_and_not_used(
    run_folder: Callable[..., Path], product: Callable[..., dict[str, Any]], changes: dict[str, Any]
) -> None:
    run = read_run(run_folder(products=[product(1.0), product(1.0) | changes]))
    assert run.products == []
    assert str(run.ceiling_problem).startswith("ceiling.json cannot be read: ")


def test_a_folder_without_run_json_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"has no run\.json"):
        read_run(tmp_path)


@pytest.mark.parametrize("changes", [{"schema_version": 99}, {"configuration": {}}, {"cells": "none"}, {"a_a": {}}])
def test_a_malformed_run_json_is_refused(run_folder: Callable[..., Path], changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"run\.json cannot be read: "):
        read_run(run_folder(**changes))
