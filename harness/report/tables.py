"""The run's tables as pandas frames with the CSV columns of the interface, full precision, empty where unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.bit_errors import EvaluatedLength
from harness.analysis.ceiling import ceiling_rows, product_rows
from harness.analysis.comparisons import comparison_rows
from harness.analysis.positions import position_rows
from harness.analysis.quality import quality_rows
from harness.analysis.rows import LengthRow, NotOkRow, ThroughputRow, row_of
from harness.analysis.target import evaluation_rows, target_rows
from harness.analysis.throughput import Throughput
from harness.records.structs import Cell, Run
from harness.report.columns import TABLES, TIMELINE

FLAGS = ("verified", "trained", "left_verified", "right_verified", "a_a", "target_reached")


def make_tables(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Every table by its file name. Cells hold plain int, float, str, bool or None, but for the long loss table."""
    run = analysis.run
    rows: dict[str, Iterable[object]] = {
        "summary": analysis.summary,
        "comparisons": comparison_rows(analysis.comparisons),
        "ceiling": ceiling_rows(run.products, analysis.ceilings),
        "products": product_rows(analysis.products, analysis.ceilings),
        "bit_error_by_length": map(_length_row, analysis.evaluated),
        "throughput": map(_throughput_row, analysis.throughputs),
        "loss_distance": analysis.distances,
        "time_to_target": target_rows(run),
        "evaluations": evaluation_rows(run),
        "quality_comparisons": quality_rows(analysis.quality),
        "bit_error_by_position": position_rows(run),
        "not_ok": [row_of(NotOkRow, cell) for cell in analysis.not_ok],
    }
    frames = {name: make_frame(name, rows[name]) for name in rows}
    return {**frames, "timeline": _timeline_frame(run), "loss": _loss_frame(run)}


def make_frame(name: str, rows: Iterable[object]) -> pd.DataFrame:
    """The named table's rows, with its columns in their order."""
    # Objects, because pandas would turn an integer column with a gap into floats.
    cells = [[getattr(row, column) for column in TABLES[name]] for row in rows]
    return pd.DataFrame(cells, columns=TABLES[name], dtype=object)


def summary_rows(analysis: Analysis) -> list[dict[str, object]]:
    """The summary as plain rows, with the columns of summary.csv; None where unknown or infinite,
    which JSON cannot hold."""
    columns = TABLES["summary"]
    return [{column: _finite(getattr(row, column)) for column in columns} for row in analysis.summary]


def _finite(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


def to_csv(frame: pd.DataFrame) -> str:
    """The frame as CSV: floats by their shortest exact form, true and false, empty for unknown."""
    # Column by column: mapping a whole frame would turn integers with gaps into floats.
    flags = {name: [_lower(value) for value in frame[name]] for name in FLAGS if name in frame}
    return str(frame.assign(**flags).to_csv(index=False, lineterminator="\n"))


def _lower(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else ""


def _length_row(item: EvaluatedLength) -> LengthRow:
    return row_of(
        LengthRow,
        item.cell,
        length=item.measured.length,
        sequences=item.measured.sequences,
        bit_error=item.measured.bit_error,
        exact_fraction=item.measured.exact_fraction,
        bits_per_sequence=item.measured.bits_per_sequence,
        trained=item.is_trained,
        wrong_bits=item.measured.wrong_bits,
        bit_error_low=item.interval.low if item.interval else None,
        bit_error_high=item.interval.high if item.interval else None,
        bits_by_chance=item.bits_by_chance,
        mean_absolute_error=item.measured.mean_absolute_error,
        original_loss=item.measured.original_loss,
        original_loss_floor=item.measured.original_loss_floor,
        original_loss_excess=item.original_loss_excess,
    )


def _throughput_row(item: Throughput) -> ThroughputRow:
    return row_of(
        ThroughputRow,
        item.cell,
        sequences_per_s=item.sequences_per_s,
        step_ms_median=item.step_ms_median,
        step_ms_p5=item.step_ms_p5,
        step_ms_p95=item.step_ms_p95,
        steps=item.steps,
        overhead_share=item.overhead_share,
    )


def _timeline_frame(run: Run) -> pd.DataFrame:
    """Its columns are the stages' and those of the cell's record."""
    columns = TABLES["timeline"]
    known = [(cell, cell.timeline or {}) for cell in run.cells]
    rows = [[times.get(name) if name in TIMELINE else getattr(cell, name) for name in columns] for cell, times in known]
    return pd.DataFrame(rows, columns=columns, dtype=object)


def _loss_frame(run: Run) -> pd.DataFrame:
    frames = [_cell_losses(run, cell) for cell in run.cells if cell.losses]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=TABLES["loss"], dtype=object)


def _cell_losses(run: Run, cell: Cell) -> pd.DataFrame:
    losses = measures.losses(cell)
    step = np.arange(1, losses.size + 1)
    measured: dict[str, object] = {"step": step, "sequences": step * run.batch}
    measured |= {"elapsed_s": measures.elapsed_s(cell), "train_loss": losses}
    named = {name: getattr(cell, name) for name in TABLES["loss"] if name not in measured}
    frame = pd.DataFrame({name: (named | measured)[name] for name in TABLES["loss"]})
    return frame.astype({"verified": object})
