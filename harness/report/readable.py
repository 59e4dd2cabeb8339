"""Tables for people: texts instead of numbers, without empty columns, doubtful rows marked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.variants import NOT_VERIFIED
from harness.records.structs import Run
from harness.report import quantities
from harness.report.columns import BOUNDS, COLUMNS, MOST_RANKING_COLUMNS, OUT_OF, RANKING, SHOWN, TELLING

MARKED_BY = {"implementation": "verified", "left": "left_verified", "right": "right_verified"}


@dataclass(frozen=True)
class Readable:
    """A table of texts; numeric says which columns are aligned to the right; meanings explain (header, meaning).

    values, where there are any, are what the texts show, for sorting: numbers, texts, or None for unknown.
    """

    headers: list[str]
    rows: list[list[str]]
    numeric: list[bool]
    meanings: list[tuple[str, str]]
    values: list[list[Any]] = field(default_factory=list)


def make_readable(name: str, frame: pd.DataFrame) -> Readable:
    """The named table as a reader needs it."""
    records: list[dict[str, Any]] = [
        {str(column): value for column, value in record.items()} for record in frame.to_dict("records")
    ]
    return read_columns(_order(SHOWN[name], records), records)


def read_columns(names: list[str], records: list[dict[str, Any]]) -> Readable:
    """The named columns of the records, without those that are empty throughout."""
    shown = {column: [show(column, record) for record in records] for column in names}
    kept = [column for column in shown if any(shown[column])]
    columns = [COLUMNS[column] for column in kept]
    return Readable(
        headers=[column.header for column in columns],
        rows=[list(row) for row in zip(*(shown[column] for column in kept), strict=True)],
        numeric=[column.is_numeric for column in columns],
        meanings=[(column.header, column.meaning) for column in columns if column.meaning],
        values=[[_value(column, record) for column in kept] for record in records],
    )


def rank(analysis: Analysis) -> Readable:
    """The summary at a glance: at most nine columns, the fastest first; the status only where there are several."""
    rows = analysis.summary
    several = len({row.status for row in rows}) > 1
    table = read_columns([name for name in RANKING if name != "status" or several], [vars(row) for row in rows])
    return _keep_columns(table, MOST_RANKING_COLUMNS)


def compare_lengths(analysis: Analysis) -> Readable:
    """Bit error with a row for each length and a column for each variant, medians over its cells."""
    run, variants, lengths = analysis.run, analysis.variants, analysis.lengths
    known = [analysis.bit_errors[variant] for variant in variants]
    errors = {length: [found[length].median if length in found else None for found in known] for length in lengths}
    rows = [[f"{length:,}", _trained(run, length), *map(quantities.percent, errors[length])] for length in lengths]
    return Readable(
        headers=["length", "trained", *(variant.marked_label for variant in variants)],
        rows=rows,
        numeric=[True, False, *(True for _ in variants)],
        meanings=[(COLUMNS[name].header, COLUMNS[name].meaning) for name in ("length", "trained", "bit_error")],
        values=[[length, _trained(run, length), *errors[length]] for length in lengths],
    )


def _keep_columns(table: Readable, n: int) -> Readable:
    """The first n columns of the table."""
    kept = set(table.headers[:n])
    return Readable(
        headers=table.headers[:n],
        rows=[row[:n] for row in table.rows],
        numeric=table.numeric[:n],
        meanings=[meaning for meaning in table.meanings if meaning[0] in kept],
        values=[row[:n] for row in table.values],
    )


def _order(columns: list[str], records: list[dict[str, Any]]) -> list[str]:
    """The columns, with those that tell the rows apart moved to where the implementation is named."""
    if "implementation" not in columns:
        return columns
    told = [column for column in TELLING if column in columns and len(_known(records, column)) > 1]
    rest = [column for column in columns if column not in told]
    place = rest.index("implementation") + 1
    return rest[:place] + told + rest[place:]


def _known(records: list[dict[str, Any]], column: str) -> set[Any]:
    return {record[column] for record in records} - {None, ""}


def _trained(run: Run, length: int) -> str:
    return quantities.flag(measures.is_trained(length, run.task))


def show(column: str, record: Mapping[str, Any]) -> str:
    """The text of a column of a row, empty where the row has no such value."""
    if column in BOUNDS:
        return quantities.span(*(COLUMNS[column].show(record.get(bound)) for bound in BOUNDS[column]))
    if column in OUT_OF:
        return quantities.out_of(record.get(column), record.get(OUT_OF[column]))
    shown = COLUMNS[column].show(record.get(column))
    return shown + NOT_VERIFIED if record.get(MARKED_BY.get(column, "")) is False else shown


def _value(column: str, record: dict[str, Any]) -> Any:
    """What a column is sorted by: an interval by its lower bound."""
    return record[BOUNDS[column][0]] if column in BOUNDS else record[column]
