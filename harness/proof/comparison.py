"""The distance between what was observed and what the oracle expects, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from backends.contract import Array, Parameters
from harness.proof.tolerances import QUANTITIES, TOLERANCES


@dataclass(frozen=True)
class Deviation:
    """The relative error ||a - b|| / ||b|| of one tensor in one case; infinite where there is a problem.

    tensor is "" for quantities that are a single array.
    """

    case: str
    precision: str
    quantity: str
    tensor: str
    error: float
    problem: str | None

    @property
    def tolerance(self) -> float:
        return TOLERANCES[self.precision][self.quantity]

    @property
    def within(self) -> bool:
        return self.error <= self.tolerance

    def describe(self) -> str:
        # A case has a short name; a call of the run's own is told in words.
        case = self.case if " " in self.case else f"case {self.case}"
        where = f"{self.quantity} {self.tensor}".strip() + f" in {case}, {self.precision}"
        if self.problem:
            return f"{where}: {self.problem}"
        return f"{where}: relative error {self.error:.1e}, tolerance {self.tolerance:.0e}"


def compare(case: str, precision: str, observed: Parameters, expected: Parameters) -> list[Deviation]:
    """A deviation for every expected tensor, and one for every tensor that should not be there."""
    deviations = []
    for name in [*expected, *(name for name in observed if name not in expected)]:
        problem = find_problem(observed.get(name), expected.get(name))
        error = math.inf if problem else relative_error(observed[name], expected[name])
        quantity, _, tensor = name.partition("/")
        deviations.append(Deviation(case, precision, quantity, tensor, error, problem))
    return deviations


def find_problem(observed: Array | None, expected: Array | None) -> str | None:
    """Why two tensors cannot be compared by numbers, in words; None where they can."""
    if observed is None:
        return "missing"
    if expected is None:
        return "not a parameter of this network"
    if observed.shape != expected.shape:
        return f"shape {observed.shape} instead of {expected.shape}"
    return None if np.isfinite(observed).all() else "not finite"


def relative_error(observed: Array, expected: Array) -> float:
    """||observed - expected|| / ||expected|| in float64; where that is 0 / 0 it is 0, where x / 0 infinite."""
    distance = float(np.linalg.norm(observed.astype(np.float64) - expected))
    norm = float(np.linalg.norm(expected))
    if norm == 0:
        return 0.0 if distance == 0 else math.inf
    return distance / norm


def worst(deviations: Iterable[Deviation]) -> list[Deviation]:
    """The largest deviation of each precision and quantity, in the order in which they are computed."""
    largest: dict[tuple[str, str], Deviation] = {}
    for deviation in deviations:
        key = deviation.precision, deviation.quantity
        if key not in largest or deviation.error > largest[key].error:
            largest[key] = deviation
    return sorted(largest.values(), key=lambda each: (each.precision, QUANTITIES.index(each.quantity)))
