"""Everything that the page draws in its own way: figures as SVG, by their place in the run's folder, and marked tables,
by the section that they belong to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from markupsafe import Markup
from matplotlib.figure import Figure

from harness.analysis.analysis import Analysis
from harness.report.content import Content
from harness.report.figures.svg import embed
from harness.report.page.table import MarkedTable, compare_side_by_side, mark_ranking


@dataclass(frozen=True)
class Page:
    """A figure is one picture for each of its panels."""

    figures: dict[str, list[Markup]]
    marked: dict[str, MarkedTable]


def make_page(analysis: Analysis, content: Content, figures: Mapping[str, Figure]) -> Page:
    """The figures are by the names of their files in plots/."""
    shown = {picture.path for section in content.sections for picture in section.pictures}
    drawn = {f"plots/{name}": figure for name, figure in figures.items()}
    return Page(
        figures={path: embed(figure, path) for path, figure in drawn.items() if path in shown},
        marked=dict(_mark_tables(analysis, content)),
    )


def _mark_tables(analysis: Analysis, content: Content) -> Iterator[tuple[str, MarkedTable]]:
    for section in content.sections:
        if section.key == "results" and section.tables:
            yield section.key, mark_ranking(analysis)
        elif section.key == "comparisons" and section.tables:
            yield section.key, compare_side_by_side(analysis, section.tables[0])
