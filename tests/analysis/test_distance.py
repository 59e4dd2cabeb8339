from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import analyse
from harness.records.reading import read_run

Make = Callable[..., dict[str, Any]]


def rows_of(folder: Path) -> list[dict[str, Any]]:
    return [vars(item) for item in analyse(read_run(folder)).distances]


def test_the_distance_is_relative_to_the_larger_and_splits_at_step_100(
    run_folder: Callable[..., Path], record: Make
) -> None:
    left, right = [1.0] * 150, [1.0] * 150
    right[99], right[100] = 0.9, 2.0
    (row,) = rows_of(run_folder(record("torch", losses=left), record("jax", losses=right)))
    assert (row["left"], row["right"], row["steps"]) == ("jax idiomatic", "torch idiomatic", 150)
    assert row["largest_relative_distance_first_100"] == pytest.approx(0.1)
    assert row["largest_relative_distance"] == pytest.approx(0.5)


def test_only_cells_of_one_seed_are_compared_and_the_worst_of_repeats_counts(
    run_folder: Callable[..., Path], record: Make
) -> None:
    folder = run_folder(
        record("torch", losses=[1.0]),
        record("jax", losses=[1.0]),
        record("jax", repeat=1, losses=[0.5]),
        record("jax", seed=1, losses=[0.1]),
    )
    (row,) = rows_of(folder)
    assert (row["seed"], row["largest_relative_distance"]) == (0, 0.5)


def test_one_variant_has_nothing_to_be_compared_with(run_folder: Callable[..., Path], record: Make) -> None:
    assert rows_of(run_folder(record("torch"), record("torch", repeat=1))) == []
