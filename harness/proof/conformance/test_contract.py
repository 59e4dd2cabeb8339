"""The backend keeps the rest of the contract: what its arrays are, and what a call may change."""

from __future__ import annotations

import numpy as np
import pytest

from backends.contract import OptimizerSpec, Parameters, Unsupported
from harness.proof.cases import Case, make_batch, make_chunk, start_parameters
from harness.proof.conformance.plugin import Subject

CASE = Case("contract", 2, OptimizerSpec(clip="norm"))
MODEL = CASE.model()


def assert_equal(left: Parameters, right: Parameters) -> None:
    assert list(left) == list(right)
    for name, array in left.items():
        np.testing.assert_array_equal(array, right[name], err_msg=name)


def shapes(arrays: Parameters) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in arrays.items()}


@pytest.mark.parametrize("what", ["parameters", "gradients"])
def test_names_and_shapes_are_the_canonical_ones(subject: Subject, what: str) -> None:
    trainer = subject.build(CASE)
    arrays = trainer.parameters() if what == "parameters" else trainer.loss_and_gradients(make_batch(0))[1]
    assert all(isinstance(array, np.ndarray) for array in arrays.values())
    assert shapes(arrays) == MODEL.shapes()


def test_a_new_trainer_has_the_parameters_it_was_given(subject: Subject) -> None:
    parameters = subject.build(CASE).parameters()
    assert_equal({name: parameters[name].astype(np.float32) for name in MODEL.shapes()}, start_parameters(MODEL))


def test_probabilities_are_probabilities_of_every_output(subject: Subject) -> None:
    batch = make_batch(0)
    probabilities = subject.build(CASE).predict(batch.inputs)
    assert isinstance(probabilities, np.ndarray)
    assert probabilities.shape == batch.targets.shape
    assert np.all((probabilities > 0) & (probabilities < 1))


def test_any_batch_size_and_length_can_be_predicted(subject: Subject) -> None:
    trainer, batch = subject.build(CASE), make_batch(0)
    whole = trainer.predict(batch.inputs)
    np.testing.assert_allclose(trainer.predict(batch.inputs[:2, :5]), whole[:2, :5], rtol=1e-5)


def test_what_parameters_returns_is_a_copy(subject: Subject) -> None:
    trainer = subject.build(CASE)
    returned = trainer.parameters()
    kept = {name: array.copy() for name, array in returned.items()}
    trainer.train(make_chunk(0, 2))
    assert_equal(returned, kept)
    trained = {name: array.copy() for name, array in trainer.parameters().items()}
    for array in trainer.parameters().values():
        if array.flags.writeable:
            array += 1
    assert_equal(trainer.parameters(), trained)


def test_the_given_arrays_are_not_kept_and_not_changed(subject: Subject) -> None:
    given = start_parameters(MODEL)
    trainer, untouched = subject.build(CASE, parameters=given), subject.build(CASE)
    trainer.train(make_chunk(0, 2))
    assert_equal(given, start_parameters(MODEL))
    for array in given.values():
        array += 1
    untouched.train(make_chunk(0, 2))
    assert_equal(trainer.parameters(), untouched.parameters())


def test_loss_and_gradients_and_predict_change_nothing(subject: Subject) -> None:
    disturbed, calm, batch = subject.build(CASE), subject.build(CASE), make_batch(7)
    for step in range(3):
        disturbed.loss_and_gradients(batch)
        disturbed.predict(batch.inputs)
        disturbed.train(make_chunk(step, 1))
        calm.train(make_chunk(step, 1))
    assert_equal(disturbed.parameters(), calm.parameters())


def test_train_returns_the_loss_before_each_step(subject: Subject) -> None:
    trainer, stepwise = subject.build(CASE), subject.build(CASE)
    losses = trainer.train(make_chunk(0, 4))
    assert isinstance(losses, np.ndarray)
    assert losses.shape == (4,)
    for step, loss in enumerate(losses):
        assert stepwise.loss_and_gradients(make_batch(step))[0] == pytest.approx(loss, rel=1e-5)
        stepwise.train(make_chunk(step, 1))


def test_a_chunk_is_its_steps_one_after_the_other(subject: Subject) -> None:
    whole, stepwise = subject.build(CASE), subject.build(CASE)
    whole.train(make_chunk(0, 4))
    for step in range(4):
        stepwise.train(make_chunk(step, 1))
    for name, array in whole.parameters().items():
        np.testing.assert_allclose(array, stepwise.parameters()[name], rtol=1e-4, atol=1e-6, err_msg=name)


def test_two_trainers_share_nothing(subject: Subject) -> None:
    trained, other = subject.build(CASE), subject.build(CASE)
    trained.train(make_chunk(0, 2))
    assert_equal(other.parameters(), subject.build(CASE).parameters())


def test_settings_name_the_device_and_are_plain_values(subject: Subject) -> None:
    settings = subject.build(CASE).settings()
    assert settings.get("device") == "cpu"
    assert all(value is None or isinstance(value, str | int | float | bool) for value in settings.values())


def test_peak_memory_is_a_number_of_bytes_or_unknown(subject: Subject) -> None:
    trainer = subject.build(CASE)
    trainer.train(make_chunk(0, 1))
    peak = trainer.peak_memory_bytes()
    assert peak is None or (isinstance(peak, int) and peak > 0)


@pytest.mark.parametrize(("device", "precision"), [("cuda:99", "float32"), ("abacus", "float32"), ("cpu", "float8")])
def test_what_it_cannot_do_is_unsupported_with_a_reason(subject: Subject, device: str, precision: str) -> None:
    with pytest.raises(Unsupported, match=r"\w"):
        subject.implementation.build(MODEL, CASE.optimizer, start_parameters(MODEL), device=device, precision=precision)
