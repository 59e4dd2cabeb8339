"""One way to print a line that a person reads."""

from __future__ import annotations

from rich.console import Console


def say(console: Console, text: str) -> None:
    """A line as it is: neither wrapped nor coloured, and square brackets in it are no markup."""
    console.print(text, soft_wrap=True, highlight=False, markup=False)
