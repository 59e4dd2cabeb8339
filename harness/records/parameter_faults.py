"""The parameters beside a record: their names, shapes and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from backends.contract import Array
from harness.records.fault import Fault


def parameter_faults(parameters: Mapping[str, Array], shapes: Mapping[str, tuple[int, ...]]) -> Iterator[Fault]:
    """shapes are those of the model's specification, by canonical name."""
    for name in sorted({*parameters, *shapes}):
        if name not in parameters:
            yield Fault(name, "this parameter is missing")
        elif name not in shapes:
            yield Fault(name, "the model has no such parameter")
        else:
            yield from _faults_of_one(name, parameters[name], shapes[name])


def _faults_of_one(name: str, array: Array, shape: tuple[int, ...]) -> Iterator[Fault]:
    if array.shape != shape:
        yield Fault(name, f"its shape is {array.shape}, not {shape}")
    if array.dtype.kind != "f":
        yield Fault(name, f"its type is {array.dtype}, not a float")
    elif not np.isfinite(array).all():
        yield Fault(name, "it holds a value that is not finite")
