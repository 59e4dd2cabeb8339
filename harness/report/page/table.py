"""Tables of the page: texts with a small bar or interval in a column, and each row in its framework's colour."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from harness.analysis.analysis import Analysis
from harness.analysis.stats import Interval
from harness.analysis.summary import SummaryRow
from harness.analysis.variants import Variant
from harness.report.columns import COLUMNS
from harness.report.page.look import css_colour
from harness.report.page.scale import Scale, linear, logarithmic
from harness.report.readable import Readable, read_columns

RANKED = (
    *("rank", "sequences_per_s", "sequences_per_s_interval", "bit_error", "ceiling_share", "step_ms", "startup_s"),
    *("verified", "status", "reason"),
)


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


def rank(analysis: Analysis) -> MarkedTable:
    """The summary in brief, the fastest first, with bars from zero for the speeds."""
    rows, several = analysis.summary, len({row.status for row in analysis.summary}) > 1
    texts = read_columns([name for name in RANKED if name != "status" or several], [vars(row) for row in rows])
    named = 1 if COLUMNS["rank"].header in texts.headers else 0
    speed = COLUMNS["sequences_per_s"].header
    return MarkedTable(
        table=_insert(texts, named, "implementation", [row.marked_label for row in rows]),
        named=named,
        colours=[_colour(row, analysis.variants) for row in rows],
        marked=named + 1 if speed in texts.headers else None,
        marks=_bars(rows),
    )


def compare_side_by_side(analysis: Analysis, table: Readable) -> MarkedTable:
    """The comparisons with their intervals on a log axis that holds them all, and a line where the ratio is 1."""
    ratios = [item.ratio for item in analysis.comparisons]
    bounds = [bound for each in ratios for bound in (each.estimate, each.low, each.high) if bound]
    axis = logarithmic(min([*bounds, 1.0]), max([*bounds, 1.0]))
    marks: list[Mark | None] = [_dot(axis, ratio) for ratio in ratios]
    return MarkedTable(table, marked=table.headers.index(COLUMNS["ratio"].header), marks=marks)


def _dot(axis: Scale, ratio: Interval) -> Mark:
    low, high = _place_known(axis, ratio.low), _place_known(axis, ratio.high)
    return Mark(_place(axis, ratio.estimate), low=low, high=high, middle=_place(axis, 1))


def _bars(rows: list[SummaryRow]) -> list[Mark | None]:
    ends = [row.sequences_per_s_high or row.sequences_per_s or 0.0 for row in rows]
    axis = linear(0, max(ends, default=0.0))
    return [_bar(axis, row, row.sequences_per_s) if row.sequences_per_s else None for row in rows]


def _bar(axis: Scale, row: SummaryRow, rate: float) -> Mark:
    low, high = (_place_known(axis, end) for end in (row.sequences_per_s_low, row.sequences_per_s_high))
    return Mark(_place(axis, rate), 0, low, high)


def _place(axis: Scale, value: float) -> float:
    return round(100 * float(axis.share(value)), 1)


def _place_known(axis: Scale, value: float | None) -> float | None:
    return None if value is None else _place(axis, value)


def _colour(row: SummaryRow, variants: list[Variant]) -> str | None:
    for variant in variants:
        if variant.key == row.variant:
            return css_colour(variant, variants)
    return None


def _insert(table: Readable, place: int, header: str, texts: list[str]) -> Readable:
    """The table with a column of texts more."""

    def put(items: list[Any], item: Any) -> list[Any]:
        return [*items[:place], item, *items[place:]]

    return replace(
        table,
        headers=put(table.headers, header),
        numeric=put(table.numeric, False),
        rows=[put(row, text) for row, text in zip(table.rows, texts, strict=True)],
        values=[put(row, text) for row, text in zip(table.values, texts, strict=True)],
        meanings=[*table.meanings, (header, COLUMNS["implementation"].meaning)],
    )
