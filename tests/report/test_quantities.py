from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.report.quantities import (
    bytes_text,
    count,
    count_between,
    flag,
    integer,
    join,
    lengths,
    number,
    out_of,
    percent,
    ratio,
    setting,
    span,
)


@pytest.mark.parametrize(
    ("show", "value", "text"),
    [
        (number, 12345.6, "12,350"),
        (number, 0.0079073, "0.007907"),
        (number, 0, "0"),
        (number, float("nan"), ""),
        (percent, 0.00314, "0.31 %"),
        (percent, 0.1234, "12.3 %"),
        (percent, 0.0, "0 %"),
        (percent, 1.0, "100 %"),
        (percent, 12.345, "1,234 %"),
        (percent, 9.9996, "1,000 %"),
        (percent, -12.345, "-1,234 %"),
        (percent, 1e-7, "0.00001 %"),
        (ratio, 14.048, "14"),
        (ratio, 2.34567, "2.3"),
        (ratio, 1234.5, "1,200"),
        (ratio, 9.96, "10"),
        (ratio, 0.9549, "0.95"),
        (ratio, 0.0501, "0.050"),
        (ratio, 1.0, "1.0"),
        (ratio, 1.0349, "1.03"),
        (ratio, 1.00351, "1.004"),
        (ratio, 0.99963, "0.9996"),
        (ratio, 1 + 1e-15, "1.0"),
        (integer, 1326088, "1,326,088"),
        (bytes_text, 345 * 2**20, "345 MiB"),
        (bytes_text, 0, "0 B"),
        (flag, False, "no"),
        (setting, [1, 2], "1, 2"),
        (setting, None, "none"),
    ],
)
def test_numbers_read_well(show: Callable[[object], str], value: object, text: str) -> None:
    assert show(value) == text


@pytest.mark.parametrize("show", [number, percent, ratio, integer, bytes_text, flag])
def test_unknown_is_empty(show: Callable[[object], str]) -> None:
    assert show(None) == ""


def test_an_interval_is_empty_where_a_bound_is_unknown() -> None:
    assert span("1", "2") == "1 to 2"
    assert span("", "") == span("1", "") == ""


def test_bounds_that_are_shown_alike_are_one() -> None:
    assert span("0 %", "0 %") == "0 %"
    assert (lengths(5, 5), lengths(1, 20)) == ("length 5", "lengths 1 to 20")


def test_one_is_singular() -> None:
    assert [count(n, "cell") for n in (0, 1, 1200)] == ["0 cells", "1 cell", "1,200 cells"]
    assert (count_between(1, 1, "vector"), count_between(1, 20, "vector")) == ("1 vector", "1 to 20 vectors")
    assert (out_of(1, 3), out_of(3, 3), out_of(3, None)) == ("1 of 3", "3", "3")


@pytest.mark.parametrize(("items", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_a_list_reads_as_in_a_sentence(items: list[str], text: str) -> None:
    assert join(items) == text
