"""Writing the report of a run's folder, over an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from harness.analysis.analysis import Analysis, analyse
from harness.records.durable import write_bytes, write_text
from harness.records.reading import read_run
from harness.report import html, markdown
from harness.report.content import make_content
from harness.report.copies import plot_copies
from harness.report.learning_plots import plot_positions, plot_quality
from harness.report.page.page import make_page
from harness.report.plots import plot_bit_error, plot_loss
from harness.report.readable import make_readable
from harness.report.speed_plot import plot_throughput
from harness.report.style import encode_png
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
    write_analysis(analyse_folder(folder), folder)


def analyse_folder(folder: Path) -> Analysis:
    """What follows from the records of a run's folder. Raises ValueError as write_report does."""
    return analyse(read_run(folder))


def write_analysis(analysis: Analysis, folder: Path) -> None:
    """The files of write_report, for a run that is analysed already."""
    tables = make_tables(analysis)
    _write_tables(folder / "tables", tables)
    images = _write_plots(folder / "plots", analysis)
    content = make_content(analysis, tables, list(images))
    write_text(folder / "report.md", markdown.render(content))
    write_text(folder / "report.html", html.render(content, make_page(analysis, content)))


def _write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    folder.mkdir(exist_ok=True)
    for name in CSV_TABLES:
        write_text(folder / f"{name}.csv", to_csv(tables[name]))
    for name in MARKDOWN_TABLES:
        table = markdown.render_table(make_readable(name, tables[name]))
        write_text(folder / f"{name}.md", table)


def _write_plots(folder: Path, analysis: Analysis) -> dict[str, bytes]:
    """Write the plots there is data for, remove those of an earlier report; return the PNG files by name."""
    folder.mkdir(exist_ok=True)
    for pattern in PLOTS:
        for stale in folder.glob(pattern):
            stale.unlink()
    images = dict(_plots(analysis))
    for name, image in images.items():
        write_bytes(folder / name, image)
    return images


def _plots(analysis: Analysis) -> Iterator[tuple[str, bytes]]:
    for name, figure in _figures(analysis):
        if figure is not None:
            yield name, encode_png(figure)


def _figures(analysis: Analysis) -> Iterator[tuple[str, Figure | None]]:
    yield "loss.png", plot_loss(analysis)
    yield "bit_error_by_length.png", plot_bit_error(analysis)
    yield "quality.png", plot_quality(analysis)
    yield "bit_error_by_position.png", plot_positions(analysis)
    yield "throughput.png", plot_throughput(analysis)
    for cell in analysis.run.drawn_cells:
        yield f"copies_{cell.cell}.png", plot_copies(cell, analysis.run.task)
