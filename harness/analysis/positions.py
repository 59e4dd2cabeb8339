"""Where in a sequence the wrong bits are. The original's author remarked that errors gather in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analysis import measures
from harness.analysis.rows import PositionRow, row_of
from harness.analysis.stats import Interval, share_interval
from harness.analysis.variants import Variant
from harness.records.structs import Cell, LengthMeasures, Run
from harness.task.metrics import middle_third

# The length at which the original's author saw it.
ORIGINAL_LENGTH = 20
# Fewer sequences with an error say nothing about where errors are.
ENOUGH_SEQUENCES = 10


@dataclass(frozen=True)
class Middle:
    """Wrong bits in the middle third of a pattern as a share of all of one network, with the interval over sequences;
    even_share is what errors at any place alike would give."""

    length: int
    share: Interval
    even_share: float

    @property
    def is_fuller(self) -> bool:
        return self.share.low is not None and self.share.low > self.even_share

    @property
    def is_emptier(self) -> bool:
        return self.share.high is not None and self.share.high < self.even_share


@dataclass(frozen=True)
class MiddleTest:
    """Whether errors gather mid-sequence at one length, each of the trained networks tested by itself; those of too few
    errors are left out."""

    length: int
    middles: list[Middle]

    @property
    def n_fuller(self) -> int:
        return sum(middle.is_fuller for middle in self.middles)

    @property
    def n_emptier(self) -> int:
        return sum(middle.is_emptier for middle in self.middles)


@dataclass(frozen=True)
class PositionErrors:
    """The bit error of every cell at each position of patterns of one length, 0..1, by variant (cells, length)."""

    length: int
    is_trained: bool
    errors: dict[Variant, NDArray[np.float64]]

    def percents(self, variant: Variant) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """The median over the variant's cells of each cell's error, the lowest and the highest, per cent (length,)."""
        errors = 100 * self.errors[variant]
        return np.median(errors, axis=0), errors.min(axis=0), errors.max(axis=0)


def measure_positions(run: Run, variants: list[Variant]) -> list[PositionErrors]:
    """At each length that the table has by position, what was measured by position."""
    measured = []
    for length in _shown_lengths(run):
        known = {v: [error for cell in v.cells if (error := _errors(run, cell, length)) is not None] for v in variants}
        errors = {variant: np.array(found) for variant, found in known.items() if found}
        measured.append(PositionErrors(length, measures.is_trained(length, run.task), errors))
    return [each for each in measured if each.errors]


def measured_lengths(run: Run) -> list[int]:
    """The lengths the remark is tested at: the longest trained, and the original's 20 where it was trained."""
    longest = run.task.max_length
    return sorted({longest, ORIGINAL_LENGTH} if longest >= ORIGINAL_LENGTH else {longest})


def find_length(cell: Cell, length: int) -> LengthMeasures | None:
    measured = cell.evaluation.lengths if cell.evaluation else []
    return next((item for item in measured if item.length == length), None)


def measure_middle(item: LengthMeasures | None) -> Middle | None:
    """None where too few sequences have an error, or where a pattern has no middle."""
    if item is None or item.wrong_bits_middle is None or item.length < 3:
        return None
    if len(item.wrong_bits_middle) < ENOUGH_SEQUENCES:
        return None
    share = share_interval(item.wrong_bits_middle, item.wrong_bits_by_sequence or [])
    return Middle(item.length, share, float(middle_third(item.length).mean()))


def check_middles(run: Run) -> list[MiddleTest]:
    """The remark, at each length that it is tested at and that was evaluated."""
    tests = []
    for length in measured_lengths(run):
        items = [item for cell in run.drawn_cells if (item := find_length(cell, length))]
        if items and length >= 3:
            tests.append(MiddleTest(length, [middle for item in items if (middle := measure_middle(item))]))
    return tests


def position_rows(run: Run) -> Iterator[PositionRow]:
    """A row for each position of the tested lengths and the seed's, of each cell."""
    for cell in run.ok_cells:
        for length in _shown_lengths(run):
            item, errors = find_length(cell, length), _errors(run, cell, length)
            if item is None or item.wrong_bits_by_position is None or errors is None:
                continue
            pairs = zip(item.wrong_bits_by_position, errors.tolist(), strict=True)
            for position, (wrong, error) in enumerate(pairs, 1):
                yield row_of(
                    PositionRow,
                    cell,
                    length=length,
                    position=position,
                    sequences=item.sequences,
                    wrong_bits=wrong,
                    bit_error=error,
                )


def _shown_lengths(run: Run) -> list[int]:
    return sorted({*measured_lengths(run), ORIGINAL_LENGTH})


def _errors(run: Run, cell: Cell, length: int) -> NDArray[np.float64] | None:
    """Wrong bits over all bits at each position (length,); None where they were not recorded."""
    item = find_length(cell, length)
    if item is None or item.wrong_bits_by_position is None:
        return None
    return np.array(item.wrong_bits_by_position, np.float64) / (item.sequences * run.task.bits)
