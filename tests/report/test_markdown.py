from __future__ import annotations

import pytest

from harness.report.markdown import escape, render_table
from harness.report.readable import Readable


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a|b", r"a\|b"),
        ("<script>&", "&lt;script&gt;&amp;"),
        ("`code` *bold* [link](x)", r"\`code\` \*bold\* \[link\](x)"),
        ("two\nlines\x1b[0m", r"two lines \[0m"),
        ("out_of_memory _emphasis_", r"out_of_memory \_emphasis\_"),
    ],
)
def test_markup_from_records_is_shown_not_obeyed(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_a_table_has_one_line_a_row() -> None:
    table = Readable(["name", "count"], [["a\n|b", "1"]], [False, True], [])
    assert render_table(table) == "| name | count |\n| --- | ---: |\n| a \\|b | 1 |\n"
