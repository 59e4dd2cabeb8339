"""States packed and unpacked, refused with a name, and kept by every implementation."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from backends import BACKENDS, Backend
from backends.contract import ModelSpec, State, Unsupported
from backends.state import check_state, pack_state, require_state, state_shapes, unpack_state
from tests.frameworks import each_implementation, marks

PROJECT = Path(__file__).parents[2]
MODEL = ModelSpec(inputs=3, outputs=2, hidden=4, layers=2, learned_initial_state=True)


def state_of(model: ModelSpec) -> State:
    generator = np.random.default_rng(0)
    parts = [{name: generator.random(shape) for name, shape in model.shapes().items()} for _ in range(3)]
    return pack_state(*parts, 17)


def test_a_state_has_parameters_both_averages_and_the_step() -> None:
    state = state_of(MODEL)
    assert len(state) == 3 * len(MODEL.shapes()) + 1
    assert {name: array.shape for name, array in state.items()} == state_shapes(MODEL)
    assert (state["optimizer.step"].dtype, int(state["optimizer.step"])) == (np.int64, 17)
    assert state["optimizer.m.lstm.1.initial_h"].shape == (4,)


def test_unpacking_undoes_packing() -> None:
    state = state_of(MODEL)
    unpacked = unpack_state(MODEL, state)
    again = pack_state(*unpacked)
    assert list(again) == list(state)
    assert all(np.array_equal(again[name], array) for name, array in state.items())
    assert np.array_equal(unpacked.v["output.bias"], state["optimizer.v.output.bias"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lstm.0.initial_c": None}, "the state lacks lstm.0.initial_c"),
        ({"lstm.1.bias": None, "optimizer.step": None}, "the state lacks lstm.1.bias, optimizer.step"),
        ({"lstm.2.bias": np.zeros(16)}, "the state has lstm.2.bias, which this model and its optimiser have not"),
        ({"lstm.0.kernel": np.zeros((16, 3))}, "lstm.0.kernel of the state has the shape (16, 3), not (3, 16)"),
        ({"optimizer.step": np.zeros(1, np.int64)}, "optimizer.step of the state has the shape (1,), not ()"),
        ({"optimizer.step": np.float64(3)}, "optimizer.step of the state is of type float64, not integer"),
        ({"optimizer.step": np.int64(-3)}, "optimizer.step of the state must be at least 0, not -3"),
        ({"output.bias": np.zeros(2, np.int64)}, "output.bias of the state is of type int64, not floating"),
    ],
)
def test_what_is_wrong_with_a_state_is_named(change: dict[str, np.ndarray | None], message: str) -> None:
    state = {name: array for name, array in (state_of(MODEL) | change).items() if array is not None}
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        check_state(MODEL, state)


def test_a_trainer_without_a_state_cannot_be_checkpointed_and_says_so() -> None:
    class Forgetful:
        def state(self) -> State:
            return {}

    with pytest.raises(Unsupported, match="cannot be checkpointed: its trainer has no restore, which"):
        require_state(Forgetful())  # type: ignore[arg-type]
    with pytest.raises(Unsupported, match="has no state and no restore"):
        require_state(object())  # type: ignore[arg-type]


@pytest.mark.parametrize(("backend", "implementation"), each_implementation("reference"))
def test_every_implementation_goes_on_from_a_state_to_the_last_bit(
    backend: Backend, implementation: str, tmp_path: Path
) -> None:
    assert_goes_on(backend.implementations[implementation], tmp_path)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=marks(BACKENDS[name])) for name in ("torch", "tensorflow", "jax")]
)
def test_the_tuned_ways_on_a_gpu_go_on_from_a_state_too(name: str, tmp_path: Path) -> None:
    """What of them a processor can stand in for."""
    assert_goes_on(f"tests.backends.gpu_{name}", tmp_path)


def assert_goes_on(module: str, tmp_path: Path) -> None:
    """The part of the conformance suite that is about states, in a process of its own."""
    suite = ["-p", "harness.proof.conformance.plugin", "--pyargs", "harness.proof.conformance.test_state"]
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *suite, "--backend-module"]
    command.append(module)
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    finished = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, env=environment, timeout=600)
    assert finished.returncode == 0, finished.stdout
    assert re.search(r"^14 passed in ", finished.stdout, re.MULTILINE), finished.stdout
