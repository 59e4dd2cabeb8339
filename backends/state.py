"""A trainer's state as named arrays, the same in every backend: what a checkpoint holds. Imports no framework.

    <name>                the parameter of that canonical name, in its canonical layout
    optimizer.m.<name>    its average m, as OptimizerSpec defines it, in the same layout
    optimizer.v.<name>    its average v
    optimizer.step        the optimiser steps taken so far, int64, shape ()

Floating-point arrays have the trainer's own precision, so that nothing is rounded on the way.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from backends.contract import ModelSpec, Parameters, State, Trainer, Unsupported

M, V, STEP = "optimizer.m.", "optimizer.v.", "optimizer.step"


class TrainerState(NamedTuple):
    """Parameters, m and v by canonical name, and the optimiser steps taken so far."""

    parameters: Parameters
    m: Parameters
    v: Parameters
    steps: int


def pack_state(parameters: Parameters, m: Parameters, v: Parameters, steps: int) -> State:
    """The named arrays of a state."""
    averages = [{prefix + name: array for name, array in slot.items()} for prefix, slot in ((M, m), (V, v))]
    return {**parameters, **averages[0], **averages[1], STEP: np.asarray(steps, np.int64)}


def unpack_state(model: ModelSpec, state: State) -> TrainerState:
    """The inverse of pack_state. Raises ValueError where the state is not one of this model's."""
    check_state(model, state)
    parameters, m, v = ({name: state[prefix + name] for name in model.shapes()} for prefix in ("", M, V))
    return TrainerState(parameters, m, v, int(state[STEP]))


def state_shapes(model: ModelSpec) -> dict[str, tuple[int, ...]]:
    """The names and shapes of a state's arrays."""
    shapes = model.shapes()
    return {prefix + name: shape for prefix in ("", M, V) for name, shape in shapes.items()} | {STEP: ()}


def check_state(model: ModelSpec, state: Mapping[str, NDArray[Any]]) -> None:
    """Raise ValueError naming what is missing, is too much, or has a wrong shape or type."""
    expected = state_shapes(model)
    if missing := [name for name in expected if name not in state]:
        raise ValueError(f"the state lacks {', '.join(missing)}")
    if unknown := [name for name in state if name not in expected]:
        raise ValueError(f"the state has {', '.join(unknown)}, which this model and its optimiser have not")
    for name, shape in expected.items():
        array = state[name]
        if array.shape != shape:
            raise ValueError(f"{name} of the state has the shape {array.shape}, not {shape}")
        kind = np.integer if name == STEP else np.floating
        if not np.issubdtype(array.dtype, kind):
            raise ValueError(f"{name} of the state is of type {array.dtype}, not {kind.__name__}")
    if state[STEP] < 0:
        raise ValueError(f"{STEP} of the state must be at least 0, not {state[STEP]}")


def require_state(trainer: Trainer) -> None:
    """Raise Unsupported for a trainer that cannot be checkpointed."""
    missing = [name for name in ("state", "restore") if not callable(getattr(trainer, name, None))]
    if missing:
        reason = f"its trainer has no {' and no '.join(missing)}, which a checkpoint needs"
        raise Unsupported(f"this backend cannot be checkpointed: {reason}")
