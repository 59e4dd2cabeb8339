from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.records.structs import Run
from harness.report import write_report
from harness.report.headline import conclude_in_one_sentence, describe_shortly, key_figures
from harness.report.tables import make_tables
from harness.report.words import conclude

Make = Callable[..., dict[str, Any]]
MakeAll = Callable[..., list[dict[str, Any]]]
PAIR = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 8}


def sentence_of(folder: Path) -> str:
    return sentence_of_run(read_run(folder))


def sentence_of_run(run: Run) -> str:
    return conclude_in_one_sentence(analyse(run))


def evaluated(bit_error: float) -> dict[str, Any]:
    """An evaluation of one trained length."""
    rest = {"exact_fraction": 0, "bits_per_sequence": 40}
    n_bits = 1000 * 5 * 8
    row = {"length": 5, "sequences": 1000, "wrong_bits": round(n_bits * bit_error), "bit_error": bit_error}
    return {"test": {}, "lengths": [row | rest]}


def test_a_clear_lead_has_its_size_and_its_interval(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    sentence = sentence_of(run_folder(*repeats("torch", step_s=0.010), *repeats("jax", step_s=0.013)))
    assert sentence.startswith(
        "torch idiomatic trained fastest, 1.3 times as fast as jax idiomatic (95 % interval 1.3); "
    )
    assert sentence.endswith("; every one was verified against the reference.")
    assert "; all 2 learned the task (bit error " in sentence


def test_a_lead_that_is_not_shown_is_none(repeated_run: Path) -> None:
    assert "had the highest rate, but no difference is shown between it and" in sentence_of(repeated_run)


def test_few_or_single_processes_are_said_to_be_so(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    few = [*repeats("torch", step_s=0.010, n=2), *repeats("jax", step_s=0.020, n=2)]
    assert "2.0, from as few as 2 processes)" in sentence_of(run_folder(*few, name="few"))
    single = [*repeats("torch", step_s=0.010, n=1), *repeats("jax", step_s=0.020, n=1)]
    sentence = sentence_of(run_folder(*single, name="single"))
    assert sentence.startswith(
        "torch idiomatic had the highest rate, 2.0 times that of jax idiomatic, but no difference is"
    )
    assert "shown (too few processes for an interval); " in sentence


def test_what_is_not_verified_and_what_failed_is_in_it(mixed_run: Path) -> None:
    sentence = sentence_of(mixed_run)
    assert "tensorflow idiomatic did not pass verification" in sentence
    assert "2 of 5 cells did not end ok" in sentence
    assert "every one was verified" not in sentence


def test_who_did_not_learn_is_counted(run_folder: Callable[..., Path], record: Make) -> None:
    guess = {"length": 5, "sequences": 1, "wrong_bits": 20, "bit_error": 0.5}
    guess |= {"exact_fraction": 0, "bits_per_sequence": 40}
    guessing = {"evaluation": {"lengths": [guess]}}
    assert "only 1 of 2 learned the task" in sentence_of(
        run_folder(record("torch"), record("jax", **guessing), name="one")
    )
    none = sentence_of(run_folder(record("torch", **guessing), record("jax", **guessing), name="none"))
    assert "none of the 2 learned the task in this run (bit error 50 %, where guessing has 50 %)" in none


def test_a_noise_floor_that_shows_a_difference_is_doubted(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    cells = [*repeats("torch", step_s=0.010), *repeats("torch", step_s=0.012, first=8)]
    sentence = sentence_of(run_folder(*cells, a_a=PAIR))
    assert "the only implementation to be ranked; the noise floor is doubtful, as torch idiomatic differs" in sentence
    assert "; it was verified" in sentence


def test_each_precision_has_its_fastest(run_folder: Callable[..., Path], record: Make) -> None:
    half = record("torch", step_s=0.005) | {"precision": "bfloat16", "cell": "torch-idiomatic-bfloat16-seed0-r0"}
    sentence = sentence_of(run_folder(half, record("torch"), record("jax", step_s=0.02)))
    assert sentence.startswith("In bfloat16 on cpu, torch idiomatic bfloat16 trained")
    assert "; in float32 on cpu, torch idiomatic float32 had the highest rate, 2." in sentence


def test_without_any_throughput_it_says_so(run_folder: Callable[..., Path], failure: Make) -> None:
    sentence = sentence_of(run_folder(failure("torch", "failed", "broken")))
    assert sentence == "No implementation gave a throughput that can be ranked; 1 of 1 cell did not end ok."


def test_what_never_ended_ok_did_not_learn(run_folder: Callable[..., Path], record: Make, failure: Make) -> None:
    ours = [record(backend, lengths=(1, 2)) for backend in ("torch", "jax")]
    folder = run_folder(*ours, failure("tensorflow", "diverged", "nan"))
    assert "only 2 of 3 learned the task" in sentence_of(folder)
    run = read_run(folder)
    figures = {figure.name: figure.value for figure in key_figures(analyse(run))}
    assert figures["Learned the task"] == "2 of 3"
    write_report(folder)
    assert "Every implementation learned" not in (folder / "report.md").read_text()


def test_the_figures_at_a_glance(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    figures = {figure.name: figure for figure in key_figures(analyse(run))}
    assert list(figures) == ["Highest rate", "Lead over the next", "Learned the task", "Verified", "Noise floor"]
    assert re.fullmatch(r"[\d,]+ sequences/s \(95 % interval [\d,]+ to [\d,]+\)", figures["Highest rate"].note)
    assert figures["Lead over the next"].value == "none shown"
    assert figures["Learned the task"].value == figures["Verified"].value == "3 of 3"
    assert figures["Noise floor"].value == "1.01 times"
    assert figures["Noise floor"].note == "torch tuned against itself: 0.995 to 1.01"


def test_the_lead_is_the_ratio_of_the_rates_in_the_table(
    run_folder: Callable[..., Path], record: Make, chunks: Make
) -> None:
    """Three seeds of one and one of the other: on that seed the rates are 1.4 to 1, over all of them 1.2 to 1."""
    steps_s = {("torch", 0): 0.010, ("torch", 1): 0.012, ("torch", 2): 0.012, ("jax", 0): 0.014}
    cells = [record(name, seed=seed, chunks=chunks([step] * 12)) for (name, seed), step in steps_s.items()]
    run = read_run(run_folder(*cells))
    summary = make_tables(analyse(run))["summary"]
    rates = dict(zip(summary["backend"], summary["sequences_per_s"], strict=True))
    assert rates["torch"] / rates["jax"] == pytest.approx(1.4)
    assert summary["step_ms"].tolist() == pytest.approx([10, 14])
    assert summary["cells"].tolist() == [3, 1]
    assert summary["timed_cells"].tolist() == [1, 1]
    (ratio,) = make_tables(analyse(run))["comparisons"]["ratio"]
    assert ratio == rates["torch"] / rates["jax"]
    assert "highest rate, 1.4 times that of jax idiomatic" in sentence_of_run(run)


def test_a_lead_over_one_seed_is_not_made_of_another(
    run_folder: Callable[..., Path], record: Make, chunks: Make
) -> None:
    """No seed is common to all, so that each has the median of what it has."""
    steps_s = {("torch", 0): 0.010, ("torch", 1): 0.012, ("torch", 2): 0.020, ("jax", 3): 0.018, ("jax", 4): 0.018}
    cells = [record(name, seed=seed, chunks=chunks([step] * 12)) for (name, seed), step in steps_s.items()]
    run = read_run(run_folder(*cells))
    assert make_tables(analyse(run))["summary"]["step_ms"].tolist() == pytest.approx([12, 18])
    assert make_tables(analyse(run))["comparisons"]["ratio"].tolist() == pytest.approx([1.5])


def test_on_a_busy_machine_there_is_no_ranking(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    cells = [*repeats("torch", step_s=0.010), *repeats("jax", step_s=0.140, other_cpu_share=0.48)]
    run = read_run(run_folder(*cells))
    sentence = sentence_of_run(run)
    why = "other processes used up to 48 % of the processors while the cells compared trained"
    assert sentence.startswith(f"No ranking: {why}; all 2 learned the task")
    assert "fast" not in sentence
    figure, *others = key_figures(analyse(run))
    assert (figure.name, figure.value, figure.note) == ("Fastest in training", "no ranking", why)
    assert [other.name for other in others] == ["Learned the task", "Verified"]
    assert make_tables(analyse(run))["summary"]["rank"].tolist() == [None, None]


def test_work_of_others_beside_cells_that_are_not_compared_is_none(
    run_folder: Callable[..., Path], repeats: MakeAll
) -> None:
    wrong = repeats("mxnet", step_s=0.01, n=8, other_cpu_share=0.48, verified=False)
    cells = [*repeats("torch", step_s=0.010, other_cpu_share=0.05), *repeats("jax", step_s=0.140), *wrong]
    assert sentence_of(run_folder(*cells)).startswith("torch idiomatic trained fastest, 14 times as fast as jax")


@pytest.mark.parametrize(
    ("bit_error", "text"), [(0.008, "it learned the task"), (0.011, "it did not learn the task (bit error 1.1 %)")]
)
def test_without_a_target_learned_is_one_per_cent(
    run_folder: Callable[..., Path], record: Make, bit_error: float, text: str
) -> None:
    assert text in sentence_of(run_folder(record("torch", evaluation=evaluated(bit_error))))


@pytest.mark.parametrize(
    ("original_loss", "reached", "n_learned"),
    [(0.0079, False, 2), (0.0081, False, 1), (0.0081, True, 2)],
)
def test_with_a_target_learned_is_its_target(
    aimed_run: Callable[..., Path], original_loss: float, reached: bool, n_learned: int
) -> None:
    """The other's bit error is small in any case; its last original loss varies, and it may have met the target."""
    folder = aimed_run(("torch", 0, 100), ("jax", 0, 300 if reached else None))
    path = folder / "cells" / "jax-idiomatic-float32-seed0-r0.json"
    content = json.loads(path.read_text())
    content["evaluation"]["test"] |= {"original_loss": original_loss, "wrong_bits_per_sequence": 0.05}
    path.write_text(json.dumps(content))
    run = read_run(folder)
    figures = {figure.name: figure.value for figure in key_figures(analyse(run))}
    assert figures["Learned the task"] == f"{n_learned} of 2"


def test_a_seed_that_did_not_learn_is_not_outvoted(run_folder: Callable[..., Path], record: Make) -> None:
    cells = [record("torch", seed=seed, evaluation=evaluated(0.0 if seed else 0.3)) for seed in range(3)]
    assert "it did not learn the task (bit error 0 %)" in sentence_of(run_folder(*cells))


def test_a_recipe_for_speed_alone_says_nothing_of_learning(run_folder: Callable[..., Path], record: Make) -> None:
    folder = run_folder(record("torch", evaluation=evaluated(0.499)))
    description = json.loads((folder / "run.json").read_text())
    description["configuration"]["evaluate"]["learning"] = False
    (folder / "run.json").write_text(json.dumps(description))
    run = read_run(folder)
    analysis = analyse(run)
    assert "learn" not in sentence_of_run(run)
    assert "Learned the task" not in [figure.name for figure in key_figures(analysis)]
    assert not [text for text in conclude(analysis) if "learn" in text or "error" in text]


def test_the_subtitle_says_what_and_where(mixed_run: Path) -> None:
    text = "LSTMs of 3 layers of 128 units, trained on the copy task, lengths 1 to 5, in float32 on an unknown device"
    assert describe_shortly(read_run(mixed_run)).startswith(text.replace("an unknown device", "cpu, Imaginary CPU"))
