"""The points of a sweep as one table, a scaling plot for each axis and a page that shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from rich.console import Console
from rich.table import Table

from harness.analysis.scaling import AXES as SCALING_AXES
from harness.analysis.scaling import SHARED_MACHINE, STRONG, WEAK, SweepRow
from harness.analysis.variants import Key, Variant
from harness.records.durable import write_bytes, write_text
from harness.report.figures.style import QUIET, encode_png, finish_axes, line, make_panels, name_lines, own_settings
from harness.report.markdown import render_table
from harness.report.quantities import integer, number
from harness.report.readable import Readable, make_readable
from harness.report.tables import make_frame, to_csv

# What a panel shows, and the bounds of its interval.
RATE = ("sequences_per_s", "sequences_per_s_low", "sequences_per_s_high")
EFFICIENCY = ("efficiency", "efficiency_low", "efficiency_high")
AXIS_LABELS = {
    "batch": "sequences in a batch",
    "hidden": "units in a layer",
    "layers": "layers",
    "length": "longest pattern, vectors",
    "threads": "CPU threads",
    STRONG: "ranks that share a batch",
    WEAK: "ranks with a batch each",
}


@own_settings()
def write_sweep(folder: Path, rows: list[SweepRow], preset: str) -> None:
    """Write sweep.csv, sweep.md and a plot <axis>.png for each axis with a speed."""
    write_text(folder / "sweep.csv", to_csv(make_frame("sweep", rows)))
    figures = {axis: plot_axis(axis, axis_rows) for axis, axis_rows in group_by_axis(rows).items()}
    plotted = {axis: figure for axis, figure in figures.items() if figure is not None}
    for axis, figure in plotted.items():
        write_bytes(folder / f"{axis}.png", encode_png(figure))
    write_text(folder / "sweep.md", render_page(rows, preset, list(plotted)))


def print_sweep(rows: list[SweepRow], console: Console) -> None:
    """Show sequences a second in a terminal, a table for each axis with a column for each value."""
    for axis, axis_rows in group_by_axis(rows).items():
        values = dict.fromkeys(row.value for row in axis_rows)
        table = Table(f"sequences/s by {axis}", box=None)
        for value in values:
            table.add_column(integer(value), justify="right", overflow="fold")
        for variant, rates in _pivot(axis_rows).items():
            table.add_row(variant, *(rates.get(value, "") for value in values))
        console.print(table, markup=False, highlight=False)


def _pivot(rows: list[SweepRow]) -> dict[str, dict[int, str]]:
    """Sequences a second by variant and value; where there are none, the status."""
    pivot: dict[str, dict[int, str]] = {}
    for row in rows:
        variant = f"{row.backend} {row.implementation} {row.precision}"
        pivot.setdefault(variant, {})[row.value] = number(row.sequences_per_s) or row.status
    return pivot


def group_by_axis(rows: list[SweepRow]) -> dict[str, list[SweepRow]]:
    """Rows by axis, in the order of the sweep."""
    return {axis: [row for row in rows if row.axis == axis] for axis in dict.fromkeys(row.axis for row in rows)}


def make_axis_table(axis: str, rows: list[SweepRow]) -> Readable:
    """One axis for a reader: a row for each value and variant, without columns that are empty throughout."""
    table = make_readable("sweep", make_frame("sweep", rows))
    return replace(table, headers=[axis, *table.headers[1:]])


def render_page(rows: list[SweepRow], preset: str, plotted: list[str]) -> str:
    """The sweep as Markdown, with the plots as images beside it."""
    blocks = [
        "# Sweep\n",
        f"Each axis is varied alone, everything else as in the preset `{Path(preset).stem}` and the other options; the"
        " axes are not combined. Every row is a run of its own, in the folder `<axis>-<value>`.\n",
    ]
    for axis, axis_rows in group_by_axis(rows).items():
        blocks.append(f"## {axis}: {AXIS_LABELS[axis]}\n")
        if axis in SCALING_AXES and all(row.device in ("cpu", None) for row in axis_rows):
            blocks.append(f"{SHARED_MACHINE}\n")
        if axis in plotted:
            blocks.append(f"![Training sequences a second by {AXIS_LABELS[axis]}]({axis}.png)\n")
        blocks.append(render_table(make_axis_table(axis, axis_rows)))
    return "\n".join(blocks)


def plot_axis(axis: str, rows: list[SweepRow]) -> Figure | None:
    """Sequences a second against the axis, both logarithmic, a line for each variant; None without any speed."""
    lines: dict[Key, list[SweepRow]] = {}
    for row in rows:
        if row.sequences_per_s is not None:
            lines.setdefault((row.backend, row.implementation, row.precision, row.device or ""), []).append(row)
    if not lines:
        return None
    variants = {key: _make_variant(key, points) for key, points in lines.items()}
    scales = axis in SCALING_AXES
    figure, panels = make_panels(2 if scales else 1, len(variants))
    for axes, columns in zip(panels, (RATE, EFFICIENCY), strict=False):
        _draw_lines(axes, {variants[key]: points for key, points in lines.items()}, columns)
        _scale_values(axes, sorted({row.value for row in rows}))
        axes.set_ylim(bottom=0)
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: number(value)))
    x_label = f"{AXIS_LABELS[axis]} (log scale)"
    finish_axes(panels[0], "Training throughput", x_label, "sequences a second")
    for axes in panels[1:]:
        finish_axes(axes, "Efficiency", x_label, "share of the speed\nof as many processes")
        axes.axhline(1.0, color=QUIET, linewidth=1)
    name_lines(figure, panels)
    return figure


def _make_variant(key: Key, points: list[SweepRow]) -> Variant:
    """A line's identity for colours and labels; it is verified unless one of its points is not."""
    backend, implementation, precision, device = key
    verified = False if any(point.verified is False for point in points) else None
    label = f"{backend} {implementation} {precision}"
    return Variant(backend, implementation, precision, device, label, cells=[], speed=None, verified=verified)


def _draw_lines(axes: Axes, lines: Mapping[Variant, list[SweepRow]], columns: tuple[str, str, str]) -> None:
    """A line for each variant through the first of the columns, with bars from the second to the third."""
    name, low, high = columns
    for variant, points in lines.items():
        measured = sorted((each for each in points if getattr(each, name) is not None), key=lambda each: each.value)
        if not measured:
            continue
        properties = line(variant, list(lines))
        axes.plot([each.value for each in measured], [getattr(each, name) for each in measured], **properties)
        for each in measured:
            if getattr(each, low) is not None and getattr(each, high) is not None:
                ends = getattr(each, low), getattr(each, high)
                axes.vlines(each.value, *ends, color=properties["color"], linewidth=1)


def _scale_values(axes: Axes, values: list[int]) -> None:
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(values))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
