"""How training batches are drawn: one length or many, trimmed or padded, by weight and by curriculum."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from harness.task.copy_task import CopyTask

TASK = CopyTask(bits=2, min_length=1, max_length=20)
ONE = dataclasses.replace(TASK, lengths_per_batch="one")
TRIMMED = dataclasses.replace(ONE, padding="trimmed")


@st.composite
def drawing_tasks(draw: st.DrawFn) -> CopyTask:
    return CopyTask(
        bits=1,
        min_length=draw(st.integers(1, 3)),
        max_length=draw(st.integers(3, 12)),
        lengths_per_batch=draw(st.sampled_from(("mixed", "one"))),
        length_power=draw(st.sampled_from((-10.0, -1.0, 0.0, 0.5, 10.0))),
        curriculum_steps=draw(st.integers(0, 50)),
        padding=draw(st.sampled_from(("full", "trimmed"))),
        padded_share=draw(st.sampled_from((0.0, 0.5, 1.0))),
        time_multiple=draw(st.integers(1, 40)),
        steps_per_draw=draw(st.integers(1, 7)),
    )


def drawn_lengths(task: CopyTask, n_steps: int, first_step: int = 0) -> NDArray[np.int64]:
    """(steps, 4)"""
    return np.array([task.batch(seed=3, step=step, size=4).lengths for step in range(first_step, n_steps)])


def time_steps(task: CopyTask, n_steps: int) -> list[int]:
    return [task.batch(seed=3, step=step, size=1).inputs.shape[1] for step in range(n_steps)]


@given(drawing_tasks(), st.integers(0, 2**40), st.integers(1, 5))
def test_every_way_of_drawing_gives_whole_sequences_of_allowed_lengths(task: CopyTask, step: int, size: int) -> None:
    batch = task.batch(seed=1, step=step, size=size)
    again = task.batch(seed=1, step=step, size=size)
    assert batch.inputs.tobytes() == again.inputs.tobytes()
    assert batch.inputs.shape[1] == batch.targets.shape[1] <= task.time_steps(task.max_length)
    assert task.min_length <= batch.lengths.min() <= batch.lengths.max() <= task.max_length
    np.testing.assert_array_equal(batch.mask.sum(axis=1), batch.lengths)
    for row, length in enumerate(batch.lengths):
        np.testing.assert_array_equal(batch.targets[row][batch.mask[row]], batch.inputs[row, 1 : length + 1, 2:])


@given(drawing_tasks(), st.integers(0, 2**40))
def test_batches_that_are_said_to_be_of_one_shape_are(task: CopyTask, step: int) -> None:
    n_steps = task.steps_of_one_shape(step) or 5
    shapes = {task.batch(seed=1, step=step + k, size=2).inputs.shape for k in range(n_steps)}
    assert len(shapes) == 1


@given(drawing_tasks(), st.sampled_from(("test", "validation")))
def test_held_out_batches_do_not_depend_on_how_training_batches_are_drawn(task: CopyTask, stream: str) -> None:
    plain = CopyTask(bits=1, min_length=task.min_length, max_length=task.max_length)
    ours, theirs = (each.batch(seed=2, step=1, size=5, stream=stream) for each in (task, plain))
    assert ours.inputs.tobytes() == theirs.inputs.tobytes()
    assert ours.inputs.shape[1] == task.time_steps(task.max_length)


def test_one_length_a_batch_takes_every_length_in_its_turn() -> None:
    lengths = drawn_lengths(ONE, 400)
    assert (lengths == lengths[:, :1]).all()
    assert set(lengths[:, 0].tolist()) == set(range(1, 21))


def test_steps_that_share_a_draw_share_their_length_but_not_their_patterns() -> None:
    task = dataclasses.replace(TRIMMED, steps_per_draw=3)
    lengths = drawn_lengths(task, 30)[:, 0].reshape(10, 3)
    assert (lengths == lengths[:, :1]).all()
    assert len(set(lengths[:, 0].tolist())) > 3
    first, second = (task.batch(seed=3, step=step, size=64).inputs for step in (0, 1))
    assert first.tobytes() != second.tobytes()
    assert [task.steps_of_one_shape(step) for step in (0, 1, 2, 3)] == [3, 2, 1, 3]


def test_trimmed_batches_are_as_long_as_their_sequences_rounded_up_and_never_longer_than_in_full() -> None:
    lengths = drawn_lengths(TRIMMED, 200)[:, 0]
    assert time_steps(TRIMMED, 200) == (2 * lengths + 2).tolist()
    rounded = time_steps(dataclasses.replace(TRIMMED, time_multiple=16), 200)
    assert rounded == np.minimum(16 * np.ceil((2 * lengths + 2) / 16), 42).tolist()
    assert set(rounded) == {16, 32, 42}


def test_a_share_of_trimmed_batches_keeps_the_full_padding() -> None:
    shares = [
        np.mean(np.array(time_steps(dataclasses.replace(TRIMMED, padded_share=share), 500)) == 42)
        for share in (0.0, 0.5, 1.0)
    ]
    # A twentieth is of the longest length anyway; three standard deviations of 500 draws are 0.07.
    assert shares[0] == pytest.approx(0.05, abs=0.03)
    assert shares[1] == pytest.approx(0.525, abs=0.07)
    assert shares[2] == 1


def test_batches_that_keep_the_full_padding_are_drawn_as_held_out_ones_are() -> None:
    task = dataclasses.replace(TRIMMED, padded_share=1.0, length_power=3.0)
    counted = np.bincount(drawn_lengths(task, 200).ravel(), minlength=21)[1:]
    # Three standard deviations of a count among so many sequences.
    expected = counted.sum() / 20
    np.testing.assert_allclose(counted, expected, atol=4 * np.sqrt(expected))


def test_mixed_lengths_are_trimmed_to_the_longest_that_the_curriculum_allows() -> None:
    task = dataclasses.replace(TASK, padding="trimmed", curriculum_steps=100)
    assert time_steps(task, 101)[::25] == [4, 14, 24, 34, 42]
    assert task.steps_of_one_shape(0) == 1


def test_the_curriculum_grows_from_the_shortest_length_to_the_longest() -> None:
    task = dataclasses.replace(TASK, curriculum_steps=1000)
    longest = [int(drawn_lengths(task, step + 40, step).max()) for step in (0, 490, 990, 5000)]
    assert longest[0] == 1
    assert longest[1] in (10, 11)
    assert longest[2:] == [20, 20]


def test_a_power_weighs_the_lengths() -> None:
    lengths = np.array([1, 2, 4])
    drawn = drawn_lengths(dataclasses.replace(TASK, max_length=4, length_power=2.0), 2000)
    counted = np.array([(drawn == length).mean() for length in lengths])
    np.testing.assert_allclose(counted, lengths**2 / 30, atol=0.02)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lengths_per_batch": "two"}, "task.lengths_per_batch must be one of mixed, one, not 'two'"),
        ({"padding": "some"}, "task.padding must be one of full, trimmed, not 'some'"),
        ({"padded_share": 1.5}, "task.padded_share must be at most 1, not 1.5"),
        ({"padded_share": -0.1}, "task.padded_share must be at least 0, not -0.1"),
        ({"length_power": 11.0}, "task.length_power must be at most 10, not 11"),
        ({"time_multiple": 0}, "task.time_multiple must be at least 1, not 0"),
        ({"steps_per_draw": 0}, "task.steps_per_draw must be at least 1, not 0"),
        ({"curriculum_steps": -1}, "task.curriculum_steps must be at least 0, not -1"),
    ],
)
def test_a_way_of_drawing_that_is_none_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(TASK, **changes)
