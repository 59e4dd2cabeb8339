from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import analyse
from harness.analysis.quality import QualityComparison
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.learning_words import conclude_learning

Make = Callable[..., dict[str, Any]]


def with_loss(make: Make, backend: str, seed: int, loss: float, **changes: Any) -> dict[str, Any]:
    cell = make(backend, seed=seed, **changes)
    cell["evaluation"]["test"]["original_loss"] = loss
    return cell


def compare(folder: Path) -> dict[str, QualityComparison]:
    run = read_run(folder)
    return {item.measure: item for item in analyse(run).quality}


def test_a_difference_on_the_same_seeds_is_found_though_seeds_differ_more(
    run_folder: Callable[..., Path], record: Make
) -> None:
    losses = (0.008, 0.011, 0.015)
    ours = [with_loss(record, "torch", seed, loss) for seed, loss in enumerate(losses)]
    theirs = [with_loss(record, "jax", seed, loss + 0.0005 + seed * 1e-5) for seed, loss in enumerate(losses)]
    comparison = compare(run_folder(*ours, *theirs))["original_loss"]
    assert (comparison.left, comparison.right, comparison.seeds) == ("jax idiomatic", "torch idiomatic", 3)
    assert comparison.difference.estimate == pytest.approx(0.00051)
    assert comparison.conclusion == "right better"


def test_an_interval_that_holds_zero_shows_no_difference(run_folder: Callable[..., Path], record: Make) -> None:
    ours = [with_loss(record, "torch", seed, 0.008) for seed in range(3)]
    theirs = [with_loss(record, "jax", seed, loss) for seed, loss in enumerate((0.007, 0.008, 0.0095))]
    folder = run_folder(*ours, *theirs)
    assert compare(folder)["original_loss"].conclusion == "no difference shown"
    run = read_run(folder)
    assert any("are shown to differ in original loss" in text for text in conclude_learning(analyse(run)))


def test_one_seed_concludes_nothing(run_folder: Callable[..., Path], record: Make) -> None:
    comparison = compare(run_folder(record("torch"), record("jax")))["original_loss"]
    assert (comparison.conclusion, comparison.difference.low) == (None, None)


def test_only_seeds_in_common_are_compared_and_repeats_are_one(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [with_loss(record, "torch", seed, 0.008) for seed in (0, 1)]
    cells += [with_loss(record, "torch", 0, 0.010, repeat=1), with_loss(record, "jax", 0, 0.008)]
    comparison = compare(run_folder(*cells))["original_loss"]
    assert comparison.seeds == 1
    assert comparison.difference.estimate == pytest.approx(0.008 - 0.009)


def test_seeds_that_did_not_end_ok_are_told(run_folder: Callable[..., Path], record: Make, failure: Make) -> None:
    ours = [with_loss(record, "torch", seed, 0.008) for seed in range(4)]
    theirs = [with_loss(record, "jax", seed, loss) for seed, loss in enumerate((0.007, 0.008, 0.0095))]
    folder = run_folder(*ours, *theirs, failure("jax", "diverged", "nan", seed=3))
    write_report(folder)
    header, _, first, *_ = (folder / "tables" / "quality_comparisons.md").read_text().splitlines()
    row = dict(zip(header.split(" | "), first.split(" | "), strict=True))
    assert row["seeds"] == "3 of 4"
    text = (folder / "report.md").read_text()
    assert "On the same 3 of 4 seeds, those that both ended ok, no two implementations" in text


def test_numbers_of_a_comparison_are_shown_from_three_seeds_on(run_folder: Callable[..., Path], record: Make) -> None:
    for n_seeds in (1, 2, 3):
        cells = [with_loss(record, name, seed, 0.008) for name in ("torch", "jax") for seed in range(n_seeds)]
        folder = run_folder(*cells, name=f"run{n_seeds}")
        write_report(folder)
        report, page = (folder / "report.md").read_text(), (folder / "report.html").read_text()
        assert ("| difference |" in report) == (">difference<" in page) == (n_seeds >= 3)
        assert ("Fewer than 3 seeds cannot tell" in report) == (n_seeds < 3)
        # The files keep every number.
        assert (folder / "tables" / "quality_comparisons.csv").read_text().count("jax idiomatic") == 4
        assert (folder / "tables" / "quality_comparisons.md").read_text().count("jax idiomatic") == 4


def test_what_failed_verification_is_not_compared(run_folder: Callable[..., Path], record: Make) -> None:
    assert compare(run_folder(record("torch"), record("jax", verified=False))) == {}
