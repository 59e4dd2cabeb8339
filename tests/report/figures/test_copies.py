"""Pictures of copies: what was shown, what was to be given back, and where each network is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from harness.analysis.analysis import analyse
from harness.analysis.copies import CopiedSequence, Output
from harness.records.reading import read_run
from harness.report.figures.copies import plot_copies
from harness.task.copy_task import CopyTask

Make = Callable[..., dict[str, Any]]
TARGET = [[0.0] * 8 for _ in range(3)] + [[1.0] * 8]


def copies_of(folder: Path) -> list[CopiedSequence]:
    return analyse(read_run(folder)).copies


def draw(sequence: CopiedSequence) -> dict[str, Axes]:
    """The rows of cells by their titles; a strip has the title of its row and an ending."""
    rows: dict[str, Axes] = {}
    for axes in plot_copies([sequence]).axes:
        if axes.images:
            rows[axes.get_title("left") or f"{next(reversed(rows))}, strip"] = axes
    return rows


def test_a_sequence_has_its_input_and_target_once_then_every_variant(
    run_folder: Callable[..., Path], record: Make
) -> None:
    # Names of one length are given the same sequences.
    first, second = copies_of(run_folder(record("torch"), record("keras", step_s=0.02), record("flaxy", step_s=0.03)))
    assert [(each.length, each.is_trained) for each in (first, second)] == [(3, True), (10, False)]
    rows = [title for title in draw(second) if not title.endswith("strip")]
    assert rows[:2] == ["Length 10 (not trained): input", "target"]
    assert [title.partition(":")[0] for title in rows[2:]] == [
        "torch idiomatic",
        "keras idiomatic",
        "flaxy idiomatic",
    ]


def test_the_input_is_the_one_of_the_task(run_folder: Callable[..., Path], record: Make) -> None:
    batch = CopyTask(max_length=5).evaluation_batch(seed=0, length=4, size=1)
    target = batch.targets[0].tolist()
    copies = [{"length": 4, "target": target, "prediction": target}]
    (sequence,) = copies_of(run_folder(record("torch", evaluation={"copies": copies})))
    np.testing.assert_allclose(sequence.inputs, batch.inputs[0])
    shown = draw(sequence)["Length 4 (trained): input"].images[0].get_array()
    np.testing.assert_allclose(shown, batch.inputs[0].T)


def test_wrong_bits_are_in_a_strip_where_they_are(run_folder: Callable[..., Path], record: Make) -> None:
    prediction = [[1.0] * 8, [0.0] * 8, [0.0] * 8, [1.0] * 7 + [0.2]]
    copies = [{"length": 1, "target": TARGET, "prediction": prediction}]
    (sequence,) = copies_of(run_folder(record("torch", evaluation={"copies": copies})))
    rows = draw(sequence)
    title = "torch idiomatic: 1 of 8 bits wrong"
    np.testing.assert_allclose(rows[title].images[0].get_array(), np.transpose(prediction))
    assert not rows[title].collections
    opaque = rows[f"{title}, strip"].images[0].get_array()[..., 3] > 0
    assert np.argwhere(opaque).tolist() == [[7, 3]]


def test_a_copy_without_a_wrong_bit_has_no_strip(run_folder: Callable[..., Path], record: Make) -> None:
    copies = [{"length": 1, "target": TARGET, "prediction": TARGET}]
    (sequence,) = copies_of(run_folder(record("torch", evaluation={"copies": copies})))
    assert list(draw(sequence)) == ["Length 1 (trained): input", "target", "torch idiomatic: no bit wrong"]


def test_seeds_are_told_where_there_are_several(run_folder: Callable[..., Path], record: Make) -> None:
    copies = [{"length": 1, "target": TARGET, "prediction": TARGET}]
    records = [record("torch", seed=seed, evaluation={"copies": copies}) for seed in range(2)]
    (sequence,) = copies_of(run_folder(*records))
    assert [output.label for output in sequence.outputs] == ["torch idiomatic, seed 0", "torch idiomatic, seed 1"]


def test_a_long_title_goes_on_in_a_second_line() -> None:
    wrong = np.zeros((4, 8), np.bool_)
    output = Output("torch idiomatic, computed by tensorflow idiomatic", np.zeros((4, 8)), wrong)
    sequence = CopiedSequence(1, is_trained=True, inputs=np.zeros((4, 10)), target=np.zeros((4, 8)), outputs=[output])
    *_, title = draw(sequence)
    assert max(map(len, title.splitlines())) <= 50
