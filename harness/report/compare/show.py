"""The comparison in a terminal of 80 columns, and as files in a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.analysis.compare.comparison import RunComparison
from harness.records.durable import write_bytes, write_text
from harness.report.compare import tables
from harness.report.figures.compare import plot_speeds
from harness.report.figures.style import encode_png, own_settings
from harness.report.figures.svg import encode_svg
from harness.report.markdown import escape, one_line, render_table
from harness.report.readable import Readable
from harness.report.tables import to_csv
from harness.task.presets import ConfigurationError

WIDTH = 80
NAME_WIDTH = 20
MOST_DIFFERENCES = 12


def print_comparison(comparison: RunComparison, sentences: list[str], console: Console) -> None:
    width = min(WIDTH, console.width)
    for run in comparison.runs:
        line = f"{run.letter}  {run.folder}  {run.run.file.preset} {run.run.file.created}"
        console.print(Text(one_line(line)), soft_wrap=True)
    for heading, table in _tables(comparison):
        shown = _cut(table) if heading.startswith("What differs") else table
        console.print(_terminal_table(shown), width=width)
        if len(shown.rows) < len(table.rows):
            rest = len(table.rows) - len(shown.rows)
            console.print(Text(f" and {rest} more: --out DIR writes them all, and so does --json\n"), width=width)
    for sentence in sentences:
        console.print(Text(one_line(sentence)), width=width)
    for failure in comparison.failures or []:
        console.print(Text(f"Slower than allowed: {one_line(failure)}"), width=width, style="bold red")


@own_settings()
def write_comparison(comparison: RunComparison, sentences: list[str], folder: Path) -> None:
    """comparison.md, comparison.csv, costs.csv and the plot as PNG and SVG.

    Raises ConfigurationError where `folder` exists.
    """
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(f"--out {folder}: {error.strerror}; name a new folder") from None
    write_text(folder / "comparison.md", "\n".join(_blocks(comparison, sentences)))
    rows = pd.DataFrame(tables.speed_rows(comparison.speeds), dtype=object)
    write_text(folder / "comparison.csv", to_csv(rows))
    if comparison.costs:
        write_text(folder / "costs.csv", to_csv(pd.DataFrame(tables.cost_rows(comparison.costs), dtype=object)))
    if comparison.speeds:
        figure = plot_speeds(comparison.runs)
        write_bytes(folder / "comparison.png", encode_png(figure))
        write_text(folder / "comparison.svg", encode_svg(figure, "comparison"))


def _tables(comparison: RunComparison) -> Iterator[tuple[str, Readable]]:
    """With a heading each; more than two runs have a table of all rates first."""
    first, *others = comparison.runs
    if len(others) > 1:
        yield "Sequences a second", tables.rates_table(comparison)
    for other in others:
        changes = [change for change in comparison.speeds if change.after == other.letter]
        if changes:
            yield f"Speed, {other.letter} against {first.letter}", tables.speed_table(changes)
    for other in others:
        costs = [change for change in comparison.costs if change.after == other.letter]
        if costs:
            yield f"Memory, CPU time and inference, {other.letter} against {first.letter}", tables.cost_table(costs)
    for other in others:
        learned = [change for change in comparison.quality if change.after == other.letter]
        if learned:
            yield f"What was learned, {first.letter} and {other.letter}", tables.quality_table(learned)
    if comparison.surroundings:
        yield "What differs between machines, software and settings", tables.surroundings_table(comparison)


def _blocks(comparison: RunComparison, sentences: list[str]) -> Iterator[str]:
    yield "# Runs compared\n"
    yield render_table(tables.runs_table(comparison))
    yield "".join(f"- {escape(sentence)}\n" for sentence in sentences)
    if comparison.failures:
        yield "## Slower than allowed\n"
        yield "".join(f"- {escape(failure)}\n" for failure in comparison.failures)
    if comparison.speeds:
        yield "![Training sequences a second by implementation and run](comparison.svg)\n"
    for heading, table in _tables(comparison):
        yield f"## {escape(heading)}\n"
        yield render_table(table)


def _cut(table: Readable) -> Readable:
    return Readable(table.headers, table.rows[:MOST_DIFFERENCES], table.numeric, table.meanings)


def _terminal_table(readable: Readable) -> Table:
    table = Table(box=SIMPLE_HEAD, padding=(0, 0))
    for place, (header, is_numeric) in enumerate(zip(readable.headers, readable.numeric, strict=True)):
        justify: Literal["left", "right"] = "right" if is_numeric else "left"
        table.add_column(header, justify=justify, overflow="fold", min_width=0 if place else NAME_WIDTH)
    for row in readable.rows:
        table.add_row(*(Text(one_line(text)) for text in row))
    return table
