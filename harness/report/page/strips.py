"""Copies for the page: one pixel for each output bit and time step, which the page enlarges."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from io import BytesIO

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import to_hex
from numpy.typing import NDArray
from PIL import Image

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.variants import Variant, short_label
from harness.records.structs import Cell, Copy, Run
from harness.report.copies import count_wrong_bits, due_steps

# Even to the eye and the same to those who see red and green alike (Nunez, Anderton and Renslow 2018).
COLOUR_MAP = "cividis"
WRONG = (213, 94, 0, 255)


@dataclass(frozen=True)
class Strip:
    """A picture as a data address, and what it shows; wrong, where there is any, marks the wrong bits."""

    label: str
    picture: str
    text: str = ""
    wrong: str = ""


@dataclass(frozen=True)
class CopyGroup:
    """One test sequence: the target, then what each variant made of it. steps is its number of time steps."""

    title: str
    steps: int
    strips: list[Strip]


def group_copies(analysis: Analysis) -> list[CopyGroup]:
    """A group for each length and target, the shortest first; every variant sees the same sequences of a seed.

    The variants are in their order.
    """
    run, variants = analysis.run, analysis.variants
    grouped: dict[tuple[int, bytes], list[tuple[Cell, Copy]]] = {}
    for cell in _in_order(run.drawn_cells, variants):
        for copy in cell.evaluation.copies if cell.evaluation else []:
            grouped.setdefault((copy.length, _array(copy.target).tobytes()), []).append((cell, copy))
    return [_make_group(run, grouped[key]) for key in sorted(grouped, key=lambda key: key[0])]


def colour_stops() -> list[str]:
    """The colours from 0 to 1, evenly spaced."""
    return [to_hex(colormaps[COLOUR_MAP](share)) for share in np.linspace(0, 1, 9)]


def _in_order(cells: list[Cell], variants: list[Variant]) -> list[Cell]:
    order = {cell.variant: place for place, variant in enumerate(variants) for cell in variant.cells}
    return sorted(cells, key=lambda cell: order.get(cell.variant, len(order)))


def _make_group(run: Run, copies: list[tuple[Cell, Copy]]) -> CopyGroup:
    first = copies[0][1]
    trained = "a trained length" if measures.is_trained(first.length, run.task) else "longer than any trained"
    if first.length < run.task.min_length:
        trained = "shorter than any trained"
    seeds = {cell.seed for cell in run.drawn_cells}
    strips = [Strip("target", _encode(_paint(first.target)))]
    strips += [_make_strip(run, cell, copy, with_seed=len(seeds) > 1) for cell, copy in copies]
    return CopyGroup(f"Length {first.length}, {trained}", len(first.target), strips)


def _make_strip(run: Run, cell: Cell, copy: Copy, *, with_seed: bool) -> Strip:
    n_wrong, n_bits = count_wrong_bits(copy), copy.length * len(copy.target[0])
    label = short_label(run, cell) + (f", seed {cell.seed}" if with_seed else "")
    text = f"{n_wrong:,} of {n_bits:,} bits wrong" if n_wrong else "no bit wrong"
    wrong = _encode(_paint_wrong(copy)) if n_wrong else ""
    return Strip(label, _encode(_paint(copy.prediction)), text, wrong)


def _paint(values: list[list[float]]) -> NDArray[np.uint8]:
    return np.asarray(colormaps[COLOUR_MAP](np.clip(_array(values).T, 0, 1), bytes=True), np.uint8)


def _paint_wrong(copy: Copy) -> NDArray[np.uint8]:
    """The wrong bits, and nothing elsewhere."""
    wrong = (_array(copy.prediction) > 0.5) != (_array(copy.target) > 0.5)
    wrong &= due_steps(copy)[:, None]
    return np.where(wrong.T[..., None], np.array(WRONG, np.uint8), np.uint8(0))


def _encode(pixels: NDArray[np.uint8]) -> str:
    """Pixels (bits, time, 4) as a data address."""
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, "png", optimize=True)
    return f"data:image/png;base64,{b64encode(buffer.getvalue()).decode()}"


def _array(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
