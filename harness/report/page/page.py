"""Everything that the page draws, by the section or the picture that it belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.content import Content
from harness.report.figures.svg import embed
from harness.report.page.bars import BarChart, show_ceiling, stack_times
from harness.report.page.table import MarkedTable, compare_side_by_side, rank
from harness.report.readable import Readable


@dataclass(frozen=True)
class Page:
    """Marked tables, bars, and the figures as SVG by the path of their picture."""

    ranking: MarkedTable
    comparisons: MarkedTable | None
    figures: Mapping[str, list[Markup]]
    times: BarChart
    ceiling: BarChart


def make_page(run: Run, variants: list[Variant], content: Content, figures: Mapping[str, Figure]) -> Page:
    """The figures by the names of their files in plots/."""
    compared = _table(content, "comparisons")
    return Page(
        ranking=rank(run, variants),
        comparisons=compare_side_by_side(run, variants, compared) if compared else None,
        figures={f"plots/{name}": embed(figure, name) for name, figure in figures.items()},
        times=stack_times(variants),
        ceiling=show_ceiling(variants),
    )


def _table(content: Content, key: str) -> Readable | None:
    """The first table of the section of that key."""
    return next((section.tables[0] for section in content.sections if section.key == key and section.tables), None)
