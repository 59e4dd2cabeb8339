from __future__ import annotations

from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.report import print_summary


@pytest.mark.parametrize("is_terminal", [False, True])
def test_the_summary_fits_80_columns(
    run_folder: Callable[..., Path], record: Callable[..., dict[str, Any]], is_terminal: bool
) -> None:
    folder = run_folder(
        record("tensorflow", implementation="idiomatic", verified=False),
        record("a_backend_with_quite_a_long_name", implementation="and_a_longer_implementation"),
        unrecorded=("theano-idiomatic-float32-seed0-r0",),
    )
    stream = StringIO()
    print_summary(folder, Console(width=200, file=stream, force_terminal=is_terminal, color_system=None))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "(not verified)" in " ".join(text.split())
    assert "no record" in text


def test_markup_and_control_characters_are_only_text(
    run_folder: Callable[..., Path], failure: Callable[..., dict[str, Any]], console: Console
) -> None:
    print_summary(run_folder(failure("torch", "failed", "[red]\x1b[31mboo[/nonsense]")), console)
    assert isinstance(console.file, StringIO)
    assert "[red] [31mboo[/nonsense]" in console.file.getvalue()
