"""The run's tables as pandas frames with the CSV columns of the interface, full precision, empty where unknown."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import pandas as pd

from harness.analysis import measures
from harness.analysis.analysis import Analysis
from harness.analysis.ceiling import ceiling_rows, product_rows
from harness.analysis.comparisons import comparison_rows
from harness.analysis.positions import position_rows
from harness.analysis.quality import quality_rows
from harness.analysis.summary import Row, identity
from harness.analysis.target import evaluation_rows, target_rows
from harness.records.structs import Cell, LengthMeasures, Run
from harness.report.columns import TABLES, TIMELINE

FLAGS = ("verified", "trained", "left_verified", "right_verified", "a_a", "target_reached")


def make_tables(analysis: Analysis) -> dict[str, pd.DataFrame]:
    """Every table by its file name. Cells hold plain int, float, str, bool or None, but for the long loss table."""
    run = analysis.run
    rows: dict[str, Iterable[Row]] = {
        "summary": map(vars, analysis.summary),
        "comparisons": comparison_rows(analysis.comparisons),
        "ceiling": ceiling_rows(run.products, analysis.ceilings),
        "products": product_rows(analysis.products, analysis.ceilings),
        "bit_error_by_length": [row for cell in run.ok_cells for row in _length_rows(run, cell)],
        "throughput": [_throughput_row(run, cell) for cell in run.ok_cells if measures.step_ms(cell).size],
        "timeline": [_timeline_row(cell) for cell in run.cells],
        "loss_distance": map(vars, analysis.distances),
        "time_to_target": target_rows(run),
        "evaluations": evaluation_rows(run),
        "quality_comparisons": quality_rows(analysis.quality),
        "bit_error_by_position": position_rows(run),
        "not_ok": map(identity, analysis.not_ok),
    }
    frames = {name: _frame(name, rows[name]) for name in rows}
    return {**frames, "loss": _loss_frame(run)}


def summary_rows(analysis: Analysis) -> list[Row]:
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


def _frame(name: str, rows: Iterable[Row]) -> pd.DataFrame:
    # Objects, because pandas would turn an integer column with a gap into floats.
    cells = [[row.get(column) for column in TABLES[name]] for row in rows]
    return pd.DataFrame(cells, columns=TABLES[name], dtype=object)


def _length_rows(run: Run, cell: Cell) -> list[Row]:
    measured = cell.evaluation.lengths if cell.evaluation else []
    return [
        identity(cell)
        | {
            "length": item.length,
            "sequences": item.sequences,
            "bit_error": item.bit_error,
            "exact_fraction": item.exact_fraction,
            "bits_per_sequence": item.bits_per_sequence,
            "wrong_bits": item.wrong_bits,
            "mean_absolute_error": item.mean_absolute_error,
            "original_loss": item.original_loss,
            "original_loss_floor": item.original_loss_floor,
            "original_loss_excess": measures.excess(item.original_loss, item.original_loss_floor),
            "bits_by_chance": item.length * run.task.bits,
            **_interval(item, run),
            "trained": measures.is_trained(item.length, run.task),
        }
        for item in measured
    ]


def _interval(item: LengthMeasures, run: Run) -> Row:
    interval = measures.bit_error_interval(item, run.task)
    return {"bit_error_low": interval.low, "bit_error_high": interval.high} if interval else {}


def _throughput_row(run: Run, cell: Cell) -> Row:
    samples = measures.step_ms(cell)
    p5, p50, p95 = (float(value) for value in np.percentile(samples, [5, 50, 95]))
    return identity(cell) | {
        "sequences_per_s": measures.sequences_per_s(cell, run.batch),
        "step_ms_median": p50,
        "step_ms_p5": p5,
        "step_ms_p95": p95,
        "steps": samples.size,
        "overhead_share": measures.overhead_share(cell),
        "other_cpu_share": cell.other_cpu_share,
    }


def _timeline_row(cell: Cell) -> Row:
    return identity(cell) | {stage: (cell.timeline or {}).get(stage) for stage in TIMELINE}


def _loss_frame(run: Run) -> pd.DataFrame:
    frames = [_cell_losses(run, cell) for cell in run.cells if cell.losses]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=TABLES["loss"], dtype=object)


def _cell_losses(run: Run, cell: Cell) -> pd.DataFrame:
    losses = measures.losses(cell)
    step = np.arange(1, losses.size + 1)
    columns: Row = identity(cell) | {
        "step": step,
        "sequences": step * run.batch,
        "elapsed_s": measures.elapsed_s(cell),
        "train_loss": losses,
    }
    frame = pd.DataFrame({name: columns[name] for name in TABLES["loss"]})
    return frame.astype({"verified": object})
