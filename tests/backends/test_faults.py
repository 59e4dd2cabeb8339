"""A test of the test: faults, each put into the oracle, must each separate it from every backend.

The backends are right and the oracle is wrong, which the comparison cannot tell from the opposite.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from backends import reference
from backends.contract import Array, Batch, ModelSpec, OptimizerSpec, Parameters
from harness.processes.process import Resources
from harness.processes.proof import Proof, judge, observe_in_worker
from harness.proof.cases import Case, model_cases, training_cases, wired_cases
from harness.proof.comparison import Deviation, compare
from harness.proof.observation import observe
from harness.task.copy_task import END_FLAG, LOW
from tests.frameworks import each_implementation

CASES = [*model_cases(), *training_cases(), *wired_cases()]
# A fault has to stand out by this factor over the tolerance, so that no backend's rounding can hide it.
CLEARLY = 3.0

Function = Callable[..., Any]
ORIGINAL = {name: function for name, function in vars(reference).items() if callable(function)}


# --- Faults in the network and its loss -----------------------------------------------------------------------


def two_gates_swapped(z: Array) -> list[Array]:
    i, f, g, o = ORIGINAL["split_gates"](z)
    return [i, g, f, o]


def forget_bias_absent(parameters: Parameters, layer: int) -> reference.LayerParameters:
    right = ORIGINAL["lstm_layer"](parameters, layer)
    hidden = len(right.recurrent_kernel)
    bias = right.bias.copy()
    bias[hidden : 2 * hidden] = 0
    return reference.LayerParameters(right.kernel, right.recurrent_kernel, bias)


def bias_added_twice(parameters: Parameters, layer: int) -> reference.LayerParameters:
    right = ORIGINAL["lstm_layer"](parameters, layer)
    return reference.LayerParameters(right.kernel, right.recurrent_kernel, 2 * right.bias)


def state_swapped(projected: Array, h: Array, c: Array, recurrent_kernel: Array) -> Any:
    return ORIGINAL["lstm_cell"](projected, c, h, recurrent_kernel)


def targets_a_step_late(model: ModelSpec, parameters: Parameters, batch: Batch) -> Any:
    late = np.full_like(batch.targets, LOW)
    late[:, 1:] = batch.targets[:, :-1]
    return ORIGINAL["loss_and_gradients"](model, parameters, Batch(batch.inputs, late))


def padding_left_out(model: ModelSpec, parameters: Parameters, batch: Batch) -> tuple[float, Parameters]:
    logits, trace = reference.forward(model, parameters, batch.inputs)
    lengths = batch.inputs[:, :, END_FLAG].argmax(axis=1) - 1
    kept = np.arange(logits.shape[1]) < 2 * lengths[:, None] + 2
    loss, _ = reference.cross_entropy(logits[kept], batch.targets[kept])
    dlogits = (reference.sigmoid(logits) - batch.targets) * kept[:, :, None] / logits[kept].size
    return loss, reference.backward(model, parameters, trace, dlogits)


def gradients_summed(model: ModelSpec, parameters: Parameters, batch: Batch) -> tuple[float, Parameters]:
    loss, gradients = ORIGINAL["loss_and_gradients"](model, parameters, batch)
    return loss, {name: len(batch.inputs) * gradient for name, gradient in gradients.items()}


# --- Faults in the wiring -------------------------------------------------------------------------------------


def input_before_the_layer_below(model: ModelSpec, below: Array, inputs: Array) -> Array:
    return np.concatenate((inputs, below), axis=-1) if model.input_to_every_layer else below


def output_reads_the_last_layer_first(model: ModelSpec, outputs: list[Array]) -> Array:
    return ORIGINAL["read_outputs"](model, outputs[::-1] if model.every_layer_to_output else outputs)


def lower_layers_learn_nothing_from_the_output(model: ModelSpec, dread: Array) -> list[Array]:
    *lower, last = ORIGINAL["read_outputs_backward"](model, dread)
    return [*map(np.zeros_like, lower), last]


def state_learned_but_not_used(model: ModelSpec, *arguments: Any) -> reference.LayerState:
    return ORIGINAL["initial_state"](replace(model, learned_initial_state=False), *arguments)


def initial_h_and_c_exchanged(model: ModelSpec, *arguments: Any) -> reference.LayerState:
    h, c = ORIGINAL["initial_state"](model, *arguments)
    return reference.LayerState(c, h)


def initial_state_never_moved(model: ModelSpec, dstart: reference.LayerState, layer: int) -> Parameters:
    return {name: 0 * value for name, value in ORIGINAL["initial_state_backward"](model, dstart, layer).items()}


def initial_state_of_the_last_sequence(model: ModelSpec, dstart: reference.LayerState, layer: int) -> Parameters:
    return ORIGINAL["initial_state_backward"](model, reference.LayerState(*(d[-1:] for d in dstart)), layer)


# --- Faults in the optimiser ----------------------------------------------------------------------------------


def bias_moved_twice(
    optimizer: OptimizerSpec, parameters: Parameters, *arguments: Any
) -> tuple[Parameters, reference.OptimizerState]:
    """What two biases do, of which the first step adds the gradient to both."""
    moved, state = ORIGINAL["optimizer_step"](optimizer, parameters, *arguments)
    biases = [name for name in moved if name.startswith("lstm") and name.endswith("bias")]
    return moved | {name: 2 * moved[name] - parameters[name] for name in biases}, state


def epsilon_on_the_other_side_of_the_root(optimizer: OptimizerSpec, v: Array) -> Any:
    other = replace(optimizer, epsilon_inside_root=not optimizer.epsilon_inside_root)
    return ORIGINAL["rmsprop_root"](other, v)


def epsilon_before_the_bias_correction(
    optimizer: OptimizerSpec, w: Array, g: Array, m: Array, v: Array, *, learning_rate: float, t: int
) -> Any:
    larger = replace(optimizer, epsilon=optimizer.epsilon / np.sqrt(1 - optimizer.beta2**t))
    return ORIGINAL["adam_step"](larger, w, g, m, v, learning_rate=learning_rate, t=t)


def v_from_the_wrong_start(optimizer: OptimizerSpec, parameters: Parameters) -> Any:
    return ORIGINAL["initial_optimizer_state"](replace(optimizer, initial_v=1 - optimizer.initial_v), parameters)


def clipping_after_the_update(
    optimizer: OptimizerSpec, parameters: Parameters, *arguments: Any
) -> tuple[Parameters, reference.OptimizerState]:
    moved, state = reference.optimizer_step(optimizer, parameters, *arguments)
    change = reference.clip_gradients(optimizer, {name: moved[name] - w for name, w in parameters.items()})
    return {name: w + change[name] for name, w in parameters.items()}, state


def rate_outside_the_momentum(
    optimizer: OptimizerSpec, w: Array, g: Array, m: Array, v: Array, *, learning_rate: float
) -> tuple[Array, Array, Array]:
    _, m, v = ORIGINAL["rmsprop_step"](optimizer, w, g, m, v, learning_rate=1.0)
    return w - learning_rate * m, m, v


FAULTS: dict[str, tuple[str, Function]] = {
    "two gates swapped": ("split_gates", two_gates_swapped),
    "forget bias absent": ("lstm_layer", forget_bias_absent),
    "bias counted twice, in the sum": ("lstm_layer", bias_added_twice),
    "bias counted twice, in training": ("optimizer_step", bias_moved_twice),
    "epsilon on the wrong side of the root": ("rmsprop_root", epsilon_on_the_other_side_of_the_root),
    "epsilon on the wrong side of the bias correction": ("adam_step", epsilon_before_the_bias_correction),
    "v from the wrong start": ("initial_optimizer_state", v_from_the_wrong_start),
    "targets a step late": ("loss_and_gradients", targets_a_step_late),
    "padding left out of the loss": ("loss_and_gradients", padding_left_out),
    "clipping by norm instead of by element": ("clip_by_element", reference.clip_by_norm),
    "clipping after the update": ("update", clipping_after_the_update),
    "learning rate outside the momentum": ("rmsprop_step", rate_outside_the_momentum),
    "h and c swapped in the carry": ("lstm_cell", state_swapped),
    "gradients summed instead of averaged": ("loss_and_gradients", gradients_summed),
    "input before the layer below": ("layer_input", input_before_the_layer_below),
    "output reads the last layer first": ("read_outputs", output_reads_the_last_layer_first),
    "lower layers learn nothing from the output": ("read_outputs_backward", lower_layers_learn_nothing_from_the_output),
    "initial state learned but not used": ("initial_state", state_learned_but_not_used),
    "initial h and c exchanged": ("initial_state", initial_h_and_c_exchanged),
    "initial state never moved": ("initial_state_backward", initial_state_never_moved),
    "initial state of the last sequence alone": ("initial_state_backward", initial_state_of_the_last_sequence),
}


@cache
def expect_with(fault: str, case: Case) -> Parameters:
    """What the oracle with the fault expects."""
    name, function = FAULTS[fault]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reference, name, function)
        return observe(reference, case, device="cpu", precision="float64")


# --- Every backend --------------------------------------------------------------------------------------------


@pytest.fixture(
    scope="module",
    params=[pytest.param(each.values, id=each.id, marks=each.marks) for each in each_implementation()],
)
def proven(request: pytest.FixtureRequest) -> tuple[Proof, dict[str, Parameters]]:
    """The proof in float32 and what the worker observed for it; made once for each implementation."""
    backend, implementation = request.param
    cases = {"float32": CASES}
    observations = observe_in_worker(backend, implementation, cases, Resources(device="cpu", timeout_s=600))
    observed = {about.case: arrays for about, arrays in observations.observed}
    return judge(backend, implementation, cases, observations), observed


def test_the_true_oracle_agrees(proven: tuple[Proof, dict[str, Parameters]]) -> None:
    proof, observed = proven
    assert proof.failure() is None
    assert [*observed] == [case.name for case in CASES]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_caught(proven: tuple[Proof, dict[str, Parameters]], fault: str) -> None:
    observed = proven[1]
    factor = 0.0
    for case in CASES:
        deviations = compare(case.name, "float32", observed[case.name], expect_with(fault, case))
        factor = max(factor, *map(excess, deviations))
        if factor >= CLEARLY:
            return
    pytest.fail(f"{fault}: {factor:.2g} times the tolerance at most")


def excess(deviation: Deviation) -> float:
    return deviation.error / deviation.tolerance


# --- The cases ------------------------------------------------------------------------------------------------


def gradients_met(case: Case, monkeypatch: pytest.MonkeyPatch) -> list[Parameters]:
    """The unclipped gradients of every step of a case."""
    met: list[Parameters] = []

    def spy(optimizer: OptimizerSpec, parameters: Parameters, gradients: Parameters, *arguments: Any) -> Any:
        met.append(gradients)
        return ORIGINAL["update"](optimizer, parameters, gradients, *arguments)

    monkeypatch.setattr(reference, "update", spy)
    observe(reference, case, device="cpu", precision="float64")
    return met


@pytest.mark.parametrize("case", [case for case in CASES if "element" in case.name], ids=lambda case: case.name)
def test_element_clipping_bites_on_some_elements_and_not_on_all(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for gradients in gradients_met(case, monkeypatch)[:10]:
        bitten = np.concatenate([np.abs(g).ravel() > case.optimizer.clip_value for g in gradients.values()])
        assert 0.01 < bitten.mean() < 0.9


@pytest.mark.parametrize("case", [case for case in CASES if "norm" in case.name], ids=lambda case: case.name)
def test_norm_clipping_bites_on_some_steps_and_not_on_all(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    norms = [np.sqrt(sum(np.sum(g**2) for g in each.values())) for each in gradients_met(case, monkeypatch)]
    bitten = np.array(norms) > case.optimizer.clip_value
    assert 0.05 < bitten.mean() < 0.95
