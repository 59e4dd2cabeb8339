from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from harness.analysis.analysis import analyse
from harness.analysis.target import evaluation_rows, measure_time_to_target, target_rows
from harness.records.reading import read_run
from harness.report import analyse_folder, print_summary, summary_rows, write_report
from harness.report.learning_words import conclude_learning, describe_target
from harness.task.recipe import TargetConfig

Make = Callable[..., dict[str, Any]]


def read_csv(folder: Path, table: str) -> list[dict[str, str]]:
    with (folder / "tables" / f"{table}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_the_median_over_seeds_is_of_steps_sequences_and_seconds(aimed_run: Callable[..., Path]) -> None:
    run = read_run(aimed_run(("torch", 0, 100), ("torch", 1, 300), ("torch", 2, 200)))
    taken = measure_time_to_target(run, run.cells)
    assert taken is not None
    assert (taken.steps, taken.sequences, taken.seconds, taken.reached) == (200, 3200, 20.0, "3 of 3")


def test_a_seed_that_never_arrives_is_infinite_and_counted(aimed_run: Callable[..., Path]) -> None:
    run = read_run(
        aimed_run(("torch", 0, 100), ("torch", 1, None), ("torch", 2, 300), ("jax", 0, 100), ("jax", 1, None))
    )
    torch, jax = (measure_time_to_target(run, [c for c in run.cells if c.backend == name]) for name in ("torch", "jax"))
    assert torch is not None
    assert jax is not None
    assert (torch.steps, torch.reached) == (300, "2 of 3")
    assert (jax.steps, jax.seconds, jax.reached) == (math.inf, math.inf, "1 of 2")


@pytest.mark.parametrize(
    ("status", "device"),
    [("diverged", "cpu"), ("timeout", None), ("out_of_memory", None), ("killed", None), ("failed", None)],
)
def test_a_seed_that_ended_otherwise_never_arrived(
    aimed_run: Callable[..., Path], failure: Make, console: Console, status: str, device: str | None
) -> None:
    lost = tuple(failure("torch", status, "the end", seed=seed, device=device) for seed in (1, 2))
    folder = aimed_run(("torch", 0, 100), extra=lost)
    write_report(folder)
    summary, cells = read_csv(folder, "summary"), read_csv(folder, "time_to_target")
    shown = [(row["status"], row["seeds_reached"], row["seconds_to_target"]) for row in summary]
    assert shown == [("ok", "1 of 3", "inf"), (status, "", "")]
    assert [(row["seed"], row["seconds_to_target"]) for row in cells] == [("0", "10.0"), ("1", "inf"), ("2", "inf")]
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text("utf-8")
        assert "torch idiomatic never in the median (1 of 3 seeds arrived)" in text
        assert re.search(r"(\| |<td[^>]*>)1 of 3( \||</td>)", text)
    print_summary(analyse_folder(folder), console)
    assert "never (1 of 3)" in console.file.getvalue()  # type: ignore[attr-defined]


def test_where_no_seed_ended_ok_the_target_was_never_reached(aimed_run: Callable[..., Path], failure: Make) -> None:
    lost = tuple(failure("jax", status, "the end", seed=seed) for seed, status in enumerate(("diverged", "killed")))
    folder = aimed_run(("torch", 0, 100), extra=lost)
    write_report(folder)
    assert "jax idiomatic never in the median (0 of 2 seeds arrived)" in (folder / "report.md").read_text()
    rows = [row for row in read_csv(folder, "summary") if row["backend"] == "jax"]
    assert {(row["seeds_reached"], row["seconds_to_target"]) for row in rows} == {("0 of 2", "inf")}


def test_what_never_started_does_not_count(aimed_run: Callable[..., Path], failure: Make) -> None:
    absent = (failure("torch", "unsupported", "no", seed=1), failure("torch", "not_installed", "no", seed=2))
    folder = aimed_run(("torch", 0, 100), extra=absent)
    description = json.loads((folder / "run.json").read_text())
    description["cells"].append("torch-idiomatic-float32-seed3-r0")
    (folder / "run.json").write_text(json.dumps(description))
    write_report(folder)
    assert [row["seeds_reached"] for row in read_csv(folder, "summary")] == ["1 of 1", "", "", ""]
    assert "torch idiomatic 10 s and 1,600 sequences (1 of 1 seed arrived)" in (folder / "report.md").read_text()


def test_repeats_of_a_seed_count_as_one(aimed_run: Callable[..., Path], arriving: Make) -> None:
    again = arriving("torch", 100, repeat=1)
    run = read_run(aimed_run(("torch", 0, 100), ("torch", 1, 300), extra=(again,)))
    taken = measure_time_to_target(run, run.cells)
    assert taken is not None
    assert (taken.steps, taken.n_seeds) == (200, 2)


def test_without_a_target_nothing_is_told(run_folder: Callable[..., Path], arriving: Make) -> None:
    run = read_run(run_folder(arriving("torch", 100)))
    assert measure_time_to_target(run, run.cells) is None
    assert list(target_rows(run)) == []
    assert len(list(evaluation_rows(run))) == 3


def test_the_report_shows_what_never_arrived(aimed_run: Callable[..., Path]) -> None:
    folder = aimed_run(("torch", 0, 100), ("jax", 0, None))
    write_report(folder)
    table = (folder / "tables" / "time_to_target.md").read_text()
    assert "| never |" in table
    rows = (folder / "tables" / "time_to_target.csv").read_text().splitlines()
    assert rows[0].startswith("backend,implementation,precision,seed,repeat,target_reached,seconds_to_target")
    assert any(",false,inf,inf,inf," in row for row in rows)
    assert (folder / "plots" / "quality.png").is_file()
    json.dumps(summary_rows(analyse_folder(folder)), allow_nan=False)
    text = (folder / "report.md").read_text()
    assert "jax idiomatic never in the median (0 of 1 seed arrived)" in text
    assert "torch idiomatic 10 s and 1,600 sequences (1 of 1 seed arrived)" in text


def test_the_target_in_words() -> None:
    assert (
        describe_target(TargetConfig(original_loss=0.008, wrong_bits_per_sequence=0.1))
        == "original loss at most 0.008 and wrong bits a sequence at most 0.1"
    )
    assert describe_target(TargetConfig(original_loss=0.5)) == "original loss at most 0.5"


def test_too_few_seeds_say_that_they_cannot_tell(aimed_run: Callable[..., Path]) -> None:
    run = read_run(aimed_run(("torch", 0, 100), ("jax", 0, 100)))
    sentences = conclude_learning(analyse(run))
    assert any(sentence.startswith("Fewer than 3 seeds cannot tell") for sentence in sentences)
