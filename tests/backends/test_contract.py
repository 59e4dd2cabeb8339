"""The specifications refuse what is out of range, stay as they are, and cost no framework to import."""

from __future__ import annotations

import itertools
import os
import subprocess
import sys
from dataclasses import FrozenInstanceError, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import backends
from backends.contract import (
    WIRINGS,
    Batch,
    Chunk,
    ModelSpec,
    OptimizerSpec,
    check_at_least,
    check_choice,
)

ROOT = Path(backends.__file__).resolve().parents[1]
FRAMEWORKS = ("torch", "tensorflow", "keras", "jax", "jaxlib", "flax", "optax")
NOT_FINITE = (float("nan"), float("inf"), float("-inf"))
MODEL = {"inputs": 10, "outputs": 8, "hidden": 256, "layers": 3}
SEED_RECIPE = OptimizerSpec(
    kind="rmsprop",
    decay=0.9,
    momentum=0.9,
    epsilon=1e-10,
    epsilon_inside_root=True,
    initial_v=1.0,
    clip="element",
    clip_value=10.0,
)


# --- Values out of range --------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [0, -1, 0.5, *NOT_FINITE])
@pytest.mark.parametrize("field", MODEL)
def test_a_model_size_below_one_is_refused_by_name(field: str, bad: Any) -> None:
    with pytest.raises(ValueError, match=rf"^model\.{field} must be at least 1, not "):
        ModelSpec(**(MODEL | {field: bad}))


@pytest.mark.parametrize("field", ["kind", "clip"])
def test_an_unknown_choice_is_refused_by_name_with_the_choices(field: str) -> None:
    choices = {"kind": "adam, rmsprop", "clip": "none, element, norm"}[field]
    with pytest.raises(ValueError, match=rf"^optimizer\.{field} must be one of {choices}, not 'Adam'$"):
        OptimizerSpec(**{field: "Adam"})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [-1e-12, *NOT_FINITE])
@pytest.mark.parametrize("field", ["epsilon", "initial_v"])
def test_a_negative_constant_is_refused_by_name(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match=rf"^optimizer\.{field} must be at least 0, not "):
        OptimizerSpec(**{field: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [1.0, 1.5, -1e-12, *NOT_FINITE])
@pytest.mark.parametrize("field", ["beta1", "beta2", "decay", "momentum"])
def test_a_decay_outside_zero_to_one_is_refused_by_name(field: str, bad: float) -> None:
    with pytest.raises(ValueError, match=rf"^optimizer\.{field} must be at least 0 and below 1, not "):
        OptimizerSpec(**{field: bad})  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", [0.0, -1.0, *NOT_FINITE])
@pytest.mark.parametrize("clip", ["none", "element", "norm"])
def test_a_clip_value_that_is_not_above_zero_is_refused_by_name(clip: str, bad: float) -> None:
    with pytest.raises(ValueError, match=r"^optimizer\.clip_value must be above 0, not "):
        OptimizerSpec(clip=clip, clip_value=bad)


def test_the_ends_of_every_range_are_allowed() -> None:
    lowest = OptimizerSpec(beta1=0, beta2=0, decay=0, momentum=0, epsilon=0, initial_v=0, clip_value=1e-12)
    assert (lowest.beta1, lowest.epsilon, lowest.clip_value) == (0, 0, 1e-12)
    assert ModelSpec(inputs=1, outputs=1, hidden=1, layers=1).layers == 1


@given(st.floats(), st.floats(allow_nan=False, allow_infinity=False))
def test_a_check_passes_exactly_the_finite_values_from_its_bound_on(value: float, bound: float) -> None:
    if np.isfinite(value) and value >= bound:
        check_at_least("owner", {"field": value}, bound)
    else:
        with pytest.raises(ValueError, match=r"^owner\.field must be at least "):
            check_at_least("owner", {"field": value}, bound)


def test_a_check_names_the_first_offender_its_bound_and_its_value() -> None:
    with pytest.raises(ValueError, match=r"^owner\.second must be at least 2, not 1\.5$"):
        check_at_least("owner", {"first": 2, "second": 1.5, "third": 0}, 2)


def test_a_choice_passes_only_what_is_allowed() -> None:
    check_choice("owner", "field", "b", ("a", "b"))
    with pytest.raises(ValueError, match=r"^owner\.field must be one of a, b, not 'c'$"):
        check_choice("owner", "field", "c", ("a", "b"))


# --- Shapes ---------------------------------------------------------------------------------------------------


def test_shapes_are_canonical_layer_by_layer_with_the_output_last() -> None:
    assert list(ModelSpec(inputs=3, outputs=2, hidden=5, layers=2).shapes().items()) == [
        ("lstm.0.kernel", (3, 20)),
        ("lstm.0.recurrent_kernel", (5, 20)),
        ("lstm.0.bias", (20,)),
        ("lstm.1.kernel", (5, 20)),
        ("lstm.1.recurrent_kernel", (5, 20)),
        ("lstm.1.bias", (20,)),
        ("output.kernel", (5, 2)),
        ("output.bias", (2,)),
    ]


def test_each_switch_changes_the_shapes_it_says() -> None:
    plain = ModelSpec(inputs=3, outputs=2, hidden=5, layers=3)
    changes = {
        "input_to_every_layer": {"lstm.1.kernel": (5 + 3, 20), "lstm.2.kernel": (5 + 3, 20)},
        "every_layer_to_output": {"output.kernel": (3 * 5, 2)},
        "learned_initial_state": {f"lstm.{layer}.initial_{name}": (5,) for layer in range(3) for name in "hc"},
    }
    assert tuple(changes) == WIRINGS
    assert plain.wiring == ()
    for switch, change in changes.items():
        wired = replace(plain, **{switch: True})
        assert wired.wiring == (switch,)
        assert wired.shapes() == plain.shapes() | change


def test_a_learned_initial_state_comes_after_its_layers_bias() -> None:
    names = list(ModelSpec(3, 2, 5, 2, learned_initial_state=True).shapes())
    assert names[2:6] == ["lstm.0.bias", "lstm.0.initial_h", "lstm.0.initial_c", "lstm.1.kernel"]


sizes = st.integers(1, 300)


@settings(deadline=None)
@given(inputs=sizes, outputs=sizes, hidden=sizes, layers=st.integers(1, 9))
def test_parameters_number_what_the_equations_need(inputs: int, outputs: int, hidden: int, layers: int) -> None:
    spec = ModelSpec(inputs=inputs, outputs=outputs, hidden=hidden, layers=layers)
    shapes = spec.shapes()
    first = 4 * hidden * (inputs + hidden + 1)
    rest = (layers - 1) * 4 * hidden * (2 * hidden + 1)
    assert (
        sum(int(np.prod(shape)) for shape in shapes.values())
        == spec.n_parameters()
        == first + rest + (hidden + 1) * outputs
    )


def test_the_seeds_network_has_1326088_parameters() -> None:
    assert ModelSpec(10, 8, 256, 3).n_parameters() == 1_326_088


def test_the_papers_network_has_1352969_parameters() -> None:
    wired = ModelSpec(10, 9, 256, 3, **dict.fromkeys(WIRINGS, True))
    assert wired.n_parameters() == 1_352_969
    # No wiring with fewer switches has them, and neither have other outputs.
    fewer = [wiring for n in range(3) for wiring in itertools.combinations(WIRINGS, n)]
    others = [ModelSpec(10, outputs, 256, 3, **dict.fromkeys(wiring, True)) for wiring in fewer for outputs in (8, 9)]
    assert all(other.n_parameters() != 1_352_969 for other in [*others, replace(wired, outputs=8)])


# --- Frozen ---------------------------------------------------------------------------------------------------

ARRAY = np.zeros((1, 1, 1), np.float32)
FROZEN = (
    ModelSpec(**MODEL),
    SEED_RECIPE,
    Batch(ARRAY, ARRAY),
    Chunk(ARRAY[None], ARRAY[None], np.zeros(1, np.float32)),
)


@pytest.mark.parametrize("value", FROZEN, ids=lambda value: type(value).__name__)
def test_no_field_can_be_set(value: Any) -> None:
    for field in fields(value):
        with pytest.raises(FrozenInstanceError):
            setattr(value, field.name, getattr(value, field.name))


def test_specifications_are_values() -> None:
    assert len({ModelSpec(**MODEL), ModelSpec(**MODEL), ModelSpec(**(MODEL | {"layers": 2}))}) == 2
    assert len({OptimizerSpec(), OptimizerSpec(), SEED_RECIPE}) == 2


# --- Imports --------------------------------------------------------------------------------------------------

STATEMENTS = (
    *("import harness, harness.task.copy_task, harness.task.metrics", "import backends, backends.contract"),
    "[backend.missing_packages() or backend.versions() for backend in backends.BACKENDS.values()]",
)


def frameworks_loaded_by(*statements: str) -> list[str]:
    script = "\n".join([*statements, f"import sys\nprint(*sorted(set(sys.modules) & set({FRAMEWORKS!r})))"])
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", script]
    process = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=60)
    return process.stdout.split()


def test_what_is_imported_and_asked_what_is_installed_loads_no_framework() -> None:
    assert frameworks_loaded_by(*STATEMENTS) == []


def test_a_framework_that_is_loaded_would_be_seen() -> None:
    assert frameworks_loaded_by("import sys, types; sys.modules['jax'] = types.ModuleType('jax')") == ["jax"]
