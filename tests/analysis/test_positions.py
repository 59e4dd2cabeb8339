from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from harness.analysis.analysis import analyse
from harness.analysis.measures import bit_error_interval
from harness.analysis.positions import find_length, measure_middle, measured_lengths, position_rows
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.figures.lengths import plot_positions
from harness.report.learning_words import conclude_learning
from harness.task.metrics import middle_third

Make = Callable[..., dict[str, Any]]
LENGTH, SEQUENCES = 20, 200
EVEN = np.full(LENGTH, 0.01)
MIDDLE = np.where(middle_third(LENGTH), 0.03, 0.003)
NOT_IN_THE_MIDDLE = np.where(middle_third(LENGTH), 0.0, 0.02)
ENDS = np.where(middle_third(LENGTH), 0.0005, 0.02)


def measure(chances: NDArray[np.float64], seed: int = 0) -> dict[str, Any]:
    """The measures of length 20 where a bit at each position is wrong with such a chance."""
    wrong = np.random.default_rng(seed).binomial(8, chances, (SEQUENCES, LENGTH))
    has, middle = wrong.sum(axis=1) > 0, wrong[:, middle_third(LENGTH)].sum(axis=1)
    n_wrong = int(wrong.sum())
    whole = {"length": LENGTH, "sequences": SEQUENCES, "wrong_bits": n_wrong, "bits_per_sequence": 1.0}
    shares = {"bit_error": n_wrong / (SEQUENCES * LENGTH * 8), "exact_fraction": float(1 - has.mean())}
    sides = {"middle": middle, "outside": wrong.sum(axis=1) - middle}
    places = {f"wrong_bits_{name}": counts[has].tolist() for name, counts in sides.items()}
    return {**whole, **shares, **places, "wrong_bits_by_position": wrong.sum(axis=0).tolist()}


@pytest.fixture
def errors_run(run_folder: Callable[..., Path], record: Make) -> Callable[..., Path]:
    """A function that writes a run trained up to length 20, one network for each array of chances of an error."""

    def write(*chances: NDArray[np.float64]) -> Path:
        records = [record("torch", seed=seed) for seed in range(len(chances))]
        for seed, (each, chance) in enumerate(zip(records, chances, strict=True)):
            each["evaluation"]["lengths"] = [measure(chance, seed)]
        folder = run_folder(*records)
        description = json.loads((folder / "run.json").read_text())
        description["configuration"]["task"]["max_length"] = LENGTH
        (folder / "run.json").write_text(json.dumps(description))
        return folder

    return write


def conclusion(folder: Path) -> str:
    run = read_run(folder)
    return next(text for text in conclude_learning(analyse(run)) if "mid-sequence" in text)


def test_errors_in_the_middle_are_found(errors_run: Callable[..., Path]) -> None:
    run = read_run(errors_run(MIDDLE))
    middle = measure_middle(find_length(run.cells[0], LENGTH))
    assert middle is not None
    assert middle.even_share == 0.3
    assert middle.share.estimate > 0.7
    assert middle.is_fuller
    assert not middle.is_emptier


def test_even_errors_are_called_fuller_seldom() -> None:
    def is_fuller(seed: int) -> bool:
        item = measure(EVEN, seed)
        wholes = np.add(item["wrong_bits_middle"], item["wrong_bits_outside"])
        assert wholes.min() > 0
        from harness.analysis.stats import share_interval

        return (share_interval(item["wrong_bits_middle"], wholes.tolist()).low or 0) > 0.3

    assert sum(is_fuller(seed) for seed in range(60)) <= 5


@pytest.mark.parametrize(
    ("chances", "said"),
    [
        ([MIDDLE], "yes, in the network tested"),
        ([MIDDLE, MIDDLE], "yes, in each of the 2 networks tested"),
        ([ENDS, ENDS], "no (2 tested, 2 with fewer errors there than elsewhere)"),
        ([MIDDLE, ENDS], "in 1 of the 2 networks tested"),
        ([np.zeros(LENGTH)], "too few sequences have a wrong bit to tell"),
    ],
)
def test_the_report_says_whether_the_remark_held(
    errors_run: Callable[..., Path], chances: list[NDArray[np.float64]], said: str
) -> None:
    sentence = conclusion(errors_run(*chances))
    assert sentence.startswith("Do errors gather mid-sequence, as the original's author remarked? At length 20")
    assert said in sentence


def test_shares_that_are_shown_alike_are_told_once(errors_run: Callable[..., Path]) -> None:
    sentence = conclusion(errors_run(NOT_IN_THE_MIDDLE, NOT_IN_THE_MIDDLE))
    assert "the middle third holds 0 % of the wrong bits" in sentence


def test_the_page_and_the_plot_show_the_medians_of_the_table(run_folder: Callable[..., Path], record: Make) -> None:
    """Of three networks, one tested on fewer sequences: what is pooled, or of other lengths, is not the table's."""
    records = [record("torch", seed=seed, copies=(3, LENGTH)) for seed in range(3)]
    for seed, each in enumerate(records):
        n_sequences, wrong = (SEQUENCES, 10)[seed == 2], np.arange(LENGTH) * (seed + 1) % 7
        parts = {"sequences": n_sequences, "wrong_bits_by_position": wrong.tolist(), "wrong_bits": int(wrong.sum())}
        template = each["evaluation"]["lengths"][0]
        each["evaluation"]["lengths"] = [
            template | parts | {"length": LENGTH},
            template | {"length": 3, "wrong_bits_by_position": [1, 2, 3]},
        ]
    run = read_run(run_folder(*records))
    rows = pd.DataFrame(position_rows(run))
    medians = 100 * rows.groupby(["length", "position"])["bit_error"].median()
    figure = plot_positions(analyse(run))
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["Length 20 (not trained)"]
    assert set(rows["length"]) == {LENGTH}
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), medians)


def test_positions_are_a_table_and_a_plot(errors_run: Callable[..., Path]) -> None:
    folder = errors_run(MIDDLE)
    write_report(folder)
    assert (folder / "plots" / "bit_error_by_position.png").is_file()
    rows = list(position_rows(read_run(folder)))
    assert [row.position for row in rows] == list(range(1, LENGTH + 1))
    assert sum(row.wrong_bits for row in rows) == measure(MIDDLE)["wrong_bits"]


def test_the_bit_error_has_an_interval_over_sequences(errors_run: Callable[..., Path]) -> None:
    run = read_run(errors_run(EVEN))
    item = find_length(run.cells[0], LENGTH)
    assert item is not None
    interval = bit_error_interval(item, run.task)
    assert interval is not None
    assert interval.low < 0.01 < interval.high  # type: ignore[operator]
    assert interval.estimate == item.bit_error


def test_the_tested_lengths_are_trained_ones(errors_run: Callable[..., Path], run_folder: Callable[..., Path]) -> None:
    assert measured_lengths(read_run(errors_run(EVEN))) == [20]


def test_an_older_record_has_no_positions(run_folder: Callable[..., Path], record: Make) -> None:
    run = read_run(run_folder(record("torch")))
    assert list(position_rows(run)) == []
    assert bit_error_interval(run.cells[0].evaluation.lengths[0], run.task) is None  # type: ignore[union-attr]


def test_breakdowns_that_do_not_belong_together_fail_the_record(run_folder: Callable[..., Path], record: Make) -> None:
    broken = record("torch")
    broken["evaluation"]["lengths"] = [{**measure(MIDDLE), "wrong_bits_by_position": [1, 2]}]
    (cell,) = read_run(run_folder(broken)).cells
    assert cell.status == "failed"
    assert "by position" in str(cell.reason)
