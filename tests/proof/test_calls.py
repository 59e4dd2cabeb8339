"""The calls of train that a run is proven by: every shape that its training meets, as long as it is met."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from backends import reference
from backends.contract import Batch
from harness.proof import oracle
from harness.proof.calls import choose_calls
from harness.proof.oracle import expect
from harness.task.chunks import chunk_length, make_chunk
from harness.task.presets import load_preset

SHORT = ["train.steps=60", "task.max_length=6", "model.hidden=5", "model.layers=1", "train.batch=4"]
TRIMMED = [*SHORT, "task.padding=trimmed", "task.lengths_per_batch=one"]
SMALL = [*SHORT, "task.max_length=2"]


@pytest.mark.parametrize(
    ("preset", "overrides", "names"),
    [
        ("quick", [], ["20 steps of 16 x 12"]),
        ("throughput", [], ["5 steps of 100 x 42"]),
        ("full", [], [f"a step of 8 x {time_steps}" for time_steps in (8, 16, 24, 32, 40, 42)]),
        # The further steps of a call that would keep the reference busy for minutes are left out.
        ("throughput", ["model.hidden=1024"], ["a step of 100 x 42"]),
        # Calls of 7 and of 3 steps alternate.
        ("quick", ["train.chunk=7", "train.evaluate_every=10"], ["7 steps of 16 x 12"]),
        ("quick", ["train.steps=4"], ["4 steps of 16 x 12"]),
    ],
)
def test_each_number_of_time_steps_is_met_in_its_longest_call(
    preset: str, overrides: list[str], names: list[str]
) -> None:
    assert [call.name for call in choose_calls(load_preset(preset, overrides), [0])] == names


@pytest.mark.parametrize(
    "overrides",
    [
        TRIMMED,
        [*TRIMMED, "task.padded_share=0.2", "task.time_multiple=3"],
        [*TRIMMED, "task.steps_per_draw=8", "train.chunk=5"],
        [*TRIMMED, "task.lengths_per_batch=mixed", "task.curriculum_steps=40"],
        [*TRIMMED, "task.lengths_per_batch=mixed"],
        [*SHORT, "task.lengths_per_batch=one"],
    ],
)
def test_no_shape_that_training_meets_is_left_out(overrides: list[str]) -> None:
    config, seeds, longest = load_preset("quick", overrides), [3, 4], {}
    for seed in seeds:
        step = 0
        while step < config.train.steps:
            n_steps, _, time_steps, _ = make_chunk(config, seed, step).inputs.shape
            longest[time_steps] = max(n_steps, longest.get(time_steps, 0))
            step += n_steps
    calls = choose_calls(config, seeds)
    assert {call.chunk().inputs.shape[:3] for call in calls} == {(n, 4, time) for time, n in longest.items()}


def test_a_call_has_the_runs_own_parameters_and_batches() -> None:
    config = load_preset("quick", SMALL)
    [call] = choose_calls(config, [7])
    np.testing.assert_array_equal(call.chunk().inputs, make_chunk(config, 7, 0).inputs)
    ours, theirs = call.start_parameters(), config.initial_parameters(7)
    assert all(np.array_equal(ours[name], theirs[name]) for name in theirs)


def test_chunks_follow_on_each_other() -> None:
    config = load_preset("quick", [*SMALL, "train.chunk=7", "train.evaluate_every=4"])
    ends = [0]
    while ends[-1] < config.train.steps:
        ends.append(ends[-1] + chunk_length(config, ends[-1]))
    assert {*range(0, 61, 4)} <= {*ends}
    assert all(0 < last - first <= 7 for first, last in pairwise(ends))


def test_the_oracle_takes_a_large_batch_in_parts_and_expects_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    config = load_preset("quick", [*SMALL, "train.batch=7"])
    [call] = choose_calls(config, [0])
    whole = expect(call)
    monkeypatch.setattr(oracle, "TRACE_LIMIT_BYTES", 2 * 8 * 16 * 6 * 5)
    n_rows: list[int] = []

    def spy(model: object, parameters: object, batch: Batch) -> object:
        n_rows.append(len(batch.inputs))
        return compute(model, parameters, batch)  # type: ignore[arg-type]

    compute = reference.loss_and_gradients
    monkeypatch.setattr(reference, "loss_and_gradients", spy)
    oracle.forget()
    in_parts = expect(call)
    assert n_rows[:4] == [2, 2, 2, 1]
    assert whole.keys() == in_parts.keys()
    assert all(np.allclose(in_parts[name], whole[name], rtol=1e-12, atol=1e-18) for name in whole)
