"""The environment for a reader, in a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from harness.machine.software import FIRST_PACKAGES

WIDTH = 80


def print_environment(environment: Mapping[str, Any], console: Console) -> None:
    """A line for everything that is known; of the packages, those that a result depends on most."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    packages = environment["packages"]
    shown = {name: packages[name] for name in FIRST_PACKAGES if packages.get(name)}
    n_more = sum(version is not None for version in packages.values()) - len(shown)
    for name, value in {**environment, "packages": {**shown, "and": f"{n_more} more, with --json"}}.items():
        text = _say(name, value)
        if text:
            table.add_row(Text(_spell(name), style="bold"), Text(text))
    console.print(table, width=min(WIDTH, console.width))


def _spell(name: str) -> str:
    return name.removesuffix("_bytes").replace("_", " ")


def _say(name: str, value: Any) -> str:
    if value is None or value == {} or value == []:
        return ""
    if name.endswith("_bytes"):
        return f"{value / 2**30:,.1f} GiB"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    if isinstance(value, Mapping):
        known = {key: _say(key, part) for key, part in value.items()}
        is_named = name in ("packages", "variables")
        return ", ".join(f"{key if is_named else _spell(key)} {text}" for key, text in known.items() if text)
    if isinstance(value, list):
        separator = "; " if any(isinstance(part, Mapping) for part in value) else ", "
        return separator.join(_say("", part) for part in value)
    return str(value)
