"""Everything that the page draws, by the section that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.content import Content
from harness.report.page.bars import BarChart, show_ceiling, stack_times
from harness.report.page.chart import LineChart
from harness.report.page.charts import chart_bit_error, chart_losses, chart_positions
from harness.report.page.quality import chart_quality
from harness.report.page.strips import CopyGroup, colour_stops, group_copies
from harness.report.page.table import MarkedTable, compare_side_by_side, rank
from harness.report.readable import Readable


@dataclass(frozen=True)
class Page:
    """Charts, bars, pictures and marked tables; empty or None where there is no data for them."""

    ranking: MarkedTable
    comparisons: MarkedTable | None
    losses: list[LineChart]
    quality: list[LineChart]
    bit_error: LineChart | None
    positions: list[LineChart]
    copies: list[CopyGroup]
    copy_colours: list[str]
    times: BarChart
    ceiling: BarChart


def make_page(run: Run, variants: list[Variant], content: Content) -> Page:
    compared = _table(content, "comparisons")
    return Page(
        ranking=rank(run, variants),
        comparisons=compare_side_by_side(run, variants, compared) if compared else None,
        losses=chart_losses(run, variants),
        quality=chart_quality(run, variants),
        bit_error=chart_bit_error(run, variants),
        positions=chart_positions(run, variants),
        copies=group_copies(run, variants),
        copy_colours=colour_stops(),
        times=stack_times(variants),
        ceiling=show_ceiling(variants),
    )


def _table(content: Content, key: str) -> Readable | None:
    """The first table of the section of that key."""
    return next((section.tables[0] for section in content.sections if section.key == key and section.tables), None)
