"""What the trained networks gave back: test sequences with every network's copy and its wrong bits."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from backends.contract import Array
from harness.analysis import measures
from harness.analysis.variants import Variant, short_label
from harness.records.structs import Cell, Copy, Run
from harness.task.copy_task import END_FLAG, FIRST_BIT, LOW, START_FLAG
from harness.task.metrics import find_wrong_bits


@dataclass(frozen=True, eq=False)
class Output:
    """What one network gave: probabilities (time, bits); wrong (time, bits), True where a bit that is due is on the
    wrong side of 0.5. cell is the name of the record it is from."""

    label: str
    probabilities: Array
    wrong: NDArray[np.bool_]
    cell: str = ""

    @property
    def n_wrong(self) -> int:
        return int(self.wrong.sum())


@dataclass(frozen=True, eq=False)
class CopiedSequence:
    """A test sequence: inputs (time, bits + 2), the target (time, bits), and what each network made of it."""

    length: int
    is_trained: bool
    inputs: Array
    target: Array
    outputs: list[Output]

    @property
    def n_bits(self) -> int:
        """Bits that are due."""
        return int(self.length * self.target.shape[1])

    def only(self, cell: Cell) -> CopiedSequence:
        """The sequence with the output of one cell."""
        return replace(self, outputs=[output for output in self.outputs if output.cell == cell.cell])


def gather_copies(run: Run, variants: list[Variant]) -> list[CopiedSequence]:
    """One for each length and target, the shortest first; every variant sees the same sequences. Outputs are in the
    order of the variants, named with their seed where the run has several."""
    shown: dict[tuple[int, bytes], list[tuple[Cell, Copy]]] = {}
    for cell in _in_order(run.drawn_cells, variants):
        for copy in cell.evaluation.copies if cell.evaluation else []:
            shown.setdefault((copy.length, _array(copy.target).tobytes()), []).append((cell, copy))
    return [_gather(run, shown[key]) for key in sorted(shown, key=lambda key: key[0])]


def find_due(length: int, time_steps: int) -> NDArray[np.bool_]:
    """The time steps at which a pattern of that length is due (time,)."""
    time = np.arange(time_steps)
    return np.asarray((time >= length + 2) & (time < 2 * length + 2))


def _gather(run: Run, copies: list[tuple[Cell, Copy]]) -> CopiedSequence:
    length, target = copies[0][1].length, _array(copies[0][1].target)
    due, with_seed = find_due(length, len(target)), len({cell.seed for cell in run.drawn_cells}) > 1
    outputs = []
    for cell, copy in copies:
        label = short_label(run, cell) + (f", seed {cell.seed}" if with_seed else "")
        probabilities = _array(copy.prediction)
        outputs.append(Output(label, probabilities, find_wrong_bits(probabilities, target, due), cell.cell))
    return CopiedSequence(length, measures.is_trained(length, run.task), _show(target, length, due), target, outputs)


def _show(target: Array, length: int, due: NDArray[np.bool_]) -> Array:
    """The inputs whose copy the target is, which records leave out: flags and pattern, as CopyTask composes them."""
    inputs = np.full((len(target), target.shape[1] + FIRST_BIT), LOW, np.float64)
    pattern = target[due]
    # Slices, as a record may end before its pattern does.
    inputs[:1, START_FLAG] = inputs[length + 1 : length + 2, END_FLAG] = 1
    inputs[1 : 1 + len(pattern), FIRST_BIT:] = pattern
    return inputs


def _in_order(cells: Iterable[Cell], variants: list[Variant]) -> list[Cell]:
    order = {cell.variant: place for place, variant in enumerate(variants) for cell in variant.cells}
    return sorted(cells, key=lambda cell: order.get(cell.variant, len(order)))


def _array(values: list[list[float]]) -> NDArray[np.float64]:
    return np.array(values, np.float64)
