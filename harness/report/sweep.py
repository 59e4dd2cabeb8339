"""The points of a sweep as one table, a scaling plot for each axis and a page that shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.console import Console
from rich.table import Table

from harness.analysis.analysis import Analysis
from harness.analysis.scaling import AXES as SCALING_AXES
from harness.analysis.scaling import EFFICIENCY, SHARED_MACHINE, STRONG, WEAK
from harness.analysis.variants import Variant
from harness.records.durable import write_bytes, write_text
from harness.report import summary_rows
from harness.report.columns import COLUMNS
from harness.report.figures.style import QUIET, encode_png, finish_axes, line, make_panels, name_lines, own_settings
from harness.report.markdown import render_table
from harness.report.quantities import integer, number, span
from harness.report.readable import Readable
from harness.report.tables import to_csv

Row = dict[str, Any]

LOW, HIGH = "sequences_per_s_low", "sequences_per_s_high"
RATE = ("sequences_per_s", LOW, HIGH)
SUMMARY = (
    *("backend", "implementation", "precision", "device", "status", "sequences_per_s", LOW, HIGH, "step_ms"),
    "gflop_per_s",
    "ceiling_share",
    "exchange_share",
    "verified",
    "reason",
)
SHOWN = (
    "backend",
    "implementation",
    "precision",
    "sequences_per_s",
    "step_ms",
    "gflop_per_s",
    "ceiling_share",
    "efficiency",
    "efficiency_interval",
    "exchange_share",
    "verified",
    "status",
    "reason",
)
AXIS_LABELS = {
    "batch": "sequences in a batch",
    "hidden": "units in a layer",
    "layers": "layers",
    "length": "longest pattern, vectors",
    "threads": "CPU threads",
    STRONG: "ranks that share a batch",
    WEAK: "ranks with a batch each",
}


def point_rows(analysis: Analysis, axis: str, value: int) -> list[Row]:
    """The summary of a point's run as rows of the sweep."""
    return [{"axis": axis, "value": value, **{name: row[name] for name in SUMMARY}} for row in summary_rows(analysis)]


@own_settings()
def write_sweep(folder: Path, rows: list[Row], preset: str) -> None:
    """Write sweep.csv, sweep.md and a plot <axis>.png for each axis with a speed."""
    write_text(folder / "sweep.csv", to_csv(pd.DataFrame(rows, dtype=object)))
    figures = {axis: plot_axis(axis, axis_rows) for axis, axis_rows in group_by_axis(rows).items()}
    for axis, figure in figures.items():
        if figure is not None:
            write_bytes(folder / f"{axis}.png", encode_png(figure))
    plotted = [axis for axis, figure in figures.items() if figure is not None]
    write_text(folder / "sweep.md", render_page(rows, preset, plotted))


def print_sweep(rows: list[Row], console: Console) -> None:
    """Show sequences a second in a terminal, a table for each axis with a column for each value."""
    for axis, axis_rows in group_by_axis(rows).items():
        values = dict.fromkeys(row["value"] for row in axis_rows)
        table = Table(f"sequences/s by {axis}", box=None)
        for value in values:
            table.add_column(integer(value), justify="right", overflow="fold")
        for variant, rates in _pivot(axis_rows).items():
            table.add_row(variant, *(rates.get(value, "") for value in values))
        console.print(table, markup=False, highlight=False)


def _pivot(rows: list[Row]) -> dict[str, dict[int, str]]:
    """Sequences a second by variant and value; where there are none, the status."""
    pivot: dict[str, dict[int, str]] = {}
    for row in rows:
        variant = f"{row['backend']} {row['implementation']} {row['precision']}"
        pivot.setdefault(variant, {})[row["value"]] = number(row["sequences_per_s"]) or row["status"]
    return pivot


def group_by_axis(rows: list[Row]) -> dict[str, list[Row]]:
    """Rows by axis, in the order of the sweep."""
    return {axis: [row for row in rows if row["axis"] == axis] for axis in dict.fromkeys(row["axis"] for row in rows)}


def make_axis_table(axis: str, rows: list[Row]) -> Readable:
    """One axis for a reader: a row for each value and variant, without columns that are empty throughout."""
    shown = {name: [_show(name, row) for row in rows] for name in SHOWN}
    kept = [name for name in shown if any(shown[name])]
    values = [integer(row["value"]) for row in rows]
    return Readable(
        headers=[axis, *(COLUMNS[name].header for name in kept)],
        rows=[list(texts) for texts in zip(values, *(shown[name] for name in kept), strict=True)],
        numeric=[True, *(COLUMNS[name].is_numeric for name in kept)],
        meanings=[],
    )


def _show(name: str, row: Row) -> str:
    if name != "efficiency_interval":
        return COLUMNS[name].show(row.get(name))
    bounds = [COLUMNS["efficiency"].show(row.get(bound)) for bound in ("efficiency_low", "efficiency_high")]
    return span(*bounds)


def render_page(rows: list[Row], preset: str, plotted: list[str]) -> str:
    """The sweep as Markdown, with the plots as images beside it."""
    blocks = [
        "# Sweep\n",
        f"Each axis is varied alone, everything else as in the preset `{Path(preset).stem}` and the other options; the"
        " axes are not combined. Every row is a run of its own, in the folder `<axis>-<value>`.\n",
    ]
    for axis, axis_rows in group_by_axis(rows).items():
        blocks.append(f"## {axis}: {AXIS_LABELS[axis]}\n")
        if axis in SCALING_AXES and all(row["device"] in ("cpu", None) for row in axis_rows):
            blocks.append(f"{SHARED_MACHINE}\n")
        if axis in plotted:
            blocks.append(f"![Training sequences a second by {AXIS_LABELS[axis]}]({axis}.png)\n")
        blocks.append(render_table(make_axis_table(axis, axis_rows)))
    return "\n".join(blocks)


def plot_axis(axis: str, rows: list[Row]) -> Figure | None:
    """Sequences a second against the axis, both logarithmic, a line for each variant; None without any speed."""
    lines: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        if row["sequences_per_s"] is not None:
            key = tuple(str(row[name]) for name in ("backend", "implementation", "precision", "device"))
            lines.setdefault(key, []).append(row)
    if not lines:
        return None
    variants = {key: _make_variant(key, points) for key, points in lines.items()}
    scales = axis in SCALING_AXES
    figure, panels = make_panels(2 if scales else 1, len(variants))
    shown = (RATE, EFFICIENCY)[: len(panels)]
    for axes, columns in zip(panels, shown, strict=True):
        for key, points in lines.items():
            _draw_line(axes, variants[key], points, list(variants.values()), columns)
        _scale_values(axes, sorted({row["value"] for row in rows}))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    x_label = f"{AXIS_LABELS[axis]} (log scale)"
    finish_axes(panels[0], "Training throughput", x_label, "sequences a second")
    for axes in panels[1:]:
        finish_axes(axes, "Efficiency", x_label, "share of the speed\nof as many processes")
        axes.axhline(1.0, color=QUIET, linewidth=1)
    name_lines(figure, panels)
    return figure


def _make_variant(key: tuple[str, ...], points: list[Row]) -> Variant:
    """A line's identity for colours and labels; it is verified unless one of its points is not."""
    backend, implementation, precision, device = key
    verified = False if any(point["verified"] is False for point in points) else None
    label = f"{backend} {implementation} {precision}"
    return Variant(backend, implementation, precision, device, label, cells=[], speed=None, verified=verified)


def _draw_line(
    axes: Axes, variant: Variant, points: list[Row], variants: list[Variant], columns: tuple[str, str, str]
) -> None:
    """A line through the first of the columns, with bars from the second to the third."""
    name, low, high = columns
    properties = line(variant, variants)
    ordered = sorted((point for point in points if point.get(name) is not None), key=lambda point: point["value"])
    if not ordered:
        return
    axes.plot([point["value"] for point in ordered], [point[name] for point in ordered], **properties)
    bounded = [point for point in ordered if point[low] is not None and point[high] is not None]
    lows, highs = [point[low] for point in bounded], [point[high] for point in bounded]
    axes.vlines([point["value"] for point in bounded], lows, highs, color=properties["color"], linewidth=1)


def _scale_values(axes: Axes, values: list[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
