"""What is compared with what: a backend's implementation at one precision on one device, over seeds and repeats."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from harness.analysis import measures
from harness.analysis.ceiling import Ceilings
from harness.analysis.costs import Cost, Costs, cost_samples, measure_costs
from harness.analysis.speed import Round, Speed, measure_speed, sample_rates
from harness.records.structs import Cell, Run

NOT_VERIFIED = " (not verified)"

Key = tuple[str, str, str, str]


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
    def key(self) -> Key:
        """What tells it from the other variants of its run, as Cell.variant."""
        return self.backend, self.implementation, self.precision, self.device

    @property
    def marked_label(self) -> str:
        return mark_label(self.label, self.verified, len(self.cells), len(self.started))

    @property
    def sequences_per_s(self) -> float | None:
        return self.speed.sequences_per_s.estimate if self.speed else None

    @property
    def rates(self) -> dict[Round, float]:
        return self.speed.rates if self.speed else {}

    @property
    def timed_cells(self) -> list[Cell]:
        """The cells that its speed is of."""
        return self.speed.cells if self.speed else []

    @property
    def cost_samples(self) -> dict[Cost, list[float]]:
        return cost_samples(self.cells, self.timed_cells)

    @cached_property
    def costs(self) -> Costs:
        return measure_costs(self.cost_samples)

    @property
    def is_ranked(self) -> bool:
        return self.verified is not False and self.speed is not None


@dataclass(frozen=True)
class Place:
    """A precision on a device, with the variants that are ranked in it, the fastest first: at least one."""

    precision: str
    device: str
    ranked: list[Variant]

    @property
    def name(self) -> str:
        return " on ".join(part for part in (self.precision, self.device) if part)

    @property
    def shared_rounds(self) -> set[Round] | None:
        """The rounds that every speed here is of; None where no round is common, so that each is of all its own."""
        first, *others = (set(variant.rates) for variant in self.ranked)
        return first if all(rounds == first for rounds in others) else None

    @property
    def n_left_out(self) -> int:
        """How many ok cells of the variants ranked here have no part in their speeds."""
        return sum(len(variant.cells) - len(variant.timed_cells) for variant in self.ranked)

    @property
    def busy_share(self) -> float | None:
        """What other processes used, where that was too much for a ranking (measures.busy_share)."""
        return measures.busy_share(cell for variant in self.ranked for cell in variant.timed_cells)


def find_variants(run: Run, ceilings: Ceilings) -> list[Variant]:
    """The run's variants with ok cells: the fastest first, then those without a rank, which are not verified.

    The second set of the A/A pair belongs to none. Those that are ranked in one place have their speed from the rounds
    that all of them have, so that their speeds are of the same seeds and of the same times, and so are the ratios of
    these; where no round is in all, from every cell.
    """
    grouped: dict[Key, list[Cell]] = {}
    for cell in run.own_cells:
        if cell.status == "ok":
            grouped.setdefault(cell.variant, []).append(cell)
    shared = _shared_rounds(run, grouped)
    variants = []
    for key, cells in grouped.items():
        compared = [cell for cell in cells if (cell.seed, cell.repeat) in shared.get(key[2:], set())]
        is_compared = bool(compared) and _all_verified(cells) is not False
        variants.append(_make_variant(run, cells, measure_speed(run, compared if is_compared else cells, ceilings)))
    return sorted(variants, key=_order)


def find_lost(run: Run) -> list[Variant]:
    """The variants that were started and have no ok cell, by label."""
    lost: list[Variant] = []
    # Cells that tell their device first: those that do not belong to them.
    for cell in sorted(run.own_cells, key=lambda cell: cell.device is None):
        started = run.started_like(cell) if cell.has_started else []
        is_ok_once = any(other.status == "ok" for other in started)
        if started and not is_ok_once and not any(cell in variant.started for variant in lost):
            lost.append(_make_lost(run, started))
    return sorted(lost, key=lambda variant: variant.label)


def mark_label(label: str, verified: bool | None, n_ok: int = 0, n_started: int = 0) -> str:
    """The label with what makes figures of the n_ok cells doubtful: not verified, or others that did not end ok."""
    marked = label + NOT_VERIFIED if verified is False else label
    return f"{marked} ({n_ok} of {n_started} ended ok)" if n_ok < n_started else marked


def find_places(variants: list[Variant]) -> list[Place]:
    """Where variants are ranked, in the order of the fastest of each."""
    ranked: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        if variant.is_ranked:
            ranked.setdefault((variant.precision, variant.device), []).append(variant)
    return [Place(*place, found) for place, found in ranked.items()]


def short_label(run: Run, cell: Cell) -> str:
    """Backend and implementation, with precision and device where the run has several of them."""
    parts = [cell.backend, cell.implementation]
    if len(_known(other.precision for other in run.cells)) > 1:
        parts.append(cell.precision)
    if len(_known(other.device for other in run.cells)) > 1 and cell.device:
        parts.append(cell.device)
    return " ".join(parts)


def _shared_rounds(run: Run, grouped: Mapping[Key, list[Cell]]) -> dict[tuple[str, str], set[Round]]:
    """By precision and device, the rounds in which every variant that is ranked there has a rate."""
    shared: dict[tuple[str, str], set[Round]] = {}
    for (_, _, precision, device), cells in grouped.items():
        rounds = set(sample_rates(run, cells))
        if rounds and _all_verified(cells) is not False:
            shared[precision, device] = rounds & shared.get((precision, device), rounds)
    return shared


def _make_variant(run: Run, cells: list[Cell], speed: Speed | None) -> Variant:
    return Variant(
        *cells[0].variant,
        label=short_label(run, cells[0]),
        cells=cells,
        speed=speed,
        verified=_all_verified(cells),
        started=run.started_like(cells[0]),
    )


def _make_lost(run: Run, started: list[Cell]) -> Variant:
    label, verified = short_label(run, started[0]), _all_verified(started)
    return Variant(*started[0].variant, label=label, cells=[], speed=None, verified=verified, started=started)


def _all_verified(cells: list[Cell]) -> bool | None:
    return measures.all_verified(cell.verified for cell in cells)


def _order(variant: Variant) -> tuple[bool, float, str]:
    return variant.verified is False, -(variant.sequences_per_s or 0.0), variant.label


def _known(values: Iterable[str | None]) -> set[str]:
    return {value for value in values if value}
