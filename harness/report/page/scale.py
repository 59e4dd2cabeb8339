"""Scales of the page's charts: values to per mille of the plot, with ticks that a reader expects."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from matplotlib.scale import SymmetricalLogTransform
from matplotlib.ticker import LogLocator, MaxNLocator
from numpy.typing import ArrayLike, NDArray

EXTENT = 1000
Transform = Callable[[NDArray[np.float64]], NDArray[np.float64]]


@dataclass(frozen=True)
class Tick:
    """A value's place, in per cent of the axis from its start, and its text."""

    at: float
    text: str


@dataclass(frozen=True)
class Scale:
    """From `low` to `high`, which are not equal, by a monotonic transform."""

    low: float
    high: float
    transform: Transform

    def share(self, values: ArrayLike) -> NDArray[np.float64]:
        """Where the values lie between low (0) and high (1)."""
        ends = self.transform(np.array([self.low, self.high], np.float64))
        wanted = np.asarray(values, np.float64)
        placed = self.transform(np.atleast_1d(wanted)).reshape(wanted.shape)
        return np.asarray((placed - ends[0]) / (ends[1] - ends[0]), np.float64)

    def ticks(self, values: Iterable[float], show: Callable[[float], str]) -> list[Tick]:
        """A tick for each value that lies on the scale."""
        kept = [value for value in values if self.low <= value <= self.high]
        return [Tick(round(100 * float(self.share(value)), 2), show(value)) for value in kept]


def linear(low: float, high: float) -> Scale:
    return Scale(low, high if high > low else low + 1, lambda values: values)


def logarithmic(low: float, high: float) -> Scale:
    """Both ends are positive."""
    return Scale(low, high if high > low else 2 * low, lambda values: np.asarray(np.log10(values), np.float64))


def symmetric_log(threshold: float, high: float) -> Scale:
    """From 0 up: linear below the threshold, which takes half a decade, and logarithmic above it."""
    transform = SymmetricalLogTransform(10, threshold, 0.5)
    return Scale(0, high, lambda values: np.asarray(transform.transform_non_affine(values), np.float64))


def round_ticks(low: float, high: float, n: int = 5) -> list[float]:
    """Some n round numbers between the ends."""
    return [float(value) for value in MaxNLocator(n, integer=high - low >= n).tick_values(low, high)]


def log_ticks(low: float, high: float) -> list[float]:
    """1, 2 and 5 in each decade between the ends."""
    return [float(value) for value in LogLocator(subs=(1.0, 2.0, 5.0)).tick_values(low, high)]
