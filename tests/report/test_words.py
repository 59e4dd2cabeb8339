from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from backends.contract import WIRINGS
from harness.analysis.analysis import analyse
from harness.records.reading import read_run
from harness.report import write_report
from harness.report.words import conclude, describe_run

Make = Callable[..., dict[str, Any]]


PARTS = (
    "1 to 5 random vectors of 8 bits",
    "3 stacked LSTM layers of 128 units and a sigmoid layer, 335,112 parameters",
    "41 steps of 16 sequences, by Adam with a learning rate of 0.001, gradients clipped to a norm of 1",
    "Imaginary CPU",
)


def conclusions_of(folder: Path) -> str:
    run = read_run(folder)
    return "\n".join(conclude(analyse(run)))


def test_the_run_is_described(mixed_run: Path) -> None:
    text = describe_run(read_run(mixed_run))
    for part in PARTS:
        assert part in text


def test_no_key_of_the_configuration_is_in_the_description(run_folder: Callable[..., Path], record: Make) -> None:
    folder = run_folder(record("torch"))
    content = json.loads((folder / "run.json").read_text())
    content["configuration"]["optimizer"] = {
        "kind": "rmsprop",
        "epsilon_inside_root": True,
        "clip": "element",
        "clip_value": 10.0,
    }
    train = {"learning_rate": 3e-5, "schedule": "cosine", "warmup_steps": 100, "batch": 1, "steps": 15000}
    content["configuration"]["train"] = train
    content["configuration"]["model"] |= {"learned_initial_state": True}
    (folder / "run.json").write_text(json.dumps(content))
    text = describe_run(read_run(folder))
    assert "_" not in text
    assert "with a learned initial state" in text
    assert "15,000 steps of 1 sequence, by RMSProp with a learning rate of 3e-05" in text
    assert ", which it reaches over 100 steps, then down to 0 along a cosine" in text
    assert "each element of a gradient within 10 of 0" in text


def test_a_wiring_that_is_inferred_is_said_to_be(run_folder: Callable[..., Path], record: Make) -> None:
    folder = run_folder(record("torch"))
    assert "inferred" not in describe_run(read_run(folder))
    content = json.loads((folder / "run.json").read_text())
    content["configuration"]["model"] |= dict.fromkeys(WIRINGS, True)
    (folder / "run.json").write_text(json.dumps(content))
    assert "The paper does not state this wiring: it is inferred" in describe_run(read_run(folder))


def test_the_fastest_is_named_with_ratios_and_what_is_not_verified_is_not_ranked(mixed_run: Path) -> None:
    text = conclusions_of(mixed_run)
    assert "The highest rate in training on this run was that of torch idiomatic, with" in text
    assert "No difference is shown between it and jax idiomatic (ratio 2.1, too few processes for an interval)" in text
    assert "tensorflow idiomatic (ratio" not in text
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
    where = "(at most 1 % wrong bits); bit error over the trained lengths (1 to 5): "
    assert f"Did not learn the task {where}50 % (jax idiomatic)." in text
    assert f"Some implementations learned the task {where}0.75 % (torch idiomatic)." in text


def test_ratios_carry_intervals_and_what_shows_no_difference_is_said_so(repeated_run: Path) -> None:
    text = conclusions_of(repeated_run)
    assert "(95 % interval " in text
    assert "times torch idiomatic (1." in text
    assert "No difference is shown between it and" in text
    assert "Within a framework, torch tuned is 1.3" in text
    assert "Noise floor: torch tuned against itself has the ratio" in text
    assert "from 8 pairs of processes: no difference is shown, as it must be." in text
    assert "Between others, a ratio of up to 1.01 shows no difference." in text
    assert "The ceiling in float32 on cpu is 200 GFLOP/s" in text
    assert "no interval" not in text


def test_a_noise_floor_that_shows_a_difference_is_doubted(
    run_folder: Callable[..., Path], repeats: Callable[..., list[dict[str, Any]]]
) -> None:
    cells = [*repeats("torch", step_s=0.010), *repeats("torch", step_s=0.012, first=8)]
    pair = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 8}
    text = conclusions_of(run_folder(*cells, a_a=pair))
    assert "a difference shows where there is none" in text


def test_which_processes_the_speeds_are_of_is_told(
    run_folder: Callable[..., Path], repeats: Callable[..., list[dict[str, Any]]]
) -> None:
    fast, slow = repeats("torch", step_s=0.010, n=7), repeats("jax", step_s=0.013, n=6)
    text = conclusions_of(run_folder(*fast, *slow, name="shared"))
    assert "of the 6 pairs of seed and repeat that all 2 ranked implementations have; 1 more process has" in text
    apart = conclusions_of(run_folder(*fast[6:], *slow, name="apart"))
    assert "No seed and repeat is common to all implementations ranked on this run" in apart
    assert "pairs of seed and repeat" not in conclusions_of(run_folder(*fast[:6], *slow, name="all"))


def test_on_a_busy_machine_no_conclusion_names_a_fastest(
    run_folder: Callable[..., Path], repeats: Callable[..., list[dict[str, Any]]]
) -> None:
    tuned = repeats("torch", implementation="tuned", step_s=0.010, other_cpu_share=0.06)
    text = conclusions_of(run_folder(*tuned, *repeats("torch", step_s=0.013)))
    assert "In float32 on cpu, no ranking: other processes used up to 6 % of the processors while the cells" in text
    assert "fast" not in text.lower()


def test_each_precision_has_its_fastest(run_folder: Callable[..., Path], record: Make) -> None:
    half = record("torch", step_s=0.005) | {"precision": "bfloat16", "cell": "torch-idiomatic-bfloat16-seed0-r0"}
    text = conclusions_of(run_folder(half, record("torch"), record("jax", step_s=0.02)))
    assert "throughput to rank in bfloat16 on cpu was torch idiomatic bfloat16" in text
    assert "The highest rate in training in float32 on cpu was that of torch idiomatic float32" in text


def test_one_of_a_thing_is_singular_and_alike_bounds_are_one(run_folder: Callable[..., Path], record: Make) -> None:
    folder = run_folder(record("torch", lengths=(1,)), resources={"threads": 1})
    content = json.loads((folder / "run.json").read_text())
    content["configuration"]["task"] |= {"min_length": 1, "max_length": 1}
    content["environment"]["physical_cores"] = 1
    (folder / "run.json").write_text(json.dumps(content))
    write_report(folder)
    for name in ("report.md", "report.html"):
        text = (folder / name).read_text("utf-8")
        assert not re.search(r"\b1 (random vector|core|thread|cell|seed|repeat|process|bit)e?s\b", text)
        assert not re.search(r"(\S+( %)?) to \1(?!\S)", text)
        assert "The only cell ended ok." in text


def test_the_second_set_is_not_counted_as_repeats(repeated_run: Path) -> None:
    text = describe_run(read_run(repeated_run))
    assert "8 repeats, each cell in a fresh process. torch tuned ran twice as often" in text
