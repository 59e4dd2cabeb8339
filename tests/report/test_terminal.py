from __future__ import annotations

import re
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.report import analyse_folder, print_summary


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
    print_summary(
        analyse_folder(folder), Console(width=200, file=stream, force_terminal=is_terminal, color_system=None)
    )
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "(not verified)" in " ".join(text.split())
    assert "no record" in text


def test_markup_and_control_characters_are_only_text(
    run_folder: Callable[..., Path], failure: Callable[..., dict[str, Any]], console: Console
) -> None:
    print_summary(analyse_folder(run_folder(failure("torch", "failed", "[red]\x1b[31mboo[/nonsense]"))), console)
    assert isinstance(console.file, StringIO)
    assert "[red] [31mboo[/nonsense]" in console.file.getvalue()


def test_intervals_floor_ceiling_and_warnings_fit_80_columns(
    run_folder: Callable[..., Path],
    repeats: Callable[..., list[dict[str, Any]]],
    product: Callable[..., dict[str, Any]],
) -> None:
    folder = run_folder(
        *repeats("torch", step_s=0.01, n=3, other_cpu_share=0.2),
        products=[product(1e-5)],
        a_a={"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 2},
    )
    stream = StringIO()
    print_summary(analyse_folder(folder), Console(width=200, file=stream, color_system=None))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(stream.getvalue().split())
    header = "# trained seq/s 95 % interval ceiling ms/step bit error"
    assert header in text
    assert re.search(r"(?<!1 )torch idiomatic [\d,]+ [\d,]+ to [\d,]+ [\d.]+ % [\d.]+ [\d.]+ % Noise floor", text)
    assert "No ranking: other processes used up to 20 % of the processors while torch idiomatic trained" in text
    for part in ("Noise floor: torch idiomatic against itself", "The ceiling in float32", "Warning: Other processes"):
        assert part in text


def test_it_ends_with_the_conclusion_in_one_sentence(repeated_run: Path) -> None:
    stream = StringIO()
    print_summary(analyse_folder(repeated_run), Console(width=200, file=stream, color_system=None))
    lines = stream.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    sentence = " ".join(" ".join(lines).split()).partition("by torch (torch.mm). ")[2]
    assert " had the highest rate, but no difference is shown between it and " in sentence
    assert sentence.endswith(
        "; all 3 learned the task (bit error 0.75 % to 0.8 %); every one was verified against the reference."
    )
