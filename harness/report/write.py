"""Writing the report of a run's folder, over an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.analysis import Analysis, analyse
from harness.records.durable import write_bytes, write_text
from harness.records.reading import read_run
from harness.report import html, markdown
from harness.report.content import make_content
from harness.report.figures.bars import plot_ceiling, plot_costs, plot_throughput, plot_times
from harness.report.figures.copies import plot_copies
from harness.report.figures.lengths import plot_bit_error, plot_positions
from harness.report.figures.loss import plot_loss
from harness.report.figures.quality import plot_quality
from harness.report.figures.style import encode_png, own_settings
from harness.report.page.page import make_page
from harness.report.readable import make_readable
from harness.report.tables import make_tables, to_csv

CSV_TABLES = (
    "summary",
    "comparisons",
    "ceiling",
    "loss",
    "bit_error_by_length",
    "throughput",
    "timeline",
    "loss_distance",
    "time_to_target",
    "evaluations",
    "quality_comparisons",
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
FIGURES = {
    "loss.png": plot_loss,
    "bit_error_by_length.png": plot_bit_error,
    "quality.png": plot_quality,
    "bit_error_by_position.png": plot_positions,
    "times.png": plot_times,
    "throughput.png": plot_throughput,
    "ceiling.png": plot_ceiling,
    "costs.png": plot_costs,
}
COPIES = "copies_*.png"


def write_report(folder: Path) -> None:
    """(Re)make tables/, plots/, report.md and report.html in a run's folder.

    Raises ValueError, in one line, where run.json is missing, malformed or names a cell unsafely.
    """
    write_analysis(analyse_folder(folder), folder)


def analyse_folder(folder: Path) -> Analysis:
    """What follows from the records of a run's folder. Raises ValueError as write_report does."""
    return analyse(read_run(folder))


@own_settings()
def write_analysis(analysis: Analysis, folder: Path) -> None:
    """The files of write_report, for a run that is analysed already."""
    tables, figures = make_tables(analysis), dict(draw_figures(analysis))
    _write_tables(folder / "tables", tables)
    _write_plots(folder / "plots", figures)
    content = make_content(analysis, tables, list(figures))
    write_text(folder / "report.md", markdown.render(content))
    write_text(folder / "report.html", html.render(content, make_page(analysis, content, figures)))


def draw_figures(analysis: Analysis) -> Iterator[tuple[str, Figure]]:
    """The figures there is data for, with the names of their files: of copies, one for each length with every
    network's, and one for each network with every length."""
    for name, plot in FIGURES.items():
        if figure := plot(analysis):
            yield name, figure
    for length, sequences in groupby(analysis.copies, lambda sequence: sequence.length):
        yield f"copies_length_{length}.png", plot_copies(list(sequences))
    for cell in analysis.run.drawn_cells:
        if own := [only for sequence in analysis.copies if (only := sequence.only(cell)).outputs]:
            yield f"copies_{cell.cell}.png", plot_copies(own)


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
    for pattern in (*FIGURES, COPIES):
        for stale in folder.glob(pattern):
            stale.unlink()
    for name, figure in figures.items():
        write_bytes(folder / name, encode_png(figure))
