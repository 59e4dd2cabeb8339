"""A configuration becomes cells: one training of one implementation with one seed, in one process."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np

from backends import Backend
from harness.records.identity import PlannedCell
from harness.records.structs import AAPair


@dataclass(frozen=True)
class Plan:
    """The rounds of cells in running order, and the A/A pair, where there are repeats."""

    rounds: list[list[PlannedCell]]
    a_a: AAPair | None

    @property
    def cells(self) -> list[PlannedCell]:
        return [cell for round_ in self.rounds for cell in round_]


def plan_cells(
    backends: list[Backend], implementations: list[str], precisions: list[str], seeds: list[int], repeats: int
) -> Plan:
    """Every variant once in each round of repeat and seed, in an order shuffled anew, so that drift falls on all alike.

    The shuffle depends on the repeat and the seed alone. Where there are repeats, the first tuned variant, or
    else the first, runs twice a round.
    """
    variants = [
        (backend, implementation, precision)
        for backend in backends
        for implementation in implementations
        if implementation in backend.implementations
        for precision in precisions
    ]
    installed = [variant for variant in variants if not variant[0].missing_packages()]
    first = [variant for variant in installed if variant[1] == "tuned"] or installed
    a_a_variant = first[0] if first and repeats > 1 else None
    rounds: list[list[PlannedCell]] = []
    for repeat, seed in itertools.product(range(repeats), seeds):
        round_ = [PlannedCell(*variant, seed, repeat) for variant in variants]
        if a_a_variant:
            round_.append(PlannedCell(*a_a_variant, seed, repeats + repeat))
        order = np.random.default_rng([repeat, seed]).permutation(len(round_))
        rounds.append([round_[place] for place in order])
    return Plan(rounds, _name_a_a(a_a_variant, repeats))


def _name_a_a(variant: tuple[Backend, str, str] | None, repeats: int) -> AAPair | None:
    if variant is None:
        return None
    backend, implementation, precision = variant
    return AAPair(backend.name, implementation, precision, first_repeat=repeats)
