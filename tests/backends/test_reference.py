"""The oracle against finite differences, scalar arithmetic and closed forms: no framework judges it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backends import reference
from backends.contract import WIRINGS, Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters, Unsupported
from harness.task.copy_task import CopyTask, initial_parameters

TASK = CopyTask(bits=2, min_length=1, max_length=3)
ADAM = OptimizerSpec(kind="adam")


def model_of(layers: int, hidden: int, wiring: tuple[str, ...] = ()) -> ModelSpec:
    return ModelSpec(TASK.input_channels, TASK.bits, hidden, layers, **dict.fromkeys(wiring, True))


def random_parameters(model: ModelSpec, seed: int = 0) -> Parameters:
    """Everything non-zero, biases too, and large enough for the gates to leave their linear range."""
    generator = np.random.default_rng(seed)
    return {name: 0.7 * generator.standard_normal(shape) for name, shape in model.shapes().items()}


def batch_of(size: int, step: int = 0) -> Batch:
    batch = TASK.batch(seed=3, step=step, size=size)
    return Batch(batch.inputs, batch.targets)


def chunk_of(steps: int, size: int, learning_rate: float) -> Chunk:
    batches = [batch_of(size, step) for step in range(steps)]
    return Chunk(
        np.stack([batch.inputs for batch in batches]),
        np.stack([batch.targets for batch in batches]),
        np.full(steps, learning_rate, np.float32),
    )


def trainer_of(model: ModelSpec, optimizer: OptimizerSpec = ADAM) -> reference.ReferenceTrainer:
    return reference.build(model, optimizer, random_parameters(model), device="cpu", precision="float64")


def central_differences(model: ModelSpec, parameters: Parameters, name: str, batch: Batch, eps: float = 1e-5) -> Array:
    differences = np.empty(parameters[name].shape)
    for index in np.ndindex(differences.shape):
        nudge = np.zeros(differences.shape)
        nudge[index] = eps
        above = reference.loss(model, parameters | {name: parameters[name] + nudge}, batch)
        below = reference.loss(model, parameters | {name: parameters[name] - nudge}, batch)
        differences[index] = (above - below) / (2 * eps)
    return differences


# --- Gradients ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("layers", "hidden", "wiring"),
    [(1, 5, ()), (3, 3, ()), *((2, 3, (switch,)) for switch in WIRINGS), (1, 3, WIRINGS), (3, 2, WIRINGS)],
)
def test_every_gradient_agrees_with_central_differences(layers: int, hidden: int, wiring: tuple[str, ...]) -> None:
    model = model_of(layers, hidden, wiring)
    parameters = random_parameters(model)
    lengths = TASK.batch(seed=3, step=0, size=4).lengths
    assert len(set(lengths)) > 1
    batch = batch_of(4)

    value, gradients = reference.loss_and_gradients(model, parameters, batch)

    assert value == reference.loss(model, parameters, batch)
    assert list(gradients) == list(parameters)
    for name, gradient in gradients.items():
        expected = central_differences(model, parameters, name, batch)
        assert np.linalg.norm(gradient - expected) < 1e-6 * np.linalg.norm(expected), name


@given(
    layers=st.integers(1, 3),
    hidden=st.integers(1, 5),
    size=st.integers(1, 4),
    time=st.integers(1, 6),
    seed=st.integers(0, 1000),
    wiring=st.sets(st.sampled_from(WIRINGS)),
)
@settings(max_examples=25, deadline=None)
def test_slope_in_a_random_direction_agrees_for_any_shape_and_wiring(
    layers: int, hidden: int, size: int, time: int, seed: int, wiring: set[str]
) -> None:
    model = model_of(layers, hidden, tuple(wiring))
    parameters = random_parameters(model, seed)
    generator = np.random.default_rng(seed)
    batch = Batch(generator.random((size, time, model.inputs)), generator.random((size, time, model.outputs)))
    direction = {name: generator.standard_normal(w.shape) for name, w in parameters.items()}

    def loss_at(distance: float) -> float:
        return reference.loss(model, {name: w + distance * direction[name] for name, w in parameters.items()}, batch)

    _, gradients = reference.loss_and_gradients(model, parameters, batch)
    slope = sum(float(np.sum(gradients[name] * direction[name])) for name in parameters)

    assert slope == pytest.approx((loss_at(1e-5) - loss_at(-1e-5)) / 2e-5, rel=1e-6, abs=1e-8)


def test_gradient_of_a_batch_is_the_average_over_its_sequences() -> None:
    model = model_of(layers=2, hidden=3)
    parameters = random_parameters(model)
    batch = batch_of(4)

    _, together = reference.loss_and_gradients(model, parameters, batch)
    single = [
        reference.loss_and_gradients(model, parameters, Batch(batch.inputs[n : n + 1], batch.targets[n : n + 1]))[1]
        for n in range(4)
    ]

    for name, gradient in together.items():
        np.testing.assert_allclose(gradient, np.mean([each[name] for each in single], axis=0), rtol=1e-12, atol=1e-15)


# --- The forward pass -----------------------------------------------------------------------------------------


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_one_unit_computes_the_equations_of_the_specification() -> None:
    model = ModelSpec(inputs=1, outputs=1, hidden=1, layers=2)
    parameters = random_parameters(model)
    inputs = [0.3, -1.2, 0.8]

    signal = inputs
    for layer in range(model.layers):
        kernel, recurrent, bias = (
            parameters[f"lstm.{layer}.{field}"].ravel().tolist() for field in ("kernel", "recurrent_kernel", "bias")
        )
        h = c = 0.0
        outputs = []
        for x in signal:
            i, f, g, o = (x * kernel[gate] + h * recurrent[gate] + bias[gate] for gate in range(4))
            c = logistic(f) * c + logistic(i) * math.tanh(g)
            h = logistic(o) * math.tanh(c)
            outputs.append(h)
        signal = outputs
    slope, offset = parameters["output.kernel"].item(), parameters["output.bias"].item()
    expected = [logistic(h * slope + offset) for h in signal]

    trainer = reference.build(model, ADAM, parameters, device="cpu", precision="float64")
    probabilities = trainer.predict(np.array(inputs).reshape(1, 3, 1))

    assert probabilities.shape == (1, 3, 1)
    np.testing.assert_allclose(probabilities.ravel(), expected, rtol=1e-14)


def test_two_wired_layers_compute_the_equations_of_the_specification() -> None:
    model = ModelSpec(1, 1, 1, 2, **dict.fromkeys(WIRINGS, True))
    parameters = random_parameters(model)
    inputs = [0.3, -1.2, 0.8]

    def values(name: str) -> list[float]:
        return parameters[name].ravel().tolist()

    state = [[values(f"lstm.{layer}.initial_{name}")[0] for name in "hc"] for layer in range(2)]
    expected = []
    for x in inputs:
        seen = [x]
        for layer in range(2):
            kernel = parameters[f"lstm.{layer}.kernel"].tolist()
            recurrent, bias = values(f"lstm.{layer}.recurrent_kernel"), values(f"lstm.{layer}.bias")
            h, c = state[layer]
            z = [h * recurrent[gate] + bias[gate] for gate in range(4)]
            for gate in range(4):
                z[gate] += sum(each * row[gate] for each, row in zip(seen, kernel, strict=True))
            i, f, g, o = z
            c = logistic(f) * c + logistic(i) * math.tanh(g)
            h = logistic(o) * math.tanh(c)
            state[layer] = [h, c]
            seen = [h, x]
        slopes, offset = values("output.kernel"), values("output.bias")[0]
        expected.append(logistic(state[0][0] * slopes[0] + state[1][0] * slopes[1] + offset))

    trainer = reference.build(model, ADAM, parameters, device="cpu", precision="float64")
    np.testing.assert_allclose(trainer.predict(np.array(inputs).reshape(1, 3, 1)).ravel(), expected, rtol=1e-14)


def test_a_learned_initial_state_of_zeros_is_the_plain_network() -> None:
    plain, learned = model_of(2, 4), model_of(2, 4, ("learned_initial_state",))
    parameters = random_parameters(plain)
    zeros = {name: np.zeros(shape) for name, shape in learned.shapes().items() if "initial" in name}
    batch = batch_of(3)
    value, gradients = reference.loss_and_gradients(learned, parameters | zeros, batch)
    expected, plain_gradients = reference.loss_and_gradients(plain, parameters, batch)
    assert value == expected
    assert all(np.array_equal(gradients[name], gradient) for name, gradient in plain_gradients.items())
    assert all(np.all(gradients[name] != 0) for name in zeros)


def test_sequences_of_a_batch_do_not_touch_each_other() -> None:
    trainer = trainer_of(model_of(layers=2, hidden=4))
    inputs = batch_of(3).inputs
    for n in range(3):
        np.testing.assert_allclose(trainer.predict(inputs)[n], trainer.predict(inputs[n : n + 1])[0], rtol=1e-13)


def test_a_later_input_changes_no_earlier_probability() -> None:
    trainer = trainer_of(model_of(layers=2, hidden=4))
    inputs = batch_of(2).inputs
    changed = inputs.copy()
    changed[:, 4] += 1

    before, after = trainer.predict(inputs), trainer.predict(changed)

    np.testing.assert_array_equal(before[:, :4], after[:, :4])
    assert np.all(before[:, 4] != after[:, 4])


@given(st.lists(st.floats(-1e308, 1e308), min_size=1))
def test_sigmoid_never_overflows(values: list[float]) -> None:
    x = np.array(values)
    with np.errstate(all="raise", under="ignore"):
        p = reference.sigmoid(x)
    assert np.all((p >= 0) & (p <= 1))
    np.testing.assert_allclose(p + reference.sigmoid(-x), 1)


# --- The loss -------------------------------------------------------------------------------------------------


@given(
    values=st.lists(st.tuples(st.floats(-12, 12), st.floats(0, 1)), min_size=1, max_size=30),
)
def test_loss_is_the_formula_written_with_probabilities(values: list[tuple[float, float]]) -> None:
    logits, targets = (np.array(column).reshape(1, -1, 1) for column in zip(*values, strict=True))
    p = 1 / (1 + np.exp(-logits))

    value, gradient = reference.cross_entropy(logits, targets)

    assert value == pytest.approx(np.mean(-(targets * np.log(p) + (1 - targets) * np.log(1 - p))), rel=1e-9)
    np.testing.assert_allclose(gradient, (p - targets) / logits.size, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("logit", [1e4, -1e4, 1e300, -1e300])
def test_loss_is_exact_for_huge_logits(logit: float) -> None:
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        value, gradient = reference.cross_entropy(np.full((1, 1, 2), logit), np.array([[[0.001, 1.0]]]))
    costs = [0.999 * logit, 0.0] if logit > 0 else [0.001 * -logit, -logit]
    assert value == pytest.approx(sum(costs) / 2)
    p = 1.0 if logit > 0 else 0.0
    np.testing.assert_allclose(gradient.ravel(), [(p - 0.001) / 2, (p - 1) / 2])


def test_padding_counts_as_much_as_the_pattern() -> None:
    """A network that answers 1/2 everywhere pays log 2 for every output, whatever its target."""
    model = model_of(layers=1, hidden=2)
    zeros: Parameters = {name: np.zeros(shape) for name, shape in model.shapes().items()}
    batch = batch_of(5)

    value, gradients = reference.loss_and_gradients(model, zeros, batch)

    assert value == pytest.approx(math.log(2))
    per_output = (0.5 - batch.targets.astype(np.float64)).mean(axis=(0, 1)) / TASK.bits
    np.testing.assert_allclose(gradients["output.bias"], per_output)


# --- Optimisers -----------------------------------------------------------------------------------------------


def two_updates(optimizer: OptimizerSpec, rates: tuple[float, float] = (0.1, 0.05)) -> list[float]:
    """The scalar w = 1 after each of two updates, with gradients 2 and -1 and a changing learning rate."""
    parameters: Parameters = {"w": np.array([1.0])}
    state = reference.initial_optimizer_state(optimizer, parameters)
    path = []
    for gradient, rate in zip((2.0, -1.0), rates, strict=True):
        parameters, state = reference.update(optimizer, parameters, {"w": np.array([gradient])}, state, rate)
        path.append(parameters["w"].item())
    return path


def test_adam_by_hand() -> None:
    optimizer = OptimizerSpec(kind="adam", beta1=0.9, beta2=0.99, epsilon=0.5)
    # Step 1: m = 0.1 * 2 = 0.2, v = 0.01 * 4 = 0.04; corrected by 0.1 and 0.01: 2 and 4.
    first = 1 - 0.1 * 2 / (2 + 0.5)
    # Step 2: m = 0.9 * 0.2 - 0.1 = 0.08, v = 0.99 * 0.04 + 0.01 = 0.0496; corrected by 0.19 and 0.0199.
    second = first - 0.05 * (0.08 / 0.19) / (math.sqrt(0.0496 / 0.0199) + 0.5)
    assert two_updates(optimizer) == pytest.approx([first, second], rel=1e-14)


def test_adam_starts_its_averages_at_zero_whatever_initial_v() -> None:
    assert two_updates(OptimizerSpec(kind="adam", initial_v=1.0)) == two_updates(OptimizerSpec(kind="adam"))


def test_rmsprop_with_epsilon_inside_the_root_by_hand() -> None:
    optimizer = OptimizerSpec(
        kind="rmsprop", decay=0.9, momentum=0.8, epsilon=0.7, epsilon_inside_root=True, initial_v=1.0
    )
    # Step 1: v = 0.9 * 1 + 0.1 * 4 = 1.3, m = 0.1 * 2 / sqrt(1.3 + 0.7).
    m = 0.2 / math.sqrt(2.0)
    first = 1 - m
    # Step 2: v = 0.9 * 1.3 + 0.1 * 1 = 1.27, m = 0.8 m + 0.05 * -1 / sqrt(1.27 + 0.7).
    second = first - (0.8 * m - 0.05 / math.sqrt(1.97))
    assert two_updates(optimizer) == pytest.approx([first, second], rel=1e-14)


def test_rmsprop_with_epsilon_outside_the_root_by_hand() -> None:
    optimizer = OptimizerSpec(kind="rmsprop", decay=0.75, momentum=0.5, epsilon=0.25, initial_v=0.0)
    # Step 1: v = 0.25 * 4 = 1, m = 0.1 * 2 / (1 + 0.25) = 0.16.
    # Step 2: v = 0.75 * 1 + 0.25 * 1 = 1, m = 0.5 * 0.16 + 0.05 * -1 / (1 + 0.25) = 0.04.
    assert two_updates(optimizer) == pytest.approx([0.84, 0.80], rel=1e-14)


def test_rmsprop_clips_each_element_before_it_averages() -> None:
    optimizer = OptimizerSpec(kind="rmsprop", decay=0.75, momentum=0.0, epsilon=0.25, clip="element", clip_value=1.5)
    # Step 1: g = 1.5, v = 0.25 * 2.25 = 0.5625, its root 0.75. Step 2: g = -1, v = 0.75 * 0.5625 + 0.25 = 0.671875.
    first = 1 - 0.1 * 1.5 / (0.75 + 0.25)
    second = first + 0.05 / (math.sqrt(0.671875) + 0.25)
    assert two_updates(optimizer) == pytest.approx([first, second], rel=1e-14)


def test_adam_clips_the_norm_before_it_averages() -> None:
    optimizer = OptimizerSpec(kind="adam", beta1=0.5, beta2=0.75, epsilon=1.0, clip="norm", clip_value=0.5)
    # The clipped gradients are 0.5 and -0.5. Step 1: m / 0.5 = 0.5, sqrt(v / 0.25) = 0.5.
    first = 1 - 0.1 * 0.5 / (0.5 + 1)
    # Step 2: m = 0.5 * 0.25 - 0.25 = -0.125, over 1 - 0.25; v = 0.75 * 0.0625 + 0.0625, over 1 - 0.5625: 0.25.
    second = first + 0.05 * (0.125 / 0.75) / (0.5 + 1)
    assert two_updates(optimizer) == pytest.approx([first, second], rel=1e-14)


GRADIENTS: Parameters = {"a": np.array([3.0, -0.5]), "b": np.array([[-4.0]])}


@pytest.mark.parametrize(
    ("clip", "clip_value", "a", "b"),
    [
        ("none", 1.0, [3.0, -0.5], -4.0),
        ("element", 1.0, [1.0, -0.5], -1.0),
        ("element", 3.5, [3.0, -0.5], -3.5),
        ("norm", 100.0, [3.0, -0.5], -4.0),
        ("norm", math.sqrt(25.25) / 2, [1.5, -0.25], -2.0),
    ],
)
def test_clipping_by_hand(clip: str, clip_value: float, a: list[float], b: float) -> None:
    clipped = reference.clip_gradients(OptimizerSpec(clip=clip, clip_value=clip_value), GRADIENTS)
    np.testing.assert_allclose(clipped["a"], a, rtol=1e-15)
    np.testing.assert_allclose(clipped["b"], [[b]], rtol=1e-15)


def test_clipping_the_norm_leaves_a_zero_gradient_alone() -> None:
    with np.errstate(all="raise"):
        clipped = reference.clip_gradients(OptimizerSpec(clip="norm"), {"w": np.zeros(3)})
    np.testing.assert_array_equal(clipped["w"], 0)


def test_every_parameter_is_updated_with_its_own_gradient() -> None:
    optimizer = OptimizerSpec(kind="rmsprop", decay=0.0, momentum=0.0, epsilon=0.0)
    parameters: Parameters = {"a": np.zeros(2), "b": np.zeros((1, 1))}
    state = reference.initial_optimizer_state(optimizer, parameters)

    moved, state = reference.optimizer_step(optimizer, parameters, GRADIENTS, state, 0.1)

    np.testing.assert_allclose(moved["a"], [-0.1, 0.1])
    np.testing.assert_allclose(moved["b"], [[0.1]])
    assert state.steps == 1
    np.testing.assert_allclose(state.v["b"], [[16.0]])


# --- The trainer ----------------------------------------------------------------------------------------------


def test_train_returns_the_loss_before_each_step() -> None:
    model = model_of(layers=2, hidden=4)
    chunk = chunk_of(steps=3, size=4, learning_rate=0.05)
    whole, stepwise = trainer_of(model), trainer_of(model)

    expected = []
    for k in range(3):
        expected.append(stepwise.loss_and_gradients(Batch(chunk.inputs[k], chunk.targets[k]))[0])
        stepwise.train(Chunk(chunk.inputs[k : k + 1], chunk.targets[k : k + 1], chunk.learning_rates[k : k + 1]))
    losses = whole.train(chunk)

    assert losses.shape == (3,)
    np.testing.assert_array_equal(losses, expected)
    for name, w in whole.parameters().items():
        np.testing.assert_array_equal(w, stepwise.parameters()[name])


def test_train_uses_the_learning_rate_of_each_step() -> None:
    model = model_of(layers=1, hidden=3)
    chunk = chunk_of(steps=2, size=4, learning_rate=0.1)
    trainer = trainer_of(model, OptimizerSpec(kind="rmsprop", momentum=0.0))
    once = trainer_of(model, OptimizerSpec(kind="rmsprop", momentum=0.0))

    trainer.train(Chunk(chunk.inputs, chunk.targets, np.array([0.1, 0.0], np.float32)))
    once.train(Chunk(chunk.inputs[:1], chunk.targets[:1], np.array([0.1], np.float32)))

    for name, w in trainer.parameters().items():
        np.testing.assert_array_equal(w, once.parameters()[name])


@pytest.mark.parametrize(
    "optimizer",
    [
        OptimizerSpec(kind="adam", clip="norm", clip_value=1.0),
        OptimizerSpec(kind="rmsprop", initial_v=1.0, epsilon=1e-10, epsilon_inside_root=True, clip="element"),
    ],
    ids=["adam", "rmsprop"],
)
def test_training_reduces_the_loss(optimizer: OptimizerSpec) -> None:
    model = model_of(layers=2, hidden=8)
    trainer = reference.build(model, optimizer, initial_parameters(model, seed=0), device="auto", precision="float32")
    losses = trainer.train(chunk_of(steps=80, size=16, learning_rate=0.02))
    assert losses[-10:].mean() < 0.8 * losses[:3].mean()


def test_parameters_are_float64_copies_with_canonical_names_and_shapes() -> None:
    model = model_of(layers=3, hidden=4)
    given_parameters = initial_parameters(model, seed=0)
    trainer = reference.build(model, ADAM, given_parameters, device="cpu", precision="float32")

    first = trainer.parameters()
    assert {name: w.shape for name, w in first.items()} == model.shapes()
    assert list(first) == list(model.shapes())
    assert {w.dtype for w in first.values()} == {np.dtype(np.float64)}
    for name, w in first.items():
        np.testing.assert_array_equal(w, given_parameters[name])
        w += 1
        given_parameters[name] += 2
    for name, w in trainer.parameters().items():
        np.testing.assert_array_equal(w, first[name] - 1)


def test_predict_and_loss_and_gradients_change_nothing() -> None:
    trainer = trainer_of(model_of(layers=2, hidden=3))
    before = trainer.parameters()
    batch = batch_of(2)
    trainer.predict(batch.inputs)
    first, second = trainer.loss_and_gradients(batch), trainer.loss_and_gradients(batch)
    assert first[0] == second[0]
    for name, w in trainer.parameters().items():
        np.testing.assert_array_equal(w, before[name])


@pytest.mark.parametrize(("device", "precision"), [("cuda", "float64"), ("cuda:1", "float32"), ("cpu", "bfloat16")])
def test_what_it_cannot_do_is_unsupported_with_a_reason(device: str, precision: str) -> None:
    model = model_of(layers=1, hidden=2)
    with pytest.raises(Unsupported, match=f"not (on|in) ({device}|{precision})$"):
        reference.build(model, ADAM, random_parameters(model), device=device, precision=precision)


def test_parameters_of_another_model_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes"):
        reference.build(model_of(1, 2), ADAM, random_parameters(model_of(1, 3)), device="cpu", precision="float64")


def test_settings_name_device_arithmetic_and_library() -> None:
    trainer = trainer_of(model_of(layers=1, hidden=2))
    assert trainer.settings() == {"device": "cpu", "arithmetic": "float64", "library": f"numpy {np.__version__}"}
    assert trainer.peak_memory_bytes() is None
