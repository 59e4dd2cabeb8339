"""What is compared with what: a backend's implementation at one precision on one device, over seeds and repeats."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from harness.report import measures
from harness.report.records import Cell, Run
from harness.report.speed import Place, Speed, measure_speed

NOT_VERIFIED = " (not verified)"


@dataclass(frozen=True, eq=False)
class Variant:
    """The ok cells of one implementation and what they come to; label is short and unique within its run."""

    backend: str
    implementation: str
    precision: str
    device: str
    label: str
    cells: list[Cell]
    speed: Speed | None
    verified: bool | None

    @property
    def marked_label(self) -> str:
        return self.label + NOT_VERIFIED if self.verified is False else self.label

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
    variants = [_make_variant(run, cells) for cells in grouped.values()]
    return sorted(variants, key=_order)


def short_label(run: Run, cell: Cell) -> str:
    """Backend and implementation, with precision and device where the run has several of them."""
    parts = [cell.backend, cell.implementation]
    if len(_known(other.precision for other in run.cells)) > 1:
        parts.append(cell.precision)
    if len(_known(other.device for other in run.cells)) > 1 and cell.device:
        parts.append(cell.device)
    return " ".join(parts)


def _make_variant(run: Run, cells: list[Cell]) -> Variant:
    backend, implementation, precision, device = cells[0].variant
    return Variant(
        backend=backend,
        implementation=implementation,
        precision=precision,
        device=device,
        label=short_label(run, cells[0]),
        cells=cells,
        speed=measure_speed(run, cells),
        verified=measures.all_verified(cell.verified for cell in cells),
    )


def _order(variant: Variant) -> tuple[bool, float, str]:
    return variant.verified is False, -(variant.sequences_per_s or 0.0), variant.label


def _known(values: Iterable[str | None]) -> set[str]:
    return {value for value in values if value}
