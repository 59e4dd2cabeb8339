"""The summary in a terminal of 80 columns."""

from __future__ import annotations

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.analysis import Analysis
from harness.analysis.summary import SummaryRow
from harness.records.structs import Cell
from harness.report.cautions import find_cautions
from harness.report.headline import conclude_in_one_sentence
from harness.report.markdown import one_line
from harness.report.readable import show
from harness.report.speed_words import describe_bounds

WIDTH = 80
NAME_WIDTH = 20
# In the order of interest: those with a value are shown as far as they fit.
NUMBERS = {
    "sequences_per_s": "seq/s",
    "seconds_to_target": "target, s",
    "sequences_per_s_interval": "95 % interval",
    "ceiling_share": "ceiling",
    "step_ms": "ms/step",
    "bit_error": "bit error",
    "train_loss": "loss",
    "startup_s": "startup s",
}
MOST_NUMBERS = 5


def print_summary(analysis: Analysis, console: Console) -> None:
    """Print what ended ok, the fastest first, what bounds the speeds, what makes them doubtful, what did not end ok and
    why, and the conclusion in one sentence, in at most 80 columns."""
    width = min(WIDTH, console.width)
    measured = [row for row in analysis.summary if row.status == "ok"]
    if measured:
        console.print(_results(measured), width=width)
    for sentence in describe_bounds(analysis):
        console.print(Text(one_line(sentence)), width=width)
    for caution in find_cautions(analysis):
        console.print(Text(f"Warning: {one_line(caution.text)}"), width=width)
    if analysis.not_ok:
        console.print(_failures(analysis.not_ok), width=width)
    console.print(Text(one_line(conclude_in_one_sentence(analysis)), "bold"), width=width)


def _results(rows: list[SummaryRow]) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0))
    table.add_column("#", justify="right")
    table.add_column("trained", min_width=NAME_WIDTH, overflow="fold")
    shown = [column for column in NUMBERS if any(_shown(column, row) for row in rows)][:MOST_NUMBERS]
    for column in shown:
        table.add_column(NUMBERS[column], justify="right", overflow="fold")
    for row in rows:
        texts = [_shown("rank", row), one_line(row.marked_label), *(_shown(column, row) for column in shown)]
        table.add_row(*map(Text, texts))
    return table


def _shown(column: str, row: SummaryRow) -> str:
    text = show(column, vars(row))
    return f"{text} ({row.seeds_reached})" if text and column == "seconds_to_target" else text


def _failures(cells: list[Cell]) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for header in ("not ok", "status", "reason"):
        table.add_column(header, overflow="fold")
    for cell in cells:
        table.add_row(*(Text(one_line(text)) for text in (cell.cell, cell.status, cell.reason or "")))
    return table
