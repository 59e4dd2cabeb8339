"""Tables of the page: texts with a small bar or interval in a column, and each row in its framework's colour."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

from harness.analysis.analysis import Analysis
from harness.analysis.summary import SummaryRow
from harness.analysis.variants import Variant
from harness.report.columns import COLUMNS
from harness.report.figures.svg import css_colour
from harness.report.readable import Readable, rank

Place = Callable[[float], float]


@dataclass(frozen=True)
class Mark:
    """A bar from `start`, or a dot where there is none, at `at`, with its interval; in per cent of the mark's width."""

    at: float
    start: float | None = None
    low: float | None = None
    high: float | None = None
    middle: float | None = None


@dataclass(frozen=True)
class MarkedTable:
    """A table whose column `marked` holds a mark for each row; `named` is the column of names, in the rows' colours."""

    table: Readable
    named: int | None = None
    colours: list[str | None] = field(default_factory=list)
    marked: int | None = None
    marks: list[Mark | None] = field(default_factory=list)


def mark_ranking(analysis: Analysis) -> MarkedTable:
    """The ranking with bars from zero for the speeds."""
    table, speed = rank(analysis), COLUMNS["sequences_per_s"].header
    return MarkedTable(
        table=table,
        named=table.headers.index(COLUMNS["marked_label"].header) if table.headers else None,
        colours=[_colour(row, analysis.variants) for row in analysis.summary],
        marked=table.headers.index(speed) if speed in table.headers else None,
        marks=_bars(analysis.summary),
    )


def compare_side_by_side(analysis: Analysis, table: Readable) -> MarkedTable:
    """The comparisons with their intervals on a log axis that holds them all, and a line where the ratio is 1."""
    ratios = [item.ratio for item in analysis.comparisons]
    bounds = [bound for each in ratios for bound in (each.estimate, each.low, each.high) if bound]
    low, high = math.log(min([*bounds, 1.0])), math.log(max([*bounds, 1.0]))

    def place(ratio: float) -> float:
        return _percent((math.log(ratio) - low) / ((high - low) or 1.0))

    marks: list[Mark | None] = [
        Mark(place(each.estimate), low=_known(place, each.low), high=_known(place, each.high), middle=place(1.0))
        for each in ratios
    ]
    return MarkedTable(table, marked=table.headers.index(COLUMNS["ratio"].header), marks=marks)


def _bars(rows: list[SummaryRow]) -> list[Mark | None]:
    farthest = max((row.sequences_per_s_high or row.sequences_per_s or 0.0 for row in rows), default=0.0)

    def place(rate: float) -> float:
        return _percent(rate / farthest)

    return [_bar(place, row, row.sequences_per_s) if row.sequences_per_s else None for row in rows]


def _bar(place: Place, row: SummaryRow, rate: float) -> Mark:
    return Mark(place(rate), 0, _known(place, row.sequences_per_s_low), _known(place, row.sequences_per_s_high))


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _known(place: Place, value: float | None) -> float | None:
    return None if value is None else place(value)


def _colour(row: SummaryRow, variants: list[Variant]) -> str | None:
    for variant in variants:
        if variant.key == row.variant:
            return css_colour(variant, variants)
    return None
