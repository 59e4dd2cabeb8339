"""A checkpoint loses nothing: a trainer restored from a state goes on as the one it was taken from would have."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from backends import reference
from backends.contract import WIRINGS, OptimizerSpec, State, Trainer, Unsupported
from backends.state import STEP, require_state, state_shapes
from harness.proof.cases import CLIP_VALUES, EPSILON, Case, make_chunk, optimizer_forms, start_parameters
from harness.proof.comparison import relative_error
from harness.proof.conformance.plugin import Subject
from harness.proof.tolerances import TOLERANCES

FORMS = {
    name: OptimizerSpec(**form, epsilon=EPSILON, clip="norm", clip_value=CLIP_VALUES["norm"])
    for name, form in optimizer_forms().items()
}
CASES = [
    *(pytest.param(Case(name, 1, form), "float32", id=name) for name, form in FORMS.items()),
    pytest.param(Case("double", 1, FORMS["adam"]), "float64", id="float64"),
    pytest.param(Case("wired", 2, FORMS["rmsprop-in-1"], wiring=WIRINGS), "float32", id="wired"),
]
PLAIN = Case("plain", 2, FORMS["rmsprop-out-1"])
STEPS = 3

Start = Callable[..., Trainer]


@pytest.fixture
def start(subject: Subject) -> Start:
    """Build a trainer of a case; skip a backend without states."""

    def start_trainer(case: Case, precision: str = "float32") -> Trainer:
        trainer = subject.build(case, precision)
        try:
            require_state(trainer)
        except Unsupported as reason:
            pytest.skip(f"unsupported: {reason}")
        return trainer

    return start_trainer


def train(trainer: Trainer, first_step: int) -> np.ndarray:
    return trainer.train(make_chunk(first_step, STEPS))


def assert_same(left: State, right: State) -> None:
    assert left.keys() == right.keys()
    for name, array in left.items():
        assert array.dtype == right[name].dtype
        np.testing.assert_array_equal(array, right[name], err_msg=name)


@pytest.mark.parametrize(("case", "precision"), CASES)
def test_a_restored_trainer_goes_on_as_if_nothing_had_happened(start: Start, case: Case, precision: str) -> None:
    whole, restored = start(case, precision), start(case, precision)
    train(whole, 0)
    state = whole.state()
    restored.restore(state)
    assert_same(restored.state(), state)
    np.testing.assert_array_equal(train(whole, STEPS), train(restored, STEPS))
    assert_same(restored.state(), whole.state())
    assert restored.state()[STEP] == 2 * STEPS
    assert_goes_on_as_the_reference(restored, case, precision)


def assert_goes_on_as_the_reference(trainer: Trainer, case: Case, precision: str) -> None:
    """Given the oracle's state, the trainer goes on as the oracle does: names, layouts and meaning are its."""
    parameters = start_parameters(case.model())
    oracle = reference.build(case.model(), case.optimizer, parameters, device="cpu", precision="float64")
    train(oracle, 0)
    trainer.restore(oracle.state())
    train(oracle, STEPS)
    train(trainer, STEPS)
    tolerance, state = TOLERANCES[precision]["after 10 steps"], trainer.state()
    for name, array in oracle.state().items():
        assert relative_error(state[name], array) <= tolerance, name


def test_a_new_state_is_the_start_of_the_equations(start: Start) -> None:
    """Before any step: the given parameters, m of 0 and v of initial_v."""
    model = PLAIN.model()
    state = start(PLAIN).state()
    assert {name: array.shape for name, array in state.items()} == state_shapes(model)
    for name, array in start_parameters(model).items():
        np.testing.assert_array_equal(state[name], array)
        assert np.all(state[f"optimizer.m.{name}"] == 0)
        assert np.all(state[f"optimizer.v.{name}"] == 1)
    assert state[STEP] == 0
    assert state[STEP].dtype == np.int64


def test_a_state_is_a_copy(start: Start) -> None:
    trainer = start(PLAIN)
    train(trainer, 0)
    state = trainer.state()
    kept = {name: array.copy() for name, array in state.items()}
    train(trainer, STEPS)
    assert_same(state, kept)
    later = {name: array.copy() for name, array in trainer.state().items()}
    for array in trainer.state().values():
        if array.flags.writeable:
            array[...] = 0
    assert_same(trainer.state(), later)


@pytest.mark.parametrize("name", ["lstm.1.bias", "optimizer.m.lstm.0.kernel", "optimizer.v.output.bias", STEP])
def test_what_a_state_lacks_or_has_in_another_shape_is_named(start: Start, name: str) -> None:
    trainer = start(PLAIN)
    before = trainer.state()
    without = {other: array for other, array in before.items() if other != name}
    with pytest.raises(ValueError, match=f"lacks {name}"):
        trainer.restore(without)
    with pytest.raises(ValueError, match=rf"{name} of the state has the shape \(7,\)"):
        trainer.restore(before | {name: np.zeros(7, np.float32)})
    assert_same(trainer.state(), before)


def test_a_state_of_another_network_is_refused(start: Start) -> None:
    deeper = replace(PLAIN, layers=3)
    with pytest.raises(ValueError, match=r"lstm\.2\.kernel"):
        start(PLAIN).restore(start(deeper).state())
