from __future__ import annotations

from pathlib import Path

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report import analyse_folder
from harness.report.markdown import render_table
from harness.report.readable import compare_lengths, make_readable
from harness.report.tables import make_tables


def test_tables_mark_what_is_not_verified(mixed_run: Path) -> None:
    tables = make_tables(analyse_folder(mixed_run))
    for name in ("summary", "bit_error_by_length", "throughput", "timeline"):
        lines = render_table(make_readable(name, tables[name])).splitlines()
        rows = [line for line in lines if "| tensorflow |" in line]
        assert rows
        assert all("| idiomatic (not verified) |" in row for row in rows)
    distances = render_table(make_readable("loss_distance", tables["loss_distance"]))
    assert distances.count("tensorflow idiomatic (not verified)") == 2


def test_lengths_are_compared_side_by_side(mixed_run: Path) -> None:
    run = read_run(mixed_run)
    table = compare_lengths(analyse(run))
    names = ["torch idiomatic", "jax idiomatic", "tensorflow idiomatic (not verified)"]
    assert table.headers == ["length", "trained", *names]
    assert [row[:2] for row in table.rows] == [["1", "yes"], ["2", "yes"], ["5", "yes"], ["10", "no"]]


def test_columns_without_a_value_are_left_out(mixed_run: Path) -> None:
    table = make_readable("summary", make_tables(analyse_folder(mixed_run))["summary"])
    assert "peak memory" not in table.headers
    assert "reason" in table.headers


def test_the_summary_begins_with_what_is_looked_for(repeated_run: Path) -> None:
    table = make_readable("summary", make_tables(analyse_folder(repeated_run))["summary"])
    first = ["rank", "backend", "implementation", "sequences/s", "95 % interval", "bit error"]
    assert table.headers[: len(first)] == first
    assert table.headers.index("precision") > table.headers.index("verified")
    assert " to " in table.rows[0][4]


def test_what_tells_rows_apart_stands_beside_the_implementation(mixed_run: Path) -> None:
    table = make_readable("summary", make_tables(analyse_folder(mixed_run))["summary"])
    assert table.headers[:5] == ["rank", "backend", "implementation", "status", "sequences/s"]
