"""Text from anywhere, made fit for a line of a terminal or the cell of a table."""

from __future__ import annotations

import re

ESCAPE_SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def one_line(text: str) -> str:
    """Printable text on one line: no colours, no control characters, no half of a character."""
    plain = ESCAPE_SEQUENCE.sub("", text)
    return " ".join("".join(letter if letter.isprintable() else " " for letter in plain).split())
