"""Writing the report of a run's folder, over an earlier one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.variants import Variant, find_variants
from harness.records.durable import write_bytes, write_text
from harness.records.reading import read_run
from harness.records.structs import Run
from harness.report import html, markdown
from harness.report.content import make_content
from harness.report.figures.copies import plot_copies
from harness.report.figures.lengths import plot_bit_error, plot_positions
from harness.report.figures.loss import plot_loss
from harness.report.figures.quality import plot_quality
from harness.report.figures.speed import plot_throughput
from harness.report.figures.style import encode_png
from harness.report.page.page import make_page
from harness.report.readable import make_readable
from harness.report.tables import make_tables, to_csv

CSV_TABLES = (
    *("summary", "comparisons", "ceiling", "loss", "bit_error_by_length"),
    *("throughput", "timeline", "loss_distance", "time_to_target", "evaluations", "quality_comparisons"),
    "bit_error_by_position",
)
MARKDOWN_TABLES = (
    "summary",
    "bit_error_by_length",
    "throughput",
    "comparisons",
    "time_to_target",
    "quality_comparisons",
)
PLOTS = ("loss.png", "quality.png", "bit_error_by_*.png", "throughput.png", "copies_*.png")


def write_report(folder: Path) -> None:
    """(Re)make tables/, plots/, report.md and report.html in a run's folder.

    Raises ValueError, in one line, where run.json is missing, malformed or names a cell unsafely.
    """
    run = read_run(folder)
    variants = find_variants(run)
    tables = make_tables(run)
    _write_tables(folder / "tables", tables)
    figures = draw_figures(run, variants)
    _write_plots(folder / "plots", figures)
    content = make_content(run, variants, tables, list(figures))
    write_text(folder / "report.md", markdown.render(content))
    write_text(folder / "report.html", html.render(content, make_page(run, variants, content, figures)))


def _write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    folder.mkdir(exist_ok=True)
    for name in CSV_TABLES:
        write_text(folder / f"{name}.csv", to_csv(tables[name]))
    for name in MARKDOWN_TABLES:
        table = markdown.render_table(make_readable(name, tables[name]))
        write_text(folder / f"{name}.md", table)


def _write_plots(folder: Path, figures: Mapping[str, Figure]) -> None:
    """Write the figures as PNG, remove those of an earlier report."""
    folder.mkdir(exist_ok=True)
    for pattern in PLOTS:
        for stale in folder.glob(pattern):
            stale.unlink()
    for name, figure in figures.items():
        write_bytes(folder / name, encode_png(figure))


def draw_figures(run: Run, variants: list[Variant]) -> dict[str, Figure]:
    """The figures there is data for, by the names of their files."""
    drawn = {
        "loss.png": plot_loss(run, variants),
        "bit_error_by_length.png": plot_bit_error(run, variants),
        "quality.png": plot_quality(run, variants),
        "bit_error_by_position.png": plot_positions(run, variants),
        "throughput.png": plot_throughput(variants),
        **{f"copies_{cell.cell}.png": plot_copies(cell, run.task) for cell in run.drawn_cells},
    }
    return {name: figure for name, figure in drawn.items() if figure is not None}
