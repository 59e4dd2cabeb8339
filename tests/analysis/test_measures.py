from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis import measures
from harness.records.reading import read_run
from harness.records.structs import Cell, Run

CHUNKS = {
    "steps": [1, 2, 4, 1],
    "train_s": [9.0, 0.2, 0.8, 0.4],
    "data_s": [0.0, 0.0, 0.0, 0.0],
    "elapsed_s": [9.0, 9.2, 10.0, 10.4],
    "warmup": [True, False, False, False],
}


@pytest.fixture
def run(run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]) -> Run:
    losses = [8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0]
    return read_run(run_folder(record("torch", chunks=CHUNKS, losses=losses)))


@pytest.fixture
def cell(run: Run) -> Cell:
    return run.cells[0]


def test_steady_steps_repeat_their_chunk_and_leave_the_warm_up_out(cell: Cell) -> None:
    assert measures.step_ms(cell).tolist() == pytest.approx([100, 100, 200, 200, 200, 200, 400])
    assert measures.median_step_ms(cell) == pytest.approx(200)
    assert measures.sequences_per_s(cell, batch=16) == pytest.approx(80)


def test_cpu_time_is_of_the_same_steps_and_unknown_in_older_records(
    cell: Cell, run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]
) -> None:
    assert measures.median_cpu_ms(cell) is None
    told = record("jax", chunks=CHUNKS | {"cpu_s": [50.0, 0.3, 1.2, 0.7]})
    assert measures.median_cpu_ms(read_run(run_folder(told, name="other")).cells[0]) == pytest.approx(300)


def test_elapsed_seconds_are_linear_inside_a_chunk(cell: Cell) -> None:
    assert measures.elapsed_s(cell).tolist() == pytest.approx([9, 9.1, 9.2, 9.4, 9.6, 9.8, 10, 10.4])


def test_train_loss_is_the_mean_of_what_there_is_up_to_a_hundred(
    cell: Cell, run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]
) -> None:
    assert measures.train_loss(cell) == pytest.approx(4.5)
    long = read_run(run_folder(record("jax", losses=[9.0] * 50 + [1.0] * 100), name="other")).cells[0]
    assert measures.train_loss(long) == 1.0


def test_overhead_is_what_the_steady_chunks_took_beside_their_calls(
    cell: Cell, run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]
) -> None:
    assert measures.overhead_share(cell) == pytest.approx(0)
    idle = CHUNKS | {"elapsed_s": [10.0, 10.3, 11.2, 11.8]}
    slow = read_run(run_folder(record("jax", chunks=idle), name="other")).cells[0]
    assert measures.overhead_share(slow) == pytest.approx((1.8 - 1.4) / 1.8)


def test_operations_are_counted_over_every_time_step(run: Run, cell: Cell) -> None:
    assert measures.gflop_per_s(cell, run.batch, run.task) == pytest.approx(6 * 335_112 * 16 * 12 / 0.2 / 1e9)


def test_startup_is_spawn_import_build_and_first_step(cell: Cell) -> None:
    assert measures.startup_s(cell) == pytest.approx(0.1 + 2.0 + 0.3 + 0.6)


def test_bit_error_counts_the_bits_of_trained_lengths_only(run: Run, cell: Cell) -> None:
    assert cell.evaluation is not None
    trained = [item for item in cell.evaluation.lengths if item.length <= 5]
    n_bits = sum(100 * item.length * 8 for item in trained)
    assert measures.bit_error(cell, run.task) == sum(item.wrong_bits for item in trained) / n_bits
    assert measures.bits_per_sequence(cell, run.task) == pytest.approx(0.3 * np.mean([1, 2, 5]))


@pytest.mark.parametrize(
    ("flags", "verified"),
    [([True, True], True), ([True, False, None], False), ([True, None], None), ([None], None), ([], None)],
)
def test_verified_needs_all(flags: list[bool | None], verified: bool | None) -> None:
    assert measures.all_verified(flags) is verified


def test_the_median_is_of_what_is_known() -> None:
    assert measures.median([None, 3.0, 1.0, float("nan")]) == 2.0
    assert measures.median([None]) is None


def test_a_failed_cell_has_no_numbers(run_folder: Callable[..., Path], failure: Callable[..., dict[str, Any]]) -> None:
    run = read_run(run_folder(failure("torch", "timeout", "60 s")))
    failed = run.cells[0]
    assert measures.train_loss(failed) is measures.startup_s(failed) is measures.sequences_per_s(failed, 16) is None
    assert measures.bit_error(failed, run.task) is None
    assert measures.overhead_share(failed) is measures.gflop_per_s(failed, 16, run.task) is None


SHAPES = {
    "steps": [1, 1, 1, 1, 1, 1],
    "train_s": [5.0, 1.0, 1.0, 9.0, 3.0, 3.3],
    "time_steps": [8, 8, 8, 24, 24, 24],
    "data_s": [0.0] * 6,
    "pause_s": [0.0, 0.0, 0.0, 0.0, 7.0, 0.0],
    "elapsed_s": [5.0, 6.0, 7.0, 16.0, 26.5, 29.8],
    "warmup": [True, False, False, True, False, False],
}


@pytest.fixture
def several_shapes(run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]) -> Cell:
    return read_run(run_folder(record("torch", chunks=SHAPES, losses=[1.0] * 6), name="shapes")).cells[0]


def test_steps_of_several_shapes_are_taken_relative_to_their_own(several_shapes: Cell) -> None:
    # Medians 1,000 and 3,150 ms, of two steps each: 2,075 on average.
    expected = [2075, 2075, 2075 * 3.0 / 3.15, 2075 * 3.3 / 3.15]
    assert measures.step_ms(several_shapes).tolist() == pytest.approx(expected)
    assert measures.median_step_ms(several_shapes) == pytest.approx(2075)


def test_a_clock_that_counted_no_cpu_time_gives_none_used(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]]
) -> None:
    idle = record("torch", chunks=SHAPES | {"cpu_s": [0.0] * 6}, losses=[1.0] * 6)
    assert measures.median_cpu_ms(read_run(run_folder(idle)).cells[0]) == 0


def test_operations_are_those_of_the_time_steps_there_were(several_shapes: Cell, run: Run) -> None:
    n_parameters = several_shapes.n_parameters or 0
    expected = 6 * n_parameters * 16 * (8 + 8 + 24 + 24) / 4 / 2.075 / 1e9
    assert measures.gflop_per_s(several_shapes, 16, run.task) == pytest.approx(expected)


def test_pauses_are_no_overhead(several_shapes: Cell) -> None:
    # Elapsed 1 + 1 + (10.5 - 7) + 3.3, of which training 8.3.
    assert measures.overhead_share(several_shapes) == pytest.approx((8.8 - 8.3) / 8.8)
