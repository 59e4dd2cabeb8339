from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.report.load import read_run
from harness.report.tables import make_tables
from harness.report.variants import find_variants
from harness.report.words import conclude, describe_run

Make = Callable[..., dict[str, Any]]


def conclusions_of(folder: Path) -> str:
    run = read_run(folder)
    return "\n".join(conclude(run, find_variants(run), make_tables(run)))


def test_the_run_is_described(mixed_run: Path) -> None:
    text = describe_run(read_run(mixed_run))
    for part in ("1 to 5 random vectors of 8 bits", "hidden 128", "335,112 parameters", "batch 16", "Imaginary CPU"):
        assert part in text


def test_the_fastest_is_named_with_ratios_and_what_is_not_verified_is_not_ranked(mixed_run: Path) -> None:
    text = conclusions_of(mixed_run)
    assert "Fastest in training on this run was torch idiomatic" in text
    assert "times jax idiomatic" in text
    assert "times tensorflow" not in text
    assert "listed but not ranked: tensorflow idiomatic" in text
    assert "2 of 5 cells did not end ok" in text


def test_one_process_for_each_cell_is_cautioned_against(run_folder: Callable[..., Path], record: Make) -> None:
    assert "no interval" in conclusions_of(run_folder(record("torch")))


def test_repeats_are_not(run_folder: Callable[..., Path], record: Make) -> None:
    assert "no interval" not in conclusions_of(run_folder(record("torch"), record("torch", repeat=1)))


def test_who_did_not_learn_is_told(run_folder: Callable[..., Path], record: Make) -> None:
    guess = {
        "length": 5,
        "sequences": 1,
        "wrong_bits": 20,
        "bit_error": 0.5,
        "exact_fraction": 0,
        "bits_per_sequence": 40,
    }
    text = conclusions_of(run_folder(record("torch"), record("jax", evaluation={"lengths": [guess]})))
    assert "Not learned, or hardly; bit error over the trained lengths (1 to 5): 50 % (jax idiomatic)" in text
    assert "Some implementations learned" in text
