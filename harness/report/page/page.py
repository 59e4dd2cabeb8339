"""Everything that the page draws, by the section that it belongs to."""

from __future__ import annotations

from dataclasses import dataclass

from harness.analysis.analysis import Analysis
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


def make_page(analysis: Analysis, content: Content) -> Page:
    compared = _table(content, "comparisons")
    return Page(
        ranking=rank(analysis),
        comparisons=compare_side_by_side(analysis, compared) if compared else None,
        losses=chart_losses(analysis),
        quality=chart_quality(analysis),
        bit_error=chart_bit_error(analysis),
        positions=chart_positions(analysis),
        copies=group_copies(analysis),
        copy_colours=colour_stops(),
        times=stack_times(analysis),
        ceiling=show_ceiling(analysis),
    )


def _table(content: Content, key: str) -> Readable | None:
    """The first table of the section of that key."""
    return next((section.tables[0] for section in content.sections if section.key == key and section.tables), None)
