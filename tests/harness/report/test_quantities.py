from __future__ import annotations

from collections.abc import Callable

import pytest

from harness.report.quantities import bytes_text, flag, integer, join, number, percent, ratio, setting, span


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
    assert span("", "") == ""


@pytest.mark.parametrize(("items", "text"), [(["a"], "a"), (["a", "b"], "a and b"), (["a", "b", "c"], "a, b and c")])
def test_a_list_reads_as_in_a_sentence(items: list[str], text: str) -> None:
    assert join(items) == text
