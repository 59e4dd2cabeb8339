from __future__ import annotations

import csv
import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from harness.report import analyse_folder, print_summary, summary_rows, write_report
from harness.report.tables import make_tables, to_csv

Make = Callable[..., dict[str, Any]]
FIRST_COLUMNS = {
    "summary": "backend, implementation, precision, device, status, seeds, train_loss, original_loss, "
    "bits_per_sequence, bit_error, sequences_per_s, step_ms, startup_s, peak_memory_bytes, verified",
    "bit_error_by_length": "backend, implementation, precision, seed, length, sequences, bit_error, exact_fraction, "
    "bits_per_sequence",
    "loss": "backend, implementation, precision, seed, repeat, step, sequences, elapsed_s, train_loss",
    "throughput": "backend, implementation, precision, repeat, sequences_per_s, step_ms_median, step_ms_p5, "
    "step_ms_p95, steps",
    "comparisons": "left, right, ratio, low, high, repeats, conclusion",
    "ceiling": "after, backend, precision, device, m, k, n, seconds, calls, gflop_per_s, ceiling_gflop_per_s, way",
    "loss_distance": "seed, left, right, steps, largest_relative_distance_first_100, largest_relative_distance",
}


def read_csv(folder: Path, table: str) -> list[dict[str, str]]:
    return list(csv.DictReader(StringIO(to_csv(make_tables(analyse_folder(folder))[table]))))


def read_markdown(text: str) -> list[dict[str, str]]:
    header, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines())
    return [dict(zip(header, row, strict=True)) for row in rows]


@pytest.mark.parametrize("table", FIRST_COLUMNS)
@pytest.mark.parametrize("is_empty", [False, True])
def test_the_first_columns_are_the_interface(
    run_folder: Callable[..., Path], record: Make, table: str, is_empty: bool
) -> None:
    folder = run_folder(*([] if is_empty else [record("torch"), record("jax")]))
    header = to_csv(make_tables(analyse_folder(folder))[table]).partition("\n")[0].split(",")
    first = FIRST_COLUMNS[table].split(", ")
    assert header[: len(first)] == first


def test_numbers_are_medians_over_seeds_and_repeats(run_folder: Callable[..., Path], record: Make) -> None:
    timings = [(0, 0, 0.4), (0, 1, 0.1), (1, 0, 0.2)]
    chunks = {"steps": [1, 2], "data_s": [0, 0], "elapsed_s": [1, 2], "warmup": [True, False]}
    records = [
        record("torch", seed=seed, repeat=repeat, losses=[train_s] * 3, chunks=chunks | {"train_s": [9, train_s]})
        for seed, repeat, train_s in timings
    ]
    (row,) = read_csv(run_folder(*records), "summary")
    assert (row["seeds"], row["cells"]) == ("0 1", "3")
    assert float(row["step_ms"]) == pytest.approx(100)
    assert float(row["sequences_per_s"]) == pytest.approx(16 / 0.1)
    assert float(row["train_loss"]) == pytest.approx(0.2)


def test_the_second_set_of_the_a_a_pair_has_rows_but_no_part_in_the_medians(repeated_run: Path) -> None:
    summary = {(row["backend"], row["implementation"]): row for row in read_csv(repeated_run, "summary")}
    assert {name: row["cells"] for name, row in summary.items()} == {
        ("torch", "tuned"): "8",
        ("torch", "idiomatic"): "8",
        ("jax", "idiomatic"): "8",
    }
    repeats = [row["repeat"] for row in read_csv(repeated_run, "throughput") if row["implementation"] == "tuned"]
    assert repeats == [str(repeat) for repeat in range(16)]
    assert len(read_csv(repeated_run, "timeline")) == 32


def test_a_failure_in_the_second_set_makes_no_row_of_the_summary(
    run_folder: Callable[..., Path], record: Make, failure: Make
) -> None:
    pair = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 1}
    folder = run_folder(record("torch"), failure("torch", "killed", "signal 9", repeat=1), a_a=pair)
    assert [row["status"] for row in read_csv(folder, "summary")] == ["ok"]
    assert [row["status"] for row in read_csv(folder, "timeline")] == ["ok", "killed"]


def test_the_summary_has_intervals_and_shares(repeated_run: Path) -> None:
    row = next(row for row in read_csv(repeated_run, "summary") if row["implementation"] == "tuned")
    low, rate, high = (float(row[f"sequences_per_s{end}"]) for end in ("_low", "", "_high"))
    assert low < rate < high
    assert float(row["gflop_per_s"]) == pytest.approx(6 * 335_112 * 12 * rate / 1e9)
    assert float(row["ceiling_share"]) == pytest.approx(float(row["gflop_per_s"]) / 200)
    assert float(row["overhead_share"]) == pytest.approx(0, abs=1e-12)


def test_one_process_has_no_interval_and_no_ceiling_no_share(run_folder: Callable[..., Path], record: Make) -> None:
    (row,) = read_csv(run_folder(record("torch")), "summary")
    assert row["sequences_per_s_low"] == row["sequences_per_s_high"] == row["ceiling_share"] == ""
    assert float(row["gflop_per_s"]) > 0


def test_a_share_above_the_ceiling_is_shown_as_it_is(above_the_ceiling: Path) -> None:
    shares = [float(row["ceiling_share"]) for row in read_csv(above_the_ceiling, "summary")]
    assert shares == pytest.approx([1.17, 1.17 / 2])


@pytest.mark.parametrize(
    ("node", "share"),
    [
        pytest.param(None, 1, id="one machine, measured whole"),
        pytest.param("abc", 1 / 2, id="a node for each rank"),
    ],
)
def test_ranks_are_held_against_what_all_of_them_have(
    node: str | None, share: float, run_folder: Callable[..., Path], record: Make, product: Make
) -> None:
    cell = record("torch", ranks=2, node=node, exchanges_s=[0.001])
    (row,) = read_csv(run_folder(cell, products=[product(1e-3)]), "summary")
    ceiling = 2 * 16 * 128 * 512 / 1e-3 / 1e9
    assert float(row["ceiling_share"]) == pytest.approx(share * float(row["gflop_per_s"]) / ceiling)


def test_throughput_leaves_warm_up_out_and_gives_percentiles_of_steps(
    run_folder: Callable[..., Path], record: Make
) -> None:
    cell = record("torch")
    (row,) = read_csv(run_folder(cell), "throughput")
    steady = np.repeat(1000 * np.array(cell["chunks"]["train_s"][1:]) / 10, 10)
    assert row["steps"] == "40"
    shown = [float(row[name]) for name in ("step_ms_p5", "step_ms_median", "step_ms_p95")]
    assert shown == pytest.approx(np.percentile(steady, [5, 50, 95]).tolist())


def test_the_order_is_ranked_then_unverified_then_failed(mixed_run: Path) -> None:
    rows = read_csv(mixed_run, "summary")
    assert [row["backend"] for row in rows] == ["torch", "jax", "tensorflow", "mxnet", "theano"]
    assert [row["rank"] for row in rows] == ["1", "2", "", "", ""]
    assert [row["verified"] for row in rows] == ["true", "true", "false", "", ""]


def test_what_is_not_ok_has_its_status_its_reason_and_no_numbers(mixed_run: Path) -> None:
    *_, missing, unrecorded = read_csv(mixed_run, "summary")
    assert (missing["status"], missing["reason"]) == ("not_installed", "install the extra mxnet")
    assert (unrecorded["status"], unrecorded["reason"]) == ("failed", "no record")
    assert not any(missing[name] for name in ("train_loss", "bit_error", "sequences_per_s", "step_ms", "startup_s"))


def test_a_group_of_mixed_statuses_has_a_row_for_each(
    run_folder: Callable[..., Path], record: Make, failure: Make
) -> None:
    folder = run_folder(record("torch"), failure("torch", "killed", "signal 9", seed=1, device="cpu"))
    assert [(row["status"], row["seeds"]) for row in read_csv(folder, "summary")] == [("ok", "0"), ("killed", "1")]


def test_a_median_over_what_ended_ok_says_of_how_many(
    run_folder: Callable[..., Path], record: Make, failure: Make, console: Console
) -> None:
    lost = [failure("torch", "killed", "signal 9", seed=1), failure("torch", "diverged", "nan", seed=2, device="cpu")]
    folder = run_folder(record("torch"), *lost, record("jax"), failure("mxnet", "not_installed", "install it"))
    counts = {
        (row["backend"], row["status"]): (row["cells"], row["cells_started"]) for row in read_csv(folder, "summary")
    }
    assert counts == {
        ("torch", "ok"): ("1", "3"),
        ("torch", "killed"): ("1", "3"),
        ("torch", "diverged"): ("1", "3"),
        ("jax", "ok"): ("1", "1"),
        ("mxnet", "not_installed"): ("1", ""),
    }
    write_report(folder)
    table = read_markdown((folder / "tables" / "summary.md").read_text())
    assert sorted(row["processes"] for row in table) == ["1", "1", "1 of 3", "1 of 3", "1 of 3"]
    print_summary(analyse_folder(folder), console)
    assert isinstance(console.file, StringIO)
    assert console.file.getvalue().count("3 ended ok)") == 1
    for name in ("report.md", "report.html"):
        shown = (folder / name).read_text()
        assert "torch idiomatic (1 of 3 ended ok)" in shown
        assert "jax idiomatic (1 of" not in shown


def test_integers_stay_integers_and_floats_are_exact(run_folder: Callable[..., Path], record: Make) -> None:
    sizes = {"peak_memory_bytes": 2**40 + 1, "process_memory_bytes": 2**41 + 1}
    folder = run_folder(record("torch", **sizes), record("jax", n_parameters=None))
    rows = read_csv(folder, "summary")
    for name, size in sizes.items():
        assert {row[name] for row in rows} == {str(size), ""}
    assert {row["n_parameters"] for row in rows} == {"335112", ""}
    losses = json.loads((folder / "cells" / "torch-idiomatic-float32-seed0-r0.json").read_text("utf-8"))["losses"]
    assert [row["train_loss"] for row in read_csv(folder, "loss")][: len(losses)] == [repr(loss) for loss in losses]


def test_the_loss_table_keeps_cells_that_diverged(run_folder: Callable[..., Path], record: Make) -> None:
    rows = read_csv(run_folder(record("torch", losses=[0.7, 0.8]) | {"status": "diverged"}), "loss")
    assert [(row["step"], row["sequences"], row["status"]) for row in rows] == [
        ("1", "16", "diverged"),
        ("2", "32", "diverged"),
    ]


def test_the_timeline_has_a_row_for_every_cell(mixed_run: Path) -> None:
    rows = read_csv(mixed_run, "timeline")
    assert len(rows) == 5
    assert rows[0]["import_s"] == "2.0"
    assert rows[-1]["import_s"] == ""


def test_the_summary_as_plain_rows_is_json(mixed_run: Path) -> None:
    rows = json.loads(json.dumps(summary_rows(analyse_folder(mixed_run)), allow_nan=False))
    assert rows[0]["backend"] == "torch"
    assert rows[-1]["sequences_per_s"] is None
