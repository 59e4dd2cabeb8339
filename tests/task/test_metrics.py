"""The measures against loops over single outputs, at chance, at the extremes, and above their floor."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from backends.contract import Array
from harness.task.copy_task import CopyBatch, CopyTask
from harness.task.metrics import (
    bits_per_sequence,
    copy_measures,
    cross_entropy_floor,
    locate_wrong_bits,
    mean_absolute_error,
    middle_third,
    original_loss,
    original_loss_floor,
    wrong_bits,
)

PADDING, ONE = np.float32(0.001), np.float32(1.0)
PADDING_ENTROPY = 0.0079073
WORST_BITS = 25
FLOATS_NEAR_THE_CLIPS = [float(np.float32(p)) for p in (0, 1e-12, 1e-10, 1e-6, 1e-4, 0.001, 0.5, 0.9999, 0.99999, 1)]

several_examples = settings(max_examples=100, deadline=None)


class Copy(NamedTuple):
    probabilities: Array
    batch: CopyBatch


class Output(NamedTuple):
    sequence: int
    probability: float
    target: float
    due: bool


@st.composite
def copies(draw: st.DrawFn) -> Copy:
    """Arbitrary float32 predictions of a small batch; exact zeros, halves, ones and targets among them."""
    max_length = draw(st.integers(1, 3))
    task = CopyTask(bits=draw(st.integers(1, 4)), min_length=1, max_length=max_length)
    batch = task.batch(seed=draw(st.integers(0, 1000)), step=0, size=draw(st.integers(1, 3)))
    probability = st.one_of(st.floats(0, 1, width=32), st.sampled_from(FLOATS_NEAR_THE_CLIPS))
    arbitrary = draw(arrays(np.float32, batch.targets.shape, elements=probability))
    perfect = draw(arrays(np.bool_, batch.targets.shape))
    return read_only(Copy(np.where(perfect, batch.targets, arbitrary), batch))


def read_only(copy: Copy) -> Copy:
    for array in (copy.probabilities, copy.batch.targets, copy.batch.mask):
        array.flags.writeable = False
    return copy


def batch_of_length(length: int, size: int = 7) -> CopyBatch:
    return CopyTask().evaluation_batch(seed=0, length=length, size=size)


def outputs_of(probabilities: Array, targets: Array, mask: NDArray[np.bool_] | None = None) -> Iterator[Output]:
    for sequence, time, bit in np.ndindex(targets.shape):
        due = mask is not None and bool(mask[sequence, time])
        yield Output(sequence, float(probabilities[sequence, time, bit]), float(targets[sequence, time, bit]), due)


def exactly(values: Array) -> Array:
    """Targets as the bits they stand for: 0 or 1."""
    return np.asarray(values == ONE, np.float32)


def chance_like(batch: CopyBatch) -> Array:
    return np.full(batch.targets.shape, 0.5, np.float32)


# --- Loops over single outputs --------------------------------------------------------------------------------


def count_wrong_bits(copy: Copy) -> list[int]:
    counts = [0] * len(copy.batch.targets)
    for output in outputs_of(copy.probabilities, copy.batch.targets, copy.batch.mask):
        guess, bit = int(output.probability > 0.5), int(output.target == 1.0)
        if output.due and guess != bit:
            counts[output.sequence] += 1
    return counts


def sum_bits_of_surprise(copy: Copy) -> list[float]:
    sums = [0.0] * len(copy.batch.targets)
    for output in outputs_of(copy.probabilities, copy.batch.targets, copy.batch.mask):
        if output.due:
            right = output.probability if output.target == 1.0 else 1 - output.probability
            sums[output.sequence] += WORST_BITS if right < 2.0**-WORST_BITS else -math.log2(right)
    return sums


def seed_cost(p: float, t: float) -> float:
    """One output of the original's metric: p clipped to [1e-6, 0.9999] in t log p, to [1e-10, 0.9999] in log(1 - p)."""
    in_first = min(max(p, 1e-6), 0.9999)
    in_second = min(max(p, 1e-10), 0.9999)
    return -(t * math.log(in_first) + (1 - t) * math.log(1 - in_second))


def average_seed_cost(copy: Copy) -> float:
    costs = [seed_cost(o.probability, o.target) for o in outputs_of(copy.probabilities, copy.batch.targets)]
    return math.fsum(costs) / len(costs)


def average_distance(copy: Copy) -> float:
    distances = [abs(o.probability - o.target) for o in outputs_of(copy.probabilities, copy.batch.targets)]
    return math.fsum(distances) / len(distances)


@several_examples
@given(copies())
def test_wrong_bits_are_the_due_outputs_on_the_other_side_of_a_half(copy: Copy) -> None:
    counted = wrong_bits(copy.probabilities, copy.batch.targets, copy.batch.mask)
    assert counted.tolist() == count_wrong_bits(copy)
    assert counted.dtype == np.int64


@several_examples
@given(copies())
def test_bits_per_sequence_sum_the_surprise_of_the_due_bits(copy: Copy) -> None:
    bits = bits_per_sequence(copy.probabilities, copy.batch.targets, copy.batch.mask)
    np.testing.assert_allclose(bits, sum_bits_of_surprise(copy), rtol=1e-9, atol=1e-6)


@several_examples
@given(copies())
def test_the_original_loss_averages_the_seeds_two_clipped_logarithms(copy: Copy) -> None:
    assert original_loss(copy.probabilities, copy.batch.targets) == pytest.approx(average_seed_cost(copy), rel=1e-9)


@several_examples
@given(copies())
def test_the_mean_absolute_error_averages_every_output(copy: Copy) -> None:
    error = mean_absolute_error(copy.probabilities, copy.batch.targets)
    assert error == pytest.approx(average_distance(copy), rel=1e-9)


@several_examples
@given(copies())
def test_copy_measures_condense_the_loops(copy: Copy) -> None:
    wrong, surprise = count_wrong_bits(copy), sum_bits_of_surprise(copy)
    outputs = outputs_of(copy.probabilities, copy.batch.targets, copy.batch.mask)
    measures = copy_measures(copy.probabilities, copy.batch.targets, copy.batch.mask)
    assert measures["sequences"] == len(wrong)
    assert measures["wrong_bits"] == sum(wrong)
    assert measures["bit_error"] == pytest.approx(sum(wrong) / sum(output.due for output in outputs))
    assert measures["exact_fraction"] == pytest.approx(wrong.count(0) / len(wrong))
    assert measures["bits_per_sequence"] == pytest.approx(sum(surprise) / len(surprise), rel=1e-9, abs=1e-6)
    assert measures["mean_absolute_error"] == pytest.approx(average_distance(copy))


@pytest.mark.parametrize("length", [1, 2, 3, 7, 20])
def test_wrong_bits_are_located_as_loops_do(length: int) -> None:
    batch = batch_of_length(length, size=60)
    flipped = np.random.default_rng(length).random(batch.targets.shape) < 0.1 / length
    probabilities = np.where(flipped, 1 - batch.targets, batch.targets)
    by_position, middle, outside = [0] * length, [], []
    for p, t in zip(probabilities, batch.targets, strict=True):
        wrong = [int(((p[length + 2 + k] > 0.5) != (t[length + 2 + k] > 0.5)).sum()) for k in range(length)]
        by_position = [sum(pair) for pair in zip(by_position, wrong, strict=True)]
        if any(wrong):
            middle.append(sum(n for n, inside in zip(wrong, middle_third(length), strict=True) if inside))
            outside.append(sum(wrong) - middle[-1])
    assert 0 < len(middle) < len(batch.targets)
    located = locate_wrong_bits(probabilities, batch.targets, batch.mask)
    assert located == {
        "wrong_bits_by_position": by_position,
        "wrong_bits_middle": middle,
        "wrong_bits_outside": outside,
    }
    assert json.loads(json.dumps(located)) == located


@pytest.mark.parametrize(
    ("length", "middle"), [(1, [0]), (2, []), (3, [1]), (4, [1, 2]), (5, [2]), (20, [7, 8, 9, 10, 11, 12])]
)
def test_the_middle_third_is_symmetrical(length: int, middle: list[int]) -> None:
    inside = middle_third(length)
    assert np.flatnonzero(inside).tolist() == middle
    np.testing.assert_array_equal(inside, inside[::-1])


def test_copy_measures_can_be_written_to_a_record() -> None:
    batch = batch_of_length(3)
    measures = copy_measures(chance_like(batch), batch.targets, batch.mask)
    assert json.loads(json.dumps(measures)) == measures


# --- Chance ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 10, 20, 40])
def test_chance_costs_a_bit_for_every_due_bit(length: int) -> None:
    batch = batch_of_length(length)
    assert bits_per_sequence(chance_like(batch), batch.targets, batch.mask).tolist() == [8.0 * length] * 7


def test_chance_over_the_papers_lengths_is_84_bits() -> None:
    batches = [batch_of_length(length) for length in range(1, 21)]
    costs = [bits_per_sequence(chance_like(batch), batch.targets, batch.mask) for batch in batches]
    assert np.mean(costs) == 84.0


def test_a_half_reads_as_zero_so_that_chance_misses_exactly_the_ones() -> None:
    batch = batch_of_length(20, size=50)
    ones = exactly(batch.targets).sum(axis=(1, 2))
    assert wrong_bits(chance_like(batch), batch.targets, batch.mask).tolist() == ones.tolist()


def test_chance_misses_about_half_of_the_bits() -> None:
    batch = batch_of_length(20, size=50)
    sigma = 0.5 / math.sqrt(50 * 20 * 8)
    assert abs(copy_measures(chance_like(batch), batch.targets, batch.mask)["bit_error"] - 0.5) < 4 * sigma


def test_chance_has_a_original_loss_of_ln_2() -> None:
    batch = batch_of_length(10)
    assert original_loss(chance_like(batch), batch.targets) == pytest.approx(math.log(2), rel=1e-12)


def test_chance_has_an_absolute_error_of_a_half_less_the_zeros_thousandth() -> None:
    batch = batch_of_length(10)
    expected = 0.5 - 0.001 * float((batch.targets == PADDING).mean())
    assert mean_absolute_error(chance_like(batch), batch.targets) == pytest.approx(expected, rel=1e-9)


# --- Perfect and inverted predictions -------------------------------------------------------------------------


def test_perfect_predictions_have_no_error() -> None:
    batch = batch_of_length(10)
    measures = copy_measures(batch.targets, batch.targets, batch.mask)
    assert (measures["wrong_bits"], measures["bit_error"], measures["exact_fraction"]) == (0, 0.0, 1.0)
    assert measures["mean_absolute_error"] == 0.0


def test_perfect_certainty_costs_next_to_no_bits() -> None:
    batch = batch_of_length(10)
    bits = bits_per_sequence(exactly(batch.targets), batch.targets, batch.mask)
    assert np.all(bits >= 0)
    np.testing.assert_allclose(bits, 0, atol=1e-5)


def test_inverted_predictions_have_every_due_bit_wrong() -> None:
    batch = batch_of_length(10)
    measures = copy_measures(1 - exactly(batch.targets), batch.targets, batch.mask)
    assert (measures["wrong_bits"], measures["bit_error"], measures["exact_fraction"]) == (7 * 80, 1.0, 0.0)
    assert measures["bits_per_sequence"] == pytest.approx(WORST_BITS * 80)


def test_one_wrong_bit_spoils_one_sequence() -> None:
    batch = batch_of_length(10)
    probabilities = exactly(batch.targets)
    probabilities[3, 15, 2] = 1 - probabilities[3, 15, 2]
    measures = copy_measures(probabilities, batch.targets, batch.mask)
    assert measures["wrong_bits"] == 1
    assert measures["bit_error"] == pytest.approx(1 / (7 * 80))
    assert measures["exact_fraction"] == pytest.approx(6 / 7)
    assert wrong_bits(probabilities, batch.targets, batch.mask).tolist() == [0, 0, 0, 1, 0, 0, 0]


# --- The floor ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("floor", [original_loss_floor, cross_entropy_floor])
def test_a_target_of_a_thousandth_costs_its_entropy(floor: Callable[[Array], float]) -> None:
    assert floor(np.full((2, 3, 4), PADDING)) == pytest.approx(PADDING_ENTROPY, abs=5e-8)


def test_a_target_of_one_costs_what_the_seeds_clip_leaves_and_nothing_without_it() -> None:
    ones = np.ones((2, 3, 4), np.float32)
    assert original_loss_floor(ones) == pytest.approx(-math.log(0.9999), rel=1e-9)
    assert cross_entropy_floor(ones) == 0.0


def test_the_floors_with_an_eighth_of_the_outputs_at_one() -> None:
    targets = np.full((1, 42, 8), PADDING)
    targets[:, :, 3] = ONE
    assert cross_entropy_floor(targets) == pytest.approx(7 / 8 * PADDING_ENTROPY, abs=5e-8)
    assert original_loss_floor(targets) == pytest.approx(7 / 8 * PADDING_ENTROPY + 1e-4 / 8, abs=5e-8)
    assert original_loss_floor(targets) == pytest.approx(0.00693, abs=5e-6)


def test_the_floor_of_the_seeds_test_is_near_that_of_an_eighth_of_ones() -> None:
    targets = CopyTask().batch(seed=0, step=0, size=4000, stream="test").targets
    assert original_loss_floor(targets) == pytest.approx(0.00693, abs=3e-5)


@several_examples
@given(copies())
def test_no_prediction_beats_the_floor(copy: Copy) -> None:
    assert original_loss(copy.probabilities, copy.batch.targets) >= original_loss_floor(copy.batch.targets) - 1e-12


@several_examples
@given(copies())
def test_predicting_the_targets_reaches_the_floor(copy: Copy) -> None:
    targets = copy.batch.targets
    assert original_loss(targets, targets) == pytest.approx(original_loss_floor(targets), rel=1e-12)


@pytest.mark.parametrize("nearby", [0.0009, 0.0011])
def test_only_the_targets_themselves_reach_the_floor(nearby: float) -> None:
    targets = batch_of_length(3).targets
    near = np.where(targets == ONE, ONE, np.float32(nearby))
    assert original_loss(near, targets) > original_loss_floor(targets) + 1e-6


# --- Saturation and padding -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("probability", "target", "cost"),
    [
        (0.0, 1.0, -math.log(1e-6)),
        (1.0, 1.0, -math.log(0.9999)),
        (0.0, 0.001, -0.001 * math.log(1e-6)),
        (1.0, 0.001, -0.001 * math.log(0.9999) - 0.999 * math.log(1e-4)),
    ],
)
def test_a_saturated_output_costs_what_the_seeds_clips_allow(probability: float, target: float, cost: float) -> None:
    shape = (1, 2, 3)
    loss = original_loss(np.full(shape, probability, np.float32), np.full(shape, target, np.float32))
    assert loss == pytest.approx(cost, rel=1e-6)


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_saturated_probabilities_stay_finite(probability: float) -> None:
    batch = batch_of_length(10)
    saturated = np.full(batch.targets.shape, probability, np.float32)
    with np.errstate(all="raise"):
        measures = copy_measures(saturated, batch.targets, batch.mask)
        loss = original_loss(saturated, batch.targets)
    assert all(math.isfinite(value) for value in [loss, *measures.values()])
    wrong = wrong_bits(saturated, batch.targets, batch.mask)
    bits = bits_per_sequence(saturated, batch.targets, batch.mask)
    np.testing.assert_allclose(bits, WORST_BITS * wrong, rtol=1e-6)


def test_padding_counts_in_the_seeds_measures_alone() -> None:
    batch = CopyTask(bits=8, min_length=1, max_length=5).batch(seed=0, step=0, size=6)
    perfect = batch.targets
    spoilt = np.where(batch.mask[:, :, None], perfect, ONE)
    clean, dirty = (copy_measures(p, batch.targets, batch.mask) for p in (perfect, spoilt))
    for measure in ("wrong_bits", "bit_error", "exact_fraction", "bits_per_sequence"):
        assert dirty[measure] == clean[measure]
    assert dirty["mean_absolute_error"] == pytest.approx(0.999 * float((~batch.mask).mean()))
    assert original_loss(spoilt, batch.targets) > 1 > original_loss(perfect, batch.targets)
