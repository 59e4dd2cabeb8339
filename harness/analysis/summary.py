"""The summary: a row for each variant and status, medians over its processes."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from harness.analysis import measures
from harness.analysis.costs import Costs
from harness.analysis.speed import Speed
from harness.analysis.target import measure_time_to_target
from harness.analysis.variants import Place, Variant, mark_label, short_label
from harness.records.structs import Cell, Run

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class SummaryRow:
    """What the cells of one variant and status come to: medians over them, None where unknown.

    Losses are in nats, errors and shares 0..1. cells of cells_started have this status; timed_cells are those that the
    speed is of. Seconds, sequences and steps to the target are infinite where half the seeds or more never arrived.
    """

    backend: str
    implementation: str
    precision: str
    device: str | None
    status: str
    seeds: str
    train_loss: float | None = None
    original_loss: float | None = None
    bits_per_sequence: float | None = None
    bit_error: float | None = None
    sequences_per_s: float | None = None
    step_ms: float | None = None
    startup_s: float | None = None
    peak_memory_bytes: int | None = None
    verified: bool | None
    rank: int | None = None
    original_loss_floor: float | None = None
    original_loss_excess: float | None = None
    n_parameters: int | None = None
    cells: int
    reason: str | None
    sequences_per_s_low: float | None = None
    sequences_per_s_high: float | None = None
    gflop_per_s: float | None = None
    ceiling_share: float | None = None
    overhead_share: float | None = None
    wrong_bits_per_sequence: float | None = None
    mean_absolute_error: float | None = None
    seeds_reached: str | None = None
    seconds_to_target: float | None = None
    sequences_to_target: float | None = None
    steps_to_target: float | None = None
    ranks: int | None = None
    exchange_share: float | None = None
    cells_started: int | None
    timed_cells: int | None = None
    cpu_ms: float | None = None
    process_memory_bytes: int | None = None
    inference_sequences_per_s: float | None = None
    inference_sequences_per_s_low: float | None = None
    inference_sequences_per_s_high: float | None = None
    latency_ms: float | None = None
    latency_ms_low: float | None = None
    latency_ms_high: float | None = None
    latency_p95_ms: float | None = None
    marked_label: str

    @property
    def variant(self) -> tuple[str, str, str, str]:
        """Whose row it is, as Variant.key."""
        return self.backend, self.implementation, self.precision, self.device or ""


def make_summary(run: Run, variants: list[Variant], places: list[Place]) -> list[SummaryRow]:
    """One row for each variant and status, ranked ones first and fastest first, failed ones last.

    The second set of the A/A pair has no part in it. Where other processes used the processors nothing has a rank.
    """
    grouped: dict[tuple[str, str, str, str, str], list[Cell]] = {}
    for cell in run.own_cells:
        grouped.setdefault((*cell.variant, cell.status), []).append(cell)
    known = {(*variant.key, "ok"): variant for variant in variants}
    rows = sorted((_summarise(run, cells, known.get(key)) for key, cells in grouped.items()), key=_order)
    idle = {(place.precision, place.device) for place in places if place.busy_share is None}
    ranked = [row for row in rows if _is_ranked(row, idle)]
    ranks = {id(row): rank for rank, row in enumerate(ranked, start=1)}
    return [replace(row, rank=ranks.get(id(row))) for row in rows]


def _summarise(run: Run, cells: list[Cell], variant: Variant | None) -> SummaryRow:
    """A row; the variant is that of cells that are ok."""
    is_ok, started = cells[0].status == "ok", run.started_like(cells[0])
    label, verified = short_label(run, cells[0]), measures.all_verified(cell.verified for cell in cells)
    # The target is the whole variant's matter, so the row of what ended ok speaks for the other rows.
    tells_of_target = is_ok or not any(cell.status == "ok" for cell in started)
    return SummaryRow(
        backend=cells[0].backend,
        implementation=cells[0].implementation,
        precision=cells[0].precision,
        device=cells[0].device,
        status=cells[0].status,
        marked_label=mark_label(label, verified, len(cells), len(started) if is_ok else 0),
        seeds=" ".join(str(seed) for seed in sorted({cell.seed for cell in cells})),
        verified=verified,
        cells=len(cells),
        cells_started=len(started) if cells[0].has_started else None,
        reason="; ".join(dict.fromkeys(cell.reason for cell in cells if cell.reason)) or None,
        **(_to_target(run, started) if tells_of_target else {}),
        **(_medians(run, cells) | _speed(variant.speed) | _costs(variant.costs) if variant else {}),
    )


def _medians(run: Run, cells: list[Cell]) -> Row:
    return {
        "train_loss": measures.median(measures.train_loss(cell) for cell in cells),
        "original_loss": measures.median(measures.original_loss(cell) for cell in cells),
        "original_loss_floor": measures.median(measures.original_loss_floor(cell) for cell in cells),
        "original_loss_excess": measures.median(measures.original_loss_excess(cell) for cell in cells),
        "bits_per_sequence": measures.median(measures.bits_per_sequence(cell, run.task) for cell in cells),
        "bit_error": measures.median(measures.bit_error(cell, run.task) for cell in cells),
        "startup_s": measures.median(measures.startup_s(cell) for cell in cells),
        "n_parameters": cells[0].n_parameters,
        "ranks": cells[0].ranks if cells[0].ranks > 1 else None,
        "exchange_share": measures.median(measures.exchange_share(cell) for cell in cells),
        "wrong_bits_per_sequence": measures.median(measures.wrong_bits_per_sequence(cell) for cell in cells),
        "mean_absolute_error": measures.median(measures.mean_absolute_error(cell) for cell in cells),
    }


def _to_target(run: Run, cells: list[Cell]) -> Row:
    taken = measure_time_to_target(run, cells)
    if taken is None:
        return {}
    return {
        "seeds_reached": taken.reached,
        "seconds_to_target": taken.seconds,
        "sequences_to_target": taken.sequences,
        "steps_to_target": taken.steps,
    }


def _speed(speed: Speed | None) -> Row:
    if speed is None:
        return {}
    return {
        "sequences_per_s": speed.sequences_per_s.estimate,
        "sequences_per_s_low": speed.sequences_per_s.low,
        "sequences_per_s_high": speed.sequences_per_s.high,
        "step_ms": speed.step_ms,
        "gflop_per_s": speed.gflop_per_s,
        "ceiling_share": speed.ceiling_share,
        "overhead_share": speed.overhead_share,
        "timed_cells": len(speed.cells),
    }


def _costs(costs: Costs) -> Row:
    """The estimates; whole bytes, and bounds where the row has them."""
    row: Row = {
        name: round(cost.estimate) if name.endswith("_bytes") else cost.estimate for name, cost in costs.items()
    }
    for name in ("inference_sequences_per_s", "latency_ms"):
        if cost := costs.get(name):
            row |= {f"{name}_low": cost.low, f"{name}_high": cost.high}
    return row


def _is_ranked(row: SummaryRow, idle: set[tuple[str, str]]) -> bool:
    is_sound = row.sequences_per_s is not None and row.verified is not False
    return is_sound and (row.precision, row.device or "") in idle


def _order(row: SummaryRow) -> tuple[bool, bool, float, str]:
    name = " ".join(map(str, (row.backend, row.implementation, row.precision, row.device, row.status)))
    return row.status != "ok", row.verified is False, -(row.sequences_per_s or 0.0), name
