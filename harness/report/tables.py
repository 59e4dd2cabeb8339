"""The run's tables as pandas frames with the CSV columns of the interface, full precision, empty where unknown."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from harness.report import measures
from harness.report.columns import STAGES, TABLES
from harness.report.distance import distance_rows
from harness.report.load import Cell, Run, read_run
from harness.report.variants import find_variants, short_label

Row = dict[str, Any]

FLAGS = ("verified", "trained", "left_verified", "right_verified")
IDENTITY = (
    *("cell", "backend", "implementation", "precision", "seed", "repeat"),
    *("status", "reason", "device", "verified"),
)


def make_tables(run: Run) -> dict[str, pd.DataFrame]:
    """Every table by its file name. Cells hold plain int, float, str, bool or None, but for the long loss table."""
    rows: dict[str, Iterable[Row]] = {
        "summary": make_summary(run),
        "bit_error_by_length": [row for cell in run.ok_cells for row in _length_rows(run, cell)],
        "throughput": [_throughput_row(run, cell) for cell in run.ok_cells if measures.step_ms(cell).size],
        "timeline": [_timeline_row(cell) for cell in run.cells],
        "loss_distance": distance_rows(run, find_variants(run)),
        "not_ok": [_identity(cell) for cell in run.cells if cell.status != "ok"],
    }
    frames = {name: _frame(name, rows[name]) for name in rows}
    return {**frames, "loss": _loss_frame(run)}


def summary_rows(folder: Path) -> list[Row]:
    """The summary of a run's folder as plain rows, with the columns of summary.csv; None where unknown."""
    return [{column: row.get(column) for column in TABLES["summary"]} for row in make_summary(read_run(folder))]


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


def _identity(cell: Cell) -> Row:
    return {name: getattr(cell, name) for name in IDENTITY}


def make_summary(run: Run) -> list[Row]:
    """One row for each variant and status, ranked ones first and fastest first, failed ones last."""
    grouped: dict[tuple[str, ...], list[Cell]] = {}
    for cell in run.cells:
        grouped.setdefault((*cell.variant, cell.status), []).append(cell)
    rows = sorted((_summary_row(run, cells) for cells in grouped.values()), key=_summary_order)
    for rank, row in enumerate((row for row in rows if _is_ranked(row)), start=1):
        row["rank"] = rank
    return rows


def _summary_row(run: Run, cells: list[Cell]) -> Row:
    measured = _medians(run, cells) if cells[0].status == "ok" else {}
    return _identity(cells[0]) | {
        "label": short_label(run, cells[0]),
        "seeds": " ".join(str(seed) for seed in sorted({cell.seed for cell in cells})),
        "verified": measures.all_verified(cell.verified for cell in cells),
        "cells": len(cells),
        "reason": "; ".join(dict.fromkeys(cell.reason for cell in cells if cell.reason)) or None,
        **measured,
    }


def _medians(run: Run, cells: list[Cell]) -> Row:
    memory = measures.median(cell.peak_memory_bytes for cell in cells)
    return {
        "train_loss": measures.median(measures.train_loss(cell) for cell in cells),
        "seed_loss": measures.median(measures.seed_loss(cell) for cell in cells),
        "seed_loss_floor": measures.median(measures.seed_loss_floor(cell) for cell in cells),
        "seed_loss_excess": measures.median(measures.seed_loss_excess(cell) for cell in cells),
        "bits_per_sequence": measures.median(measures.bits_per_sequence(cell, run.task) for cell in cells),
        "bit_error": measures.median(measures.bit_error(cell, run.task) for cell in cells),
        "sequences_per_s": measures.median(measures.sequences_per_s(cell, run.batch) for cell in cells),
        "step_ms": measures.median(measures.median_step_ms(cell) for cell in cells),
        "startup_s": measures.median(measures.startup_s(cell) for cell in cells),
        "peak_memory_bytes": None if memory is None else round(memory),
        "n_parameters": cells[0].n_parameters,
    }


def _is_ranked(row: Row) -> bool:
    return row.get("sequences_per_s") is not None and row["verified"] is not False


def _summary_order(row: Row) -> tuple[bool, bool, float, str]:
    identity = " ".join(str(row[name]) for name in ("backend", "implementation", "precision", "device", "status"))
    return row["status"] != "ok", row["verified"] is False, -(row.get("sequences_per_s") or 0.0), identity


def _length_rows(run: Run, cell: Cell) -> list[Row]:
    measured = cell.evaluation.lengths if cell.evaluation else []
    return [
        _identity(cell)
        | {
            "length": item.length,
            "sequences": item.sequences,
            "bit_error": item.bit_error,
            "exact_fraction": item.exact_fraction,
            "bits_per_sequence": item.bits_per_sequence,
            "wrong_bits": item.wrong_bits,
            "trained": measures.is_trained(item.length, run.task),
        }
        for item in measured
    ]


def _throughput_row(run: Run, cell: Cell) -> Row:
    samples = measures.step_ms(cell)
    p5, p50, p95 = (float(value) for value in np.percentile(samples, [5, 50, 95]))
    return _identity(cell) | {
        "sequences_per_s": measures.sequences_per_s(cell, run.batch),
        "step_ms_median": p50,
        "step_ms_p5": p5,
        "step_ms_p95": p95,
        "steps": samples.size,
    }


def _timeline_row(cell: Cell) -> Row:
    return _identity(cell) | {stage: (cell.timeline or {}).get(stage) for stage in STAGES}


def _loss_frame(run: Run) -> pd.DataFrame:
    frames = [_cell_losses(run, cell) for cell in run.cells if cell.losses]
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=TABLES["loss"], dtype=object)


def _cell_losses(run: Run, cell: Cell) -> pd.DataFrame:
    losses = measures.losses(cell)
    step = np.arange(1, losses.size + 1)
    columns: Row = _identity(cell) | {
        "step": step,
        "sequences": step * run.batch,
        "elapsed_s": measures.elapsed_s(cell),
        "train_loss": losses,
    }
    frame = pd.DataFrame({name: columns[name] for name in TABLES["loss"]})
    return frame.astype({"verified": object})
