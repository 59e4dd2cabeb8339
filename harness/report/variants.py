"""What is compared with what: a backend's implementation at one precision on one device, over seeds and repeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from harness.report import measures
from harness.report.records import Cell, Run
from harness.report.speed import Place, Speed, measure_speed

NOT_VERIFIED = " (not verified)"


@dataclass(frozen=True, eq=False)
class Variant:
    """The ok cells of one implementation and what they come to, of all that were started; label is short and unique
    within its run."""

    backend: str
    implementation: str
    precision: str
    device: str
    label: str
    cells: list[Cell]
    speed: Speed | None
    verified: bool | None
    started: list[Cell] = field(default_factory=list)

    @property
    def marked_label(self) -> str:
        return mark_label(self.label, self.verified, len(self.cells), len(self.started))

    @property
    def sequences_per_s(self) -> float | None:
        return self.speed.sequences_per_s.estimate if self.speed else None

    @property
    def rates(self) -> dict[Place, float]:
        return self.speed.rates if self.speed else {}

    @property
    def is_ranked(self) -> bool:
        return self.verified is not False and self.speed is not None


def find_variants(run: Run) -> list[Variant]:
    """The run's variants with ok cells: the fastest first, then those without a rank, which are not verified.

    The second set of the A/A pair belongs to none.
    """
    grouped: dict[tuple[str, str, str, str], list[Cell]] = {}
    for cell in run.own_cells:
        if cell.status == "ok":
            grouped.setdefault(cell.variant, []).append(cell)
    variants = [_make_variant(run, cells, run.started_like(cells[0])) for cells in grouped.values()]
    return sorted(variants, key=_order)


def find_lost(run: Run) -> list[Variant]:
    """The variants that were started and have no ok cell, by label."""
    lost: list[Variant] = []
    # Cells that tell their device first: those that do not belong to them.
    for cell in sorted(run.own_cells, key=lambda cell: cell.device is None):
        started = run.started_like(cell) if cell.has_started else []
        is_ok_once = any(other.status == "ok" for other in started)
        if started and not is_ok_once and not any(cell in variant.started for variant in lost):
            lost.append(_make_variant(run, [], started))
    return sorted(lost, key=lambda variant: variant.label)


def mark_label(label: str, verified: bool | None, n_ok: int = 0, n_started: int = 0) -> str:
    """The label with what makes figures of the n_ok cells doubtful: not verified, or others that did not end ok."""
    marked = label + NOT_VERIFIED if verified is False else label
    return f"{marked} ({n_ok} of {n_started} ended ok)" if n_ok < n_started else marked


def short_label(run: Run, cell: Cell) -> str:
    """Backend and implementation, with precision and device where the run has several of them."""
    parts = [cell.backend, cell.implementation]
    if len(_known(other.precision for other in run.cells)) > 1:
        parts.append(cell.precision)
    if len(_known(other.device for other in run.cells)) > 1 and cell.device:
        parts.append(cell.device)
    return " ".join(parts)


def _make_variant(run: Run, cells: list[Cell], started: list[Cell]) -> Variant:
    first = (cells or started)[0]
    backend, implementation, precision, device = first.variant
    return Variant(
        backend=backend,
        implementation=implementation,
        precision=precision,
        device=device,
        label=short_label(run, first),
        cells=cells,
        speed=measure_speed(run, cells),
        verified=measures.all_verified(cell.verified for cell in cells or started),
        started=started,
    )


def _order(variant: Variant) -> tuple[bool, float, str]:
    return variant.verified is False, -(variant.sequences_per_s or 0.0), variant.label


def _known(values: Iterable[str | None]) -> set[str]:
    return {value for value in values if value}
