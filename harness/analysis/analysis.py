"""Everything that a report says of a run, computed once."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from harness.analysis import measures, stats
from harness.analysis.bit_errors import EvaluatedLength, LengthErrors, evaluate_lengths, find_bit_errors
from harness.analysis.ceiling import Ceilings, ProductRate, find_ceilings, product_rates
from harness.analysis.comparisons import Comparison, compare_a_a, compare_all
from harness.analysis.copies import CopiedSequence, gather_copies
from harness.analysis.distance import LossDistance, measure_distances
from harness.analysis.doubts import Doubts, find_doubts
from harness.analysis.learned import Learning, judge_learning
from harness.analysis.positions import MiddleTest, PositionErrors, check_middles, measure_positions
from harness.analysis.quality import QualityComparison, compare_quality
from harness.analysis.summary import SummaryRow, make_summary
from harness.analysis.target import Arrival, find_arrivals
from harness.analysis.throughput import Throughput, measure_throughputs
from harness.analysis.times import find_times
from harness.analysis.variants import Place, Variant, find_lost, find_places, find_variants
from harness.records.structs import Cell, Run


@dataclass(frozen=True, eq=False, kw_only=True)
class Analysis:
    """A run and what follows from its records; made by analyse, and handed to whatever shows a part of it.

    variants have ok cells, the fastest first; lost were started and have none. ceilings are by precision and device.
    comparisons end with the A/A pair, where the run has one. bit_errors are by variant, then by length;
    times are the seconds of each part of a variant's median process. Floors are the
    least that a loss can be, nats.
    """

    run: Run
    variants: list[Variant]
    lost: list[Variant]
    places: list[Place]
    summary: list[SummaryRow]
    comparisons: list[Comparison]
    a_a: Comparison | None
    products: list[ProductRate]
    ceilings: Ceilings
    learnings: list[Learning]
    arrivals: list[Arrival]
    quality: list[QualityComparison]
    distances: list[LossDistance]
    middles: list[MiddleTest]
    positions: list[PositionErrors]
    bit_errors: dict[Variant, dict[int, LengthErrors]]
    evaluated: list[EvaluatedLength]
    copies: list[CopiedSequence]
    throughputs: list[Throughput]
    times: dict[Variant, dict[str, float]]
    train_loss_floor: float | None
    original_loss_floor: float | None
    doubts: Doubts

    @property
    def noise_floor(self) -> float:
        """The factor within which a ratio of speeds may be noise; 1 where the run has no A/A pair."""
        return stats.noise_floor(self.a_a.ratio if self.a_a else None)

    @property
    def ranked(self) -> list[Variant]:
        return [variant for place in self.places for variant in place.ranked]

    @property
    def refuted(self) -> list[Variant]:
        """The variants that did not pass verification."""
        return [variant for variant in self.variants if variant.verified is False]

    @property
    def unchecked(self) -> list[Variant]:
        """The variants that nobody held against the reference."""
        return [variant for variant in self.variants if variant.verified is None]

    @cached_property
    def not_ok(self) -> list[Cell]:
        return [cell for cell in self.run.cells if cell.status != "ok"]

    @property
    def lengths(self) -> list[int]:
        """The lengths that were evaluated, the shortest first."""
        return sorted({length for errors in self.bit_errors.values() for length in errors})

    def row(self, variant: Variant) -> SummaryRow:
        """The summary of the ok cells of one of `variants`."""
        return next(row for row in self.summary if row.status == "ok" and row.variant == variant.key)

    @property
    def n_learned(self) -> int:
        """How many of the variants judged learned the task in every training."""
        return sum(learning.has_learned for learning in self.learnings)


def analyse(run: Run) -> Analysis:
    products = product_rates(run.products)
    ceilings = find_ceilings(products)
    variants, lost = find_variants(run, ceilings), find_lost(run)
    places, a_a = find_places(variants), compare_a_a(run)
    return Analysis(
        run=run,
        variants=variants,
        lost=lost,
        places=places,
        summary=make_summary(run, variants, places),
        comparisons=compare_all(variants, a_a),
        a_a=a_a,
        products=products,
        ceilings=ceilings,
        learnings=judge_learning(run, variants, lost),
        arrivals=find_arrivals(run, [*variants, *lost]),
        quality=compare_quality(run, variants),
        distances=measure_distances(variants),
        middles=check_middles(run),
        positions=measure_positions(run, variants),
        bit_errors=find_bit_errors(variants),
        evaluated=evaluate_lengths(run),
        copies=gather_copies(run, variants),
        throughputs=measure_throughputs(run),
        times=find_times(variants),
        train_loss_floor=measures.train_loss_floor(run),
        original_loss_floor=measures.median(map(measures.original_loss_floor, run.ok_cells)),
        doubts=find_doubts(run, variants),
    )
