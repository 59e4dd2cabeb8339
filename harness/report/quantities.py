"""Numbers as text for a reader: at most four significant digits or whole from 1,000 on, empty for unknown."""

from __future__ import annotations

import math
from decimal import Decimal
from typing import SupportsFloat, cast

# What differs from 1 by less is a rounding of floating-point numbers.
MOST_RATIO_DIGITS = 9
BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")


def text(value: object) -> str:
    return "" if value is None else str(value)


def integer(value: object) -> str:
    """A whole number, exact, thousands separated: 1,326,088."""
    return "" if _is_unknown(value) else f"{value:,}"


def number(value: object) -> str:
    """Four significant digits, without an exponent from 0.0001 up: 0.007907, 12.35, 12,350."""
    if _is_unknown(value):
        return ""
    rounded = float(f"{_float(value):.4g}")
    return f"{rounded:,.0f}" if abs(rounded) >= 1000 else f"{rounded:.4g}"


def percent(value: object) -> str:
    """A fraction as a percentage of two to three significant digits, whole from 1,000 on, never with an exponent:
    0.31 %, 12.3 %, 1,234 %, 0 %."""
    if _is_unknown(value):
        return ""
    share = 100 * _float(value)
    rounded = Decimal(f"{share:.3g}" if abs(share) >= 10 else f"{share:.2g}")
    return f"{share:,.0f} %" if abs(rounded) >= 1000 else f"{rounded:f} %"


def until(value: object) -> str:
    """An effort up to a goal, whole from 1,000 on: 12.35, 320,000; never where it is infinite."""
    if _is_unknown(value):
        return ""
    effort = _float(value)
    return "never" if math.isinf(effort) else f"{effort:,.0f}" if effort >= 1000 else number(effort)


def ratio(value: object) -> str:
    """A positive ratio to two significant digits, near 1 to as many as tell it from 1: 14, 2.3, 1.0, 1.004."""
    if _is_unknown(value):
        return ""
    exact = _float(value)
    rounded = [(digits, float(f"{exact:.{digits}g}")) for digits in range(2, MOST_RATIO_DIGITS + 1)]
    digits, shown = next((pair for pair in rounded if pair[1] != 1), (2, 1.0))
    return f"{shown:,.{max(0, digits - 1 - math.floor(math.log10(shown)))}f}"


def out_of(count: object, total: object) -> str:
    """A count, and of how many where that is more: 3, 1 of 3."""
    is_part = not _is_unknown(total) and _float(count) < _float(total)
    return f"{integer(count)} of {integer(total)}" if is_part else integer(count)


def count(n: object, noun: str) -> str:
    """So many of something whose plural ends in s: 1 cell, 1,200 cells."""
    return f"{amount(n)} {noun}" if n == 1 else f"{amount(n)} {noun}s"


def count_between(least: int, most: int, noun: str) -> str:
    """Of both bounds: 5 vectors, 1 to 20 vectors."""
    return count(most, noun) if least == most else f"{least:,} to {count(most, noun)}"


def lengths(least: int, most: int) -> str:
    """length 5, lengths 1 to 20."""
    return f"length {most:,}" if least == most else f"lengths {least:,} to {most:,}"


def span(low: str, high: str) -> str:
    """What lies between two shown bounds, one where they are alike: 1.2 to 1.3, 0 %; empty where one is unknown."""
    if not low or not high:
        return ""
    return low if low == high else f"{low} to {high}"


def bytes_text(value: object) -> str:
    """A size in binary units: 345 MiB."""
    if _is_unknown(value):
        return ""
    size = _float(value)
    power = min(int(math.log(max(size, 1), 1024)), len(BYTE_UNITS) - 1)
    return f"{number(size / 1024**power)} {BYTE_UNITS[power]}"


def flag(value: object) -> str:
    """yes, no, or empty for unknown."""
    return "" if value is None else "yes" if value else "no"


def join(items: list[str]) -> str:
    """At least one item, as a list in a sentence: a, b and c."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


def setting(value: object) -> str:
    """The value of a setting: a list by its elements, none for None."""
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def amount(value: object) -> str:
    """A number from a configuration, which nobody has checked: 15,000, 0.003, or what stands there instead."""
    return integer(value) if isinstance(value, int) else number(value) if isinstance(value, float) else setting(value)


def _float(value: object) -> float:
    return float(cast(SupportsFloat, value))


def _is_unknown(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))
