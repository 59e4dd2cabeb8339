"""A line chart as values: the curves are paths in a square of 1000 x 1000 that the page stretches, while texts keep
their size, so that one chart is read on a phone and on paper alike."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike

from harness.report.page.look import Look
from harness.report.page.scale import EXTENT, Scale, Tick

MOST_POINTS = 300


@dataclass(frozen=True)
class Series:
    """One line, the band around it and its dots, as data of SVG paths; empty where it has none."""

    look: Look
    line: str
    band: str = ""
    dots: str = ""


@dataclass(frozen=True)
class Rule:
    """A thin line across the plot at a value of the y axis, or of the x axis where it is upright."""

    at: float
    text: str
    is_upright: bool = False


@dataclass(frozen=True)
class LineChart:
    title: str
    x_label: str
    y_label: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    series: list[Series]
    rules: list[Rule] = field(default_factory=list)


def draw_line(x_scale: Scale, y_scale: Scale, x: ArrayLike, y: ArrayLike) -> str:
    """The path through the points; what is not a number is left out."""
    return _join("L", _points(x_scale, y_scale, x, y))


def draw_band(x_scale: Scale, y_scale: Scale, x: ArrayLike, low: ArrayLike, high: ArrayLike) -> str:
    """The closed path around what lies between low and high."""
    around = _points(x_scale, y_scale, x, high) + _points(x_scale, y_scale, x, low)[::-1]
    return f"{_join('L', around)}Z" if around else ""


def draw_dots(x_scale: Scale, y_scale: Scale, x: ArrayLike, y: ArrayLike) -> str:
    """Lines of no length, whose ends are what is seen: their shape does not stretch with the chart."""
    return "".join(f"M{across} {down}h0" for across, down in _points(x_scale, y_scale, x, y))


def thin(n: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    """Indices of at most MOST_POINTS of n values, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, n - 1, min(n, MOST_POINTS)).round().astype(np.int64))


def _points(x_scale: Scale, y_scale: Scale, x: ArrayLike, y: ArrayLike) -> list[tuple[int, int]]:
    across, up = EXTENT * x_scale.share(x), EXTENT * np.clip(y_scale.share(y), 0, 1)
    known = np.isfinite(across) & np.isfinite(up)
    return [(round(a), EXTENT - round(b)) for a, b in zip(across[known].tolist(), up[known].tolist(), strict=True)]


def _join(command: str, points: list[tuple[int, int]]) -> str:
    return "M" + command.join(f"{across} {down}" for across, down in points) if points else ""
