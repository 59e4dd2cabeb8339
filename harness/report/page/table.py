"""Tables of the page: texts with a small bar or interval in a column, and each row in its framework's colour."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.analysis.comparisons import compare_all
from harness.analysis.summary import make_summary
from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.columns import COLUMNS, TABLES
from harness.report.figures.svg import css_colour
from harness.report.readable import Readable, read_columns

Place = Callable[[float], float]
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


def rank(run: Run, variants: list[Variant]) -> MarkedTable:
    """The summary in brief, the fastest first, with bars from zero for the speeds."""
    rows: list[dict[str, Any]] = [{**dict.fromkeys(TABLES["summary"]), **row} for row in make_summary(run, variants)]
    texts = read_columns([name for name in RANKED if name != "status" or _differs(rows, name)], rows)
    named = 1 if COLUMNS["rank"].header in texts.headers else 0
    speed = COLUMNS["sequences_per_s"].header
    return MarkedTable(
        table=_insert(texts, named, "implementation", [row["marked_label"] for row in rows]),
        named=named,
        colours=[_colour(row, variants) for row in rows],
        marked=named + 1 if speed in texts.headers else None,
        marks=_bars(rows),
    )


def compare_side_by_side(run: Run, variants: list[Variant], table: Readable) -> MarkedTable:
    """The comparisons with their intervals on a log axis that holds them all, and a line where the ratio is 1."""
    ratios = [item.ratio for item in compare_all(run, variants)]
    bounds = [bound for each in ratios for bound in (each.estimate, each.low, each.high) if bound]
    low, high = math.log(min([*bounds, 1.0])), math.log(max([*bounds, 1.0]))

    def place(ratio: float) -> float:
        return _percent((math.log(ratio) - low) / ((high - low) or 1.0))

    marks: list[Mark | None] = [
        Mark(place(each.estimate), low=_known(place, each.low), high=_known(place, each.high), middle=place(1.0))
        for each in ratios
    ]
    return MarkedTable(table, marked=table.headers.index(COLUMNS["ratio"].header), marks=marks)


def _bars(rows: list[dict[str, Any]]) -> list[Mark | None]:
    farthest = max((row["sequences_per_s_high"] or row["sequences_per_s"] or 0.0 for row in rows), default=0.0)

    def place(rate: float) -> float:
        return _percent(rate / farthest)

    return [_bar(place, row) if row["sequences_per_s"] else None for row in rows]


def _bar(place: Place, row: Mapping[str, Any]) -> Mark:
    low, high = (_known(place, row[f"sequences_per_s_{end}"]) for end in ("low", "high"))
    return Mark(place(row["sequences_per_s"]), 0, low, high)


def _percent(share: float) -> float:
    return round(100 * share, 1)


def _known(place: Place, value: float | None) -> float | None:
    return None if value is None else place(value)


def _differs(rows: list[dict[str, Any]], name: str) -> bool:
    return len({row[name] for row in rows}) > 1


def _colour(row: Mapping[str, Any], variants: list[Variant]) -> str | None:
    identity = tuple(row[name] for name in ("backend", "implementation", "precision", "device"))
    for variant in variants:
        if (variant.backend, variant.implementation, variant.precision, variant.device or None) == identity:
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
