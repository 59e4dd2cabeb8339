"""The data table of the copy task row by row, the addresses of its randomness, and the initial parameters."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

import harness
from backends.contract import Array, ModelSpec, Parameters
from harness.task.copy_task import CopyBatch, CopyTask, initial_parameters

ROOT = Path(harness.__file__).resolve().parents[1]
PADDING, ONE = np.float32(0.001), np.float32(1.0)
END_CHANNEL, START_CHANNEL, FIRST_BIT = 0, 1, 2
SEED_MODEL = ModelSpec(inputs=10, outputs=8, hidden=256, layers=3)
SMALL_MODEL = ModelSpec(inputs=3, outputs=2, hidden=5, layers=3)

few_examples = settings(max_examples=60, deadline=None)
words = st.integers(0, 2**64 - 1)


class Drawn(NamedTuple):
    task: CopyTask
    batch: CopyBatch
    size: int
    longest: int


class Sequence(NamedTuple):
    inputs: Array
    targets: Array
    mask: NDArray[np.bool_]
    length: int


@st.composite
def tasks(draw: st.DrawFn) -> CopyTask:
    min_length = draw(st.integers(1, 12))
    max_length = draw(st.integers(min_length, min_length + 12))
    return CopyTask(bits=draw(st.integers(1, 20)), min_length=min_length, max_length=max_length)


@st.composite
def training_batches(draw: st.DrawFn) -> Drawn:
    task, size = draw(tasks()), draw(st.integers(1, 6))
    stream = draw(st.sampled_from(("train", "test")))
    return Drawn(task, task.batch(seed=draw(words), step=draw(words), size=size, stream=stream), size, task.max_length)


@st.composite
def evaluation_batches(draw: st.DrawFn) -> Drawn:
    task, size, length = draw(tasks()), draw(st.integers(1, 6)), draw(st.integers(1, 40))
    batch = task.evaluation_batch(seed=draw(words), length=length, size=size, step=draw(words))
    return Drawn(task, batch, size, length)


any_batch = st.one_of(training_batches(), evaluation_batches())


def sequences_of(batch: CopyBatch) -> Iterator[Sequence]:
    for row, length in enumerate(batch.lengths):
        yield Sequence(batch.inputs[row], batch.targets[row], batch.mask[row], int(length))


def patterns_of(batch: CopyBatch) -> Array:
    """The bits 0 and 1 of a batch of one length, (batch, length, bits)."""
    return np.asarray(batch.inputs[:, 1 : batch.lengths[0] + 1, FIRST_BIT:] == ONE, np.float64)


def bytes_of_batch(batch: CopyBatch) -> bytes:
    return b"".join(array.tobytes() for array in (batch.inputs, batch.targets, batch.lengths, batch.mask))


def bytes_of_parameters(parameters: Parameters) -> bytes:
    return b"".join(name.encode() + array.tobytes() for name, array in parameters.items())


# --- The data table -------------------------------------------------------------------------------------------


@few_examples
@given(any_batch)
def test_arrays_are_float32_with_two_flags_before_the_bits_and_2l_plus_2_steps(drawn: Drawn) -> None:
    bits, steps = drawn.task.bits, 2 * drawn.longest + 2
    assert drawn.batch.inputs.shape == (drawn.size, steps, bits + 2)
    assert drawn.batch.targets.shape == (drawn.size, steps, bits)
    assert drawn.batch.mask.shape == (drawn.size, steps)
    assert drawn.batch.lengths.shape == (drawn.size,)
    assert drawn.batch.inputs.dtype == drawn.batch.targets.dtype == np.float32
    assert drawn.batch.mask.dtype == np.bool_
    assert drawn.batch.lengths.dtype == np.int64


@few_examples
@given(tasks(), st.integers(1, 200))
def test_the_task_states_its_channels_and_time_steps(task: CopyTask, length: int) -> None:
    assert task.input_channels == 2 + task.bits
    assert task.time_steps(length) == 1 + length + 1 + length


def test_the_default_task_is_the_papers() -> None:
    batch = CopyTask().batch(seed=0, step=17, size=100)
    assert CopyTask() == CopyTask(bits=8, min_length=1, max_length=20)
    assert batch.inputs.shape == (100, 42, 10)
    assert batch.targets.shape == (100, 42, 8)


@few_examples
@given(any_batch)
def test_every_value_is_exactly_a_float32_of_a_thousandth_or_one(drawn: Drawn) -> None:
    for values in (drawn.batch.inputs, drawn.batch.targets):
        assert set(np.unique(values)) <= {PADDING, ONE}


@few_examples
@given(any_batch)
def test_inputs_are_a_flag_before_and_after_the_pattern_and_padding_elsewhere(drawn: Drawn) -> None:
    for sequence in sequences_of(drawn.batch):
        expected = np.full(sequence.inputs.shape, PADDING)
        expected[0, START_CHANNEL] = expected[sequence.length + 1, END_CHANNEL] = ONE
        pattern = np.s_[1 : sequence.length + 1, FIRST_BIT:]
        expected[pattern] = sequence.inputs[pattern]
        assert np.array_equal(sequence.inputs, expected)


@few_examples
@given(any_batch)
def test_targets_are_the_pattern_after_the_end_flag_and_padding_elsewhere(drawn: Drawn) -> None:
    for sequence in sequences_of(drawn.batch):
        expected = np.full(sequence.targets.shape, PADDING)
        for shown in range(1, sequence.length + 1):
            for bit in range(drawn.task.bits):
                expected[sequence.length + 1 + shown, bit] = sequence.inputs[shown, FIRST_BIT + bit]
        assert np.array_equal(sequence.targets, expected)


@few_examples
@given(any_batch)
def test_the_mask_is_true_exactly_where_the_pattern_is_due(drawn: Drawn) -> None:
    for sequence in sequences_of(drawn.batch):
        due = range(sequence.length + 2, 2 * sequence.length + 2)
        assert np.flatnonzero(sequence.mask).tolist() == list(due)


@few_examples
@given(training_batches())
def test_lengths_lie_between_the_shortest_and_the_longest(drawn: Drawn) -> None:
    assert drawn.batch.lengths.min() >= drawn.task.min_length
    assert drawn.batch.lengths.max() <= drawn.task.max_length


@few_examples
@given(evaluation_batches())
def test_evaluation_batches_have_one_length_whatever_the_task_trains_on(drawn: Drawn) -> None:
    assert drawn.batch.lengths.tolist() == [drawn.longest] * drawn.size


# --- Its distributions ----------------------------------------------------------------------------------------


def chi_square_in_sigmas(counts: Array, expected: float, variance: float, freedom: int) -> float:
    """How many standard deviations the sum of squared normalised counts lies from its mean, `freedom`."""
    statistic = float(((counts - expected) ** 2 / variance).sum())
    return (statistic - freedom) / float(np.sqrt(2 * freedom))


def length_sigmas(lengths: list[int]) -> float:
    """For lengths uniform on 1..20."""
    counts = np.bincount(lengths, minlength=21)[1:].astype(np.float64)
    assert counts.shape == (20,)
    expected = len(lengths) / 20
    return chi_square_in_sigmas(counts, expected, variance=expected, freedom=19)


@pytest.fixture(scope="module", params=[1, 8, 13])
def many_patterns(request: pytest.FixtureRequest) -> Array:
    task = CopyTask(bits=request.param, min_length=12, max_length=12)
    return patterns_of(task.batch(seed=1, step=0, size=4000))


def test_bits_are_fair_at_every_step_and_channel(many_patterns: Array) -> None:
    n = len(many_patterns)
    ones = many_patterns.sum(axis=0)
    assert abs(chi_square_in_sigmas(ones, n / 2, variance=n / 4, freedom=ones.size)) < 4


def test_no_two_bits_of_a_pattern_go_together(many_patterns: Array) -> None:
    n = len(many_patterns)
    signs = 2 * many_patterns.reshape(n, -1) - 1
    agreements = (signs.T @ signs)[np.triu_indices(signs.shape[1], k=1)]
    assert abs(chi_square_in_sigmas(agreements, 0, variance=n, freedom=agreements.size)) < 4


def test_consecutive_patterns_do_not_go_together(many_patterns: Array) -> None:
    signs = 2 * many_patterns - 1
    agreements = (signs[1:] * signs[:-1]).sum(axis=0)
    assert abs(chi_square_in_sigmas(agreements, 0, variance=len(signs) - 1, freedom=agreements.size)) < 4


def test_bits_of_padded_sequences_are_fair() -> None:
    batch = CopyTask(bits=8, min_length=1, max_length=20).batch(seed=2, step=0, size=2000)
    due = batch.targets[batch.mask] == ONE
    assert abs(due.sum() - due.size / 2) < 4 * np.sqrt(due.size / 4)


def test_bits_at_one_place_are_fair_over_the_steps() -> None:
    task = CopyTask(bits=8, min_length=2, max_length=2)
    patterns = np.stack([patterns_of(task.batch(seed=3, step=step, size=1))[0] for step in range(2000)])
    assert abs(chi_square_in_sigmas(patterns.sum(axis=0), 1000, variance=500, freedom=16)) < 4


def test_lengths_are_uniform_within_a_batch() -> None:
    batch = CopyTask(bits=1, min_length=1, max_length=20).batch(seed=4, step=0, size=20000)
    assert abs(length_sigmas(batch.lengths.tolist())) < 4


def test_lengths_are_uniform_over_the_steps() -> None:
    task = CopyTask(bits=1, min_length=1, max_length=20)
    lengths = [int(task.batch(seed=5, step=step, size=1).lengths[0]) for step in range(4000)]
    assert abs(length_sigmas(lengths)) < 4


@pytest.mark.parametrize(("shortest", "longest"), [(1, 1), (1, 5), (7, 9), (20, 20)])
def test_every_length_occurs_both_ends_included(shortest: int, longest: int) -> None:
    batch = CopyTask(bits=1, min_length=shortest, max_length=longest).batch(seed=6, step=0, size=300)
    assert set(batch.lengths.tolist()) == set(range(shortest, longest + 1))


# --- Random access --------------------------------------------------------------------------------------------


@few_examples
@given(tasks(), words, words, st.sampled_from(("train", "test")))
def test_one_address_gives_the_same_bytes(task: CopyTask, seed: int, step: int, stream: str) -> None:
    first, second = (CopyTask(task.bits, task.min_length, task.max_length) for _ in range(2))
    assert bytes_of_batch(first.batch(seed=seed, step=step, size=4, stream=stream)) == bytes_of_batch(
        second.batch(seed=seed, step=step, size=4, stream=stream)
    )


def test_a_batch_does_not_depend_on_what_was_drawn_or_overwritten_before() -> None:
    task = CopyTask(bits=3, min_length=1, max_length=4)
    fresh = bytes_of_batch(task.batch(seed=0, step=7, size=5))
    for step in range(9):
        earlier = task.batch(seed=0, step=step, size=5)
        earlier.inputs[:], earlier.targets[:], earlier.lengths[:], earlier.mask[:] = 7, 7, 7, False
    task.evaluation_batch(seed=0, length=6, size=2)
    initial_parameters(SMALL_MODEL, seed=0)
    assert bytes_of_batch(task.batch(seed=0, step=7, size=5)) == fresh


def test_the_global_random_state_is_neither_read_nor_moved() -> None:
    task = CopyTask(bits=3, min_length=1, max_length=4)
    drawn = []
    for global_seed in (1, 2):
        np.random.seed(global_seed)
        before = np.random.get_state(legacy=False)
        drawn.append(bytes_of_batch(task.batch(seed=0, step=7, size=5)))
        assert str(np.random.get_state(legacy=False)) == str(before)
    assert drawn[0] == drawn[1]


DRAW_IN_ANOTHER_PROCESS = """
from backends.contract import ModelSpec
from harness.task.copy_task import CopyTask, initial_parameters
task = CopyTask(bits=3, min_length=1, max_length=4)
for batch in (task.batch(seed=5, step=9, size=3), task.evaluation_batch(seed=5, length=6, size=2)):
    print(b"".join(array.tobytes() for array in (batch.inputs, batch.targets, batch.lengths, batch.mask)).hex())
parameters = initial_parameters(ModelSpec(inputs=3, outputs=2, hidden=5, layers=3), seed=5)
print(b"".join(name.encode() + array.tobytes() for name, array in parameters.items()).hex())
"""


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_another_process_draws_the_same_bytes(hash_seed: str) -> None:
    environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", DRAW_IN_ANOTHER_PROCESS]
    output = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60).stdout
    task = CopyTask(bits=3, min_length=1, max_length=4)
    assert [bytes.fromhex(line) for line in output.split()] == [
        bytes_of_batch(task.batch(seed=5, step=9, size=3)),
        bytes_of_batch(task.evaluation_batch(seed=5, length=6, size=2)),
        bytes_of_parameters(initial_parameters(SMALL_MODEL, seed=5)),
    ]


def test_training_is_the_default_stream_and_evaluation_starts_at_step_zero() -> None:
    task = CopyTask(bits=3, min_length=1, max_length=4)
    assert bytes_of_batch(task.batch(seed=1, step=2, size=3)) == bytes_of_batch(
        task.batch(seed=1, step=2, size=3, stream="train")
    )
    assert bytes_of_batch(task.evaluation_batch(seed=1, length=3, size=3)) == bytes_of_batch(
        task.evaluation_batch(seed=1, length=3, size=3, step=0)
    )


# --- Streams never meet ---------------------------------------------------------------------------------------

ADDRESS_WORDS = (0, 1, 2, 2**32, 2**63)
EVALUATION_LENGTHS = (20, 21, 40)
STREAMS_OF_BATCHES = ("train", "test", "validation")
WINDOW = 8


def batches_at_every_address(size: int) -> Iterator[CopyBatch]:
    """Training, test and evaluation batches of 20 or more 8-bit vectors, each at an address of its own."""
    task = CopyTask(bits=8, min_length=20, max_length=20)
    for seed, step in itertools.product(ADDRESS_WORDS, repeat=2):
        for stream in STREAMS_OF_BATCHES:
            yield task.batch(seed=seed, step=step, size=size, stream=stream)
        for length in EVALUATION_LENGTHS:
            yield task.evaluation_batch(seed=seed, length=length, size=size, step=step)


def windows_of(batch: CopyBatch) -> set[bytes]:
    """Every run of WINDOW octets of the batch's patterns, in the order in which they were drawn."""
    octets = np.packbits(patterns_of(batch).astype(np.bool_)).tobytes()
    return {octets[start : start + WINDOW] for start in range(len(octets) - WINDOW + 1)}


def test_no_two_addresses_share_a_stretch_of_random_bits() -> None:
    windows = [windows_of(batch) for batch in batches_at_every_address(size=10)]
    assert len(windows) == 25 * (len(STREAMS_OF_BATCHES) + len(EVALUATION_LENGTHS))
    assert len(set().union(*windows)) == sum(len(found) for found in windows)


def generator_states(draw: Callable[[], object]) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """The key and the first counter of every Philox generator that `draw` makes."""
    states = []
    make_generator = np.random.Generator

    def record(bit_generator: np.random.BitGenerator) -> np.random.Generator:
        state = bit_generator.state
        assert state["bit_generator"] == "Philox"
        states.append((tuple(map(int, state["state"]["key"])), tuple(map(int, state["state"]["counter"]))))
        return make_generator(bit_generator)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "Generator", record)
        draw()
    return states


def draw_at_every_address() -> None:
    for _ in batches_at_every_address(size=1):
        pass
    for seed in ADDRESS_WORDS:
        initial_parameters(SMALL_MODEL, seed)


def test_no_two_addresses_share_a_key_and_counter_however_many_blocks_they_draw() -> None:
    states = generator_states(draw_at_every_address)
    assert len(states) == 25 * (len(STREAMS_OF_BATCHES) + len(EVALUATION_LENGTHS)) + len(ADDRESS_WORDS)
    assert all(counter[0] == 0 for _, counter in states)
    assert len({(key, counter[1:]) for key, counter in states}) == len(states)


@few_examples
@given(words, words, st.integers(1, 50))
def test_keys_are_seed_and_stream_and_counters_are_step_and_length(seed: int, step: int, length: int) -> None:
    task = CopyTask(bits=1, min_length=1, max_length=2)
    assert generator_states(lambda: task.batch(seed=seed, step=step, size=1)) == [((seed, 0), (0, step, 0, 0))]
    assert generator_states(lambda: task.batch(seed=seed, step=step, size=1, stream="test")) == [
        ((seed, 1), (0, step, 0, 0))
    ]
    assert generator_states(lambda: task.batch(seed=seed, step=step, size=1, stream="validation")) == [
        ((seed, 3), (0, step, 0, 0))
    ]
    one_length = dataclasses.replace(task, lengths_per_batch="one", steps_per_draw=2)
    assert generator_states(lambda: one_length.batch(seed=seed, step=step, size=1)) == [
        ((seed, 0), (0, step, 0, 0)),
        ((seed, 4), (0, step // 2, 0, 0)),
    ]
    assert generator_states(lambda: task.evaluation_batch(seed=seed, length=length, size=1, step=step)) == [
        ((seed, 1), (0, step, length, 0))
    ]
    assert generator_states(lambda: initial_parameters(SMALL_MODEL, seed)) == [((seed, 2), (0, 0, 0, 0))]


# --- Validation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, float("nan"), float("inf")])
@pytest.mark.parametrize("field", ["bits", "min_length", "max_length"])
def test_a_size_out_of_range_is_refused_by_name(field: str, bad: int) -> None:
    with pytest.raises(ValueError, match=rf"^task\.{field} must be at least 1, not "):
        CopyTask(**{field: bad})


def test_a_longest_length_below_the_shortest_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^task\.max_length must be at least 6, not 5$"):
        CopyTask(bits=8, min_length=6, max_length=5)


def test_an_unknown_stream_is_refused() -> None:
    with pytest.raises((KeyError, ValueError), match="elsewhere"):
        CopyTask().batch(seed=0, step=0, size=1, stream="elsewhere")


def test_tasks_and_batches_are_frozen() -> None:
    task = CopyTask(bits=1, min_length=1, max_length=1)
    with pytest.raises(FrozenInstanceError):
        task.bits = 2  # type: ignore[misc]
    batch = task.batch(seed=0, step=0, size=1)
    with pytest.raises(FrozenInstanceError):
        batch.inputs = batch.targets  # type: ignore[misc]


# --- Idle outputs ---------------------------------------------------------------------------------------------


def test_an_idle_output_changes_nothing_but_the_width_of_the_targets() -> None:
    plain, wide = CopyTask(bits=3, max_length=4), CopyTask(bits=3, max_length=4, idle_outputs=2)
    assert (wide.input_channels, wide.output_channels, plain.output_channels) == (5, 5, 3)
    pairs = [[task.batch(seed=1, step=2, size=7) for task in (plain, wide)]]
    pairs += [[task.evaluation_batch(seed=1, length=9, size=7) for task in (plain, wide)]]
    for expected, batch in pairs:
        assert batch.inputs.tobytes() == expected.inputs.tobytes()
        assert batch.targets.shape == (*expected.targets.shape[:2], 5)
        np.testing.assert_array_equal(wide.bits_of(batch.targets), expected.targets)
        assert np.all(batch.targets[..., 3:] == np.float32(0.001))


# --- Initial parameters ---------------------------------------------------------------------------------------

WIDE_MODEL = ModelSpec(inputs=10, outputs=8, hidden=96, layers=3)
GLOROT_LIMITS = {
    "lstm.0.kernel": np.sqrt(6 / (10 + 96 + 4 * 96)),
    "lstm.0.recurrent_kernel": np.sqrt(6 / (10 + 96 + 4 * 96)),
    "lstm.1.kernel": np.sqrt(6 / (96 + 96 + 4 * 96)),
    "lstm.1.recurrent_kernel": np.sqrt(6 / (96 + 96 + 4 * 96)),
    "lstm.2.kernel": np.sqrt(6 / (96 + 96 + 4 * 96)),
    "lstm.2.recurrent_kernel": np.sqrt(6 / (96 + 96 + 4 * 96)),
    "output.kernel": np.sqrt(6 / (96 + 8)),
}
INPUT_KERNELS = ("lstm.0.kernel", "lstm.1.kernel", "lstm.2.kernel")

sizes = st.integers(1, 6)
models = st.builds(ModelSpec, inputs=sizes, outputs=sizes, hidden=sizes, layers=sizes)


@few_examples
@given(models, words)
def test_initial_parameters_are_float32_of_the_models_names_and_shapes(model: ModelSpec, seed: int) -> None:
    parameters = initial_parameters(model, seed)
    assert {name: array.shape for name, array in parameters.items()} == model.shapes()
    assert {array.dtype for array in parameters.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", GLOROT_LIMITS)
def test_kernels_fill_the_glorot_interval_of_the_joint_matrix(name: str) -> None:
    values = initial_parameters(WIDE_MODEL, seed=0)[name]
    limit = np.float32(GLOROT_LIMITS[name])
    assert np.abs(values).max() <= limit
    assert values.max() > 0.98 * limit
    assert values.min() < -0.98 * limit


@pytest.mark.parametrize("name", GLOROT_LIMITS)
def test_kernels_are_uniform(name: str) -> None:
    values = initial_parameters(WIDE_MODEL, seed=0)[name]
    counts, _ = np.histogram(values / GLOROT_LIMITS[name], bins=16, range=(-1.001, 1.001))
    expected = values.size / 16
    assert abs(chi_square_in_sigmas(counts.astype(np.float64), expected, variance=expected, freedom=15)) < 4


def test_no_two_kernels_repeat_each_others_values() -> None:
    parameters = initial_parameters(WIDE_MODEL, seed=0)
    runs = {(parameters[name] / GLOROT_LIMITS[name]).ravel()[:4].round(3).tobytes() for name in GLOROT_LIMITS}
    assert len(runs) == len(GLOROT_LIMITS)


@few_examples
@given(models, words, st.floats(-3, 3, width=32))
def test_biases_are_zero_except_the_forget_gates(model: ModelSpec, seed: int, forget_bias: float) -> None:
    parameters = initial_parameters(model, seed, forget_bias=forget_bias)
    gates = [0.0] * model.hidden, [forget_bias] * model.hidden, [0.0] * (2 * model.hidden)
    for layer in range(model.layers):
        assert parameters[f"lstm.{layer}.bias"].tolist() == [*gates[0], *gates[1], *gates[2]]
    assert parameters["output.bias"].tolist() == [0.0] * model.outputs


def test_the_forget_bias_is_one_unless_told() -> None:
    parameters = initial_parameters(SMALL_MODEL, seed=0)
    assert bytes_of_parameters(parameters) == bytes_of_parameters(
        initial_parameters(SMALL_MODEL, seed=0, forget_bias=1.0, input_scale=1.0)
    )
    assert parameters["lstm.2.bias"][SMALL_MODEL.hidden] == 1.0


@few_examples
@given(words, st.floats(0.125, 8))
def test_input_scale_multiplies_the_input_kernels_of_the_lstm_layers_alone(seed: int, scale: float) -> None:
    plain = initial_parameters(SMALL_MODEL, seed)
    scaled = initial_parameters(SMALL_MODEL, seed, input_scale=scale)
    for name, values in plain.items():
        if name in INPUT_KERNELS:
            np.testing.assert_allclose(scaled[name], scale * values.astype(np.float64), rtol=1e-5, atol=1e-6)
        else:
            assert scaled[name].tobytes() == values.tobytes()


@few_examples
@given(models, words)
def test_one_seed_gives_the_same_parameters(model: ModelSpec, seed: int) -> None:
    first, second = (bytes_of_parameters(initial_parameters(model, seed)) for _ in range(2))
    assert first == second


@few_examples
@given(words, words)
def test_another_seed_gives_other_kernels_and_the_same_biases(seed: int, other: int) -> None:
    parameters, others = initial_parameters(SMALL_MODEL, seed), initial_parameters(SMALL_MODEL, other)
    for name, values in parameters.items():
        agree = np.array_equal(values, others[name])
        assert agree == (name.endswith("bias") or seed == other)


def test_the_wiring_changes_no_other_initial_parameter_and_the_initial_state_is_zero() -> None:
    """Whatever has the shape it had has the values it had, as long as no kernel before it has grown."""
    plain = initial_parameters(SMALL_MODEL, seed=5)
    learned = initial_parameters(replace(SMALL_MODEL, learned_initial_state=True), seed=5)
    wired = initial_parameters(replace(SMALL_MODEL, input_to_every_layer=True, every_layer_to_output=True), seed=5)
    assert all(learned[name].tobytes() == values.tobytes() for name, values in plain.items())
    assert all(np.all(learned[name] == 0) for name in learned.keys() - plain.keys())
    assert len(learned) == len(plain) + 2 * SMALL_MODEL.layers
    for name in ("lstm.0.kernel", "lstm.0.recurrent_kernel"):
        assert wired[name].tobytes() == plain[name].tobytes()
    rows, columns = wired["lstm.1.kernel"].shape
    assert np.abs(wired["lstm.1.kernel"]).max() <= np.sqrt(6 / (rows + SMALL_MODEL.hidden + columns))


def test_the_plain_networks_initial_parameters_are_what_they_always_were() -> None:
    """Published runs started from them."""
    digest = hashlib.sha256(b"".join(array.tobytes() for array in initial_parameters(SEED_MODEL, seed=0).values()))
    assert digest.hexdigest()[:16] == "5688b5cd9438288d"
