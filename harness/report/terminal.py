"""The summary in a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.report.columns import COLUMNS
from harness.report.load import Cell, read_run
from harness.report.markdown import one_line
from harness.report.tables import Row, make_summary
from harness.report.variants import NOT_VERIFIED

WIDTH = 80
NAME_WIDTH = 20
NUMBERS = {
    "sequences_per_s": "seq/s",
    "step_ms": "ms/step",
    "train_loss": "loss",
    "bit_error": "bit error",
    "startup_s": "startup s",
}


def print_summary(folder: Path, console: Console) -> None:
    """Print what ended ok, the fastest first, then what did not and why, in at most 80 columns."""
    run = read_run(folder)
    width = min(WIDTH, console.width)
    measured = [row for row in make_summary(run) if row["status"] == "ok"]
    failed = [cell for cell in run.cells if cell.status != "ok"]
    if measured:
        console.print(_results(measured), width=width)
    if failed:
        console.print(_failures(failed), width=width)


def _results(rows: list[Row]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    table.add_column("#", justify="right")
    table.add_column("trained", min_width=NAME_WIDTH, overflow="fold")
    for header in NUMBERS.values():
        table.add_column(header, justify="right", overflow="fold")
    for row in rows:
        mark = NOT_VERIFIED if row["verified"] is False else ""
        texts = [_shown("rank", row), one_line(row["label"]) + mark, *(_shown(column, row) for column in NUMBERS)]
        table.add_row(*map(Text, texts))
    return table


def _shown(column: str, row: Row) -> str:
    return COLUMNS[column].show(row.get(column))


def _failures(cells: list[Cell]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for header in ("not ok", "status", "reason"):
        table.add_column(header, overflow="fold")
    for cell in cells:
        table.add_row(*(Text(one_line(text)) for text in (cell.cell, cell.status, cell.reason or "")))
    return table
