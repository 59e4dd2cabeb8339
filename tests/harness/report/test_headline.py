from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.report import write_report
from harness.report.headline import conclude_in_one_sentence, describe_shortly, key_figures
from harness.report.load import read_run
from harness.report.variants import find_variants

Make = Callable[..., dict[str, Any]]
MakeAll = Callable[..., list[dict[str, Any]]]
PAIR = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 8}


def sentence_of(folder: Path) -> str:
    run = read_run(folder)
    return conclude_in_one_sentence(run, find_variants(run))


def test_a_clear_lead_has_its_size_and_its_interval(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    sentence = sentence_of(run_folder(*repeats("torch", step_s=0.010), *repeats("jax", step_s=0.013)))
    assert sentence.startswith("torch idiomatic trained fastest, 1.3")
    assert " times as fast as jax idiomatic (95 % interval 1." in sentence
    assert "processes" not in sentence
    assert sentence.endswith("; every one was verified against the reference.")
    assert "; all 2 learned the task (bit error " in sentence


def test_a_lead_that_is_not_shown_is_none(repeated_run: Path) -> None:
    assert "fastest, but no difference is shown between it and" in sentence_of(repeated_run)


def test_few_or_single_processes_are_said_to_be_so(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    few = [*repeats("torch", step_s=0.010, n=2), *repeats("jax", step_s=0.020, n=2)]
    assert "from only 2 pairs of processes" in sentence_of(run_folder(*few, name="few"))
    single = [*repeats("torch", step_s=0.010, n=1), *repeats("jax", step_s=0.020, n=1)]
    assert "(one process each, so without an interval)" in sentence_of(run_folder(*single, name="single"))


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
    assert "; in float32 on cpu, torch idiomatic float32 trained fastest" in sentence


def test_without_any_throughput_it_says_so(run_folder: Callable[..., Path], failure: Make) -> None:
    sentence = sentence_of(run_folder(failure("torch", "failed", "broken")))
    assert sentence == "No implementation gave a throughput that can be ranked; 1 of 1 cell did not end ok."


def test_what_never_ended_ok_did_not_learn(run_folder: Callable[..., Path], record: Make, failure: Make) -> None:
    ours = [record(backend, lengths=(1, 2)) for backend in ("torch", "jax")]
    folder = run_folder(*ours, failure("tensorflow", "diverged", "nan"))
    assert "only 2 of 3 learned the task" in sentence_of(folder)
    run = read_run(folder)
    figures = {figure.name: figure.value for figure in key_figures(run, find_variants(run))}
    assert figures["Learned the task"] == "2 of 3"
    write_report(folder)
    assert "Every implementation learned" not in (folder / "report.md").read_text()


def test_the_figures_at_a_glance(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    figures = {figure.name: figure for figure in key_figures(run, find_variants(run))}
    assert list(figures) == ["Fastest in training", "Lead over the next", "Learned the task", "Verified", "Noise floor"]
    assert "sequences/s ± " in figures["Fastest in training"].note
    assert figures["Lead over the next"].value == "none shown"
    assert figures["Learned the task"].value == figures["Verified"].value == "3 of 3"
    assert "torch tuned against itself" in figures["Noise floor"].note


def test_the_subtitle_says_what_and_where(mixed_run: Path) -> None:
    text = "3 x 128 LSTM, copy task, lengths 1 to 5, float32 on an unknown device"
    assert describe_shortly(read_run(mixed_run)).startswith(text.replace("an unknown device", "cpu, Imaginary CPU"))
