from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.doubts import slow_start, unsteadiness
from harness.records.reading import read_run
from harness.report import analyse_folder
from harness.report.cautions import find_cautions

Make = Callable[..., dict[str, Any]]
MakeAll = Callable[..., list[dict[str, Any]]]
NAME = "torch-idiomatic-float32-seed0-r0"


def cautions_of(folder: Path) -> list[str]:
    return [caution.text for caution in find_cautions(analyse_folder(folder))]


def test_a_sound_run_has_none(repeated_run: Path) -> None:
    assert cautions_of(repeated_run) == []


def test_a_slow_first_quarter_is_warm_up(run_folder: Callable[..., Path], record: Make, chunks: Make) -> None:
    folder = run_folder(
        record("torch", chunks=chunks([0.012] * 3 + [0.010] * 9)), record("jax", chunks=chunks([1] * 12))
    )
    (text,) = cautions_of(folder)
    assert text.startswith(f"Warm-up had not ended: torch idiomatic (1 of 1; 20 % slower in {NAME}). ")
    assert text.endswith("train for more steps.")


def test_two_speeds_are_unsteady(run_folder: Callable[..., Path], record: Make, chunks: Make) -> None:
    (text,) = cautions_of(run_folder(record("torch", chunks=chunks([0.010, 0.018] * 6))))
    assert text.startswith(f"Unsteady steps: torch idiomatic (1 of 1; 1.8 times in {NAME}). ")


def test_few_calls_are_not_judged(run_folder: Callable[..., Path], record: Make, chunks: Make) -> None:
    cell = read_run(run_folder(record("torch", chunks=chunks([0.020] + [0.010] * 6)))).cells[0]
    assert slow_start(cell) is unsteadiness(cell) is None


def test_other_processes_are_named_with_the_worst_cell(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    cells = repeats("torch", step_s=0.01)
    for cell, share in zip(cells, [0.2, 0.3, 0.05, 0.0, None], strict=False):
        cell["other_cpu_share"] = share
    (text,) = cautions_of(run_folder(*cells))
    worst = "torch-idiomatic-float32-seed0-r1"
    assert text.startswith(f"Other processes used the processors: torch idiomatic (2 of 8; 30 % in {worst}). ")


def test_threads_that_were_not_asked_for_are_told(run_folder: Callable[..., Path], record: Make) -> None:
    (text,) = cautions_of(run_folder(record("torch"), record("jax"), resources={"threads": 1}))
    assert text.startswith(
        f"Other processors or threads than asked for: 2 of 2 cells; {NAME} was given 1 thread and had 2."
    )


@pytest.mark.parametrize(("in_force", "found"), [([0], "0"), ([0, 1, 2, 3, 7], "0-3, 7"), (None, "unknown ones")])
def test_processors_that_were_not_asked_for_are_told(
    in_force: Any, found: str, run_folder: Callable[..., Path], record: Make
) -> None:
    (text,) = cautions_of(run_folder(record("torch", cpus_asked=[0, 2], settings={"cpus": in_force})))
    assert f"1 of 1 cell; {NAME} was given processors 0, 2 and ran on {found}. " in text


def test_processors_in_force_as_asked_are_no_caution(run_folder: Callable[..., Path], record: Make) -> None:
    assert cautions_of(run_folder(record("torch", cpus_asked=[2, 0], settings={"cpus": [0, 2]}))) == []


def test_processes_that_differ_are_told_by_the_bounds(
    run_folder: Callable[..., Path], record: Make, chunks: Make
) -> None:
    steps = [0.010, 0.015, 0.010, 0.015, 0.010, 0.015]
    cells = [record("torch", repeat=repeat, chunks=chunks([step] * 12)) for repeat, step in enumerate(steps)]
    (text,) = cautions_of(run_folder(*cells))
    assert text.startswith("Processes differ: torch idiomatic (1,067 to 1,600 sequences/s). The 95 % interval is wider")


@pytest.mark.parametrize(("n", "is_told"), [(1, False), (2, True), (5, True), (6, False)])
def test_too_few_repeats_for_the_interval_s_name_are_told(
    run_folder: Callable[..., Path], repeats: MakeAll, n: int, is_told: bool
) -> None:
    texts = cautions_of(run_folder(*repeats("torch", step_s=0.01, n=n)))
    assert [text.partition(":")[0] for text in texts] == ["Too few processes for a 95 % interval"] * is_told


def test_a_ceiling_that_cannot_be_read_is_told(run_folder: Callable[..., Path]) -> None:
    folder = run_folder()
    (folder / "ceiling.json").write_text("{", "utf-8")
    (text,) = cautions_of(folder)
    assert text.startswith("No ceiling: ceiling.json cannot be read: ")


def test_training_above_the_ceiling_is_told_with_what_it_means(above_the_ceiling: Path) -> None:
    (text,) = cautions_of(above_the_ceiling)
    assert text.startswith("Above the ceiling: torch idiomatic (117 %). ")
    assert "this ceiling is too low" in text
    assert "install the other frameworks" in text


NODES = [
    {"node": "aaa", "cpu": "an EPYC", "physical_cores": 2, "gpus": []},
    {"node": "bbb", "cpu": "an EPYC", "physical_cores": 2, "gpus": []},
    {"node": "ccc", "cpu": "a Xeon", "physical_cores": 4, "gpus": ["an H100"]},
]


def on_nodes(repeats: MakeAll, *nodes: str | None) -> list[dict[str, Any]]:
    cells = repeats("torch", step_s=0.01)
    return [cell | {"node": nodes[place % len(nodes)]} for place, cell in enumerate(cells)]


@pytest.mark.parametrize(("node", "n_cautions"), [(None, 1), ("aaa", 0)])
def test_ranks_that_share_a_machine_are_told_and_those_on_nodes_are_not(
    node: str | None, n_cautions: int, run_folder: Callable[..., Path], repeats: MakeAll
) -> None:
    texts = cautions_of(run_folder(*(cell | {"ranks": 2} for cell in on_nodes(repeats, node)), nodes=NODES))
    shared = "Ranks share a machine: 2 ranks on one machine's processors. "
    assert [text.startswith(shared) for text in texts] == [True] * n_cautions


def test_nodes_of_one_kind_may_be_compared(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    assert cautions_of(run_folder(*on_nodes(repeats, "aaa", "bbb"), nodes=NODES)) == []


def test_nodes_that_differ_are_named_by_what_they_are(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    (text,) = cautions_of(run_folder(*on_nodes(repeats, "aaa", "ccc"), nodes=NODES))
    kinds = "an EPYC, 2 cores (4 of 8 cells); a Xeon, 4 cores, an H100 (4 of 8 cells)"
    assert text == f"Nodes differ: {kinds}. Speeds of different hardware are compared here: run on nodes of one kind."


def test_ranks_on_nodes_that_differ_are_of_another_kind(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    cells = on_nodes(repeats, "aaa")
    together = [cell | {"nodes": ["aaa", ("bbb", "ccc")[place % 2]]} for place, cell in enumerate(cells)]
    (text,) = cautions_of(run_folder(*together, nodes=NODES))
    kinds = "an EPYC, 2 cores (4 of 8 cells); a Xeon, 4 cores, an H100 with an EPYC, 2 cores (4 of 8 cells)"
    assert text.startswith(f"Nodes differ: {kinds}. ")


def test_cells_from_outside_the_cluster_are_told(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    (text,) = cautions_of(run_folder(*on_nodes(repeats, "bbb", None), nodes=NODES))
    assert "a machine outside the cluster (4 of 8 cells)" in text
