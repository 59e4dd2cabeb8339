"""What makes a run's figures doubtful, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.analysis import measures
from harness.analysis.stats import ENOUGH_SAMPLES, largest_coverage
from harness.analysis.variants import Variant, short_label
from harness.machine import write_list
from harness.records.structs import Cell, Run
from harness.report.quantities import count, number, percent, span

SLOW_START = 0.10
WIDE_INTERVAL = 0.20
UNSTEADY_RATIO = 1.5
# Steps of one call share its time: of fewer calls a quarter, or a twentieth, would be one call's luck.
ENOUGH_CALLS = 8


@dataclass(frozen=True)
class Caution:
    """One line: what was found, where with its size, and advice."""

    finding: str
    where: str
    advice: str

    @property
    def text(self) -> str:
        return f"{self.finding}: {self.where}. {self.advice}"


def find_cautions(run: Run, variants: list[Variant]) -> list[Caution]:
    """At most one for each kind of doubt, those about the machine first."""
    found = [
        _nodes_differ(run),
        _ranks_share_a_machine(run),
        _records_incomplete(run),
        _ceiling_unread(run),
        _above_the_ceiling(variants),
        _machine_busy(run),
        _placed_otherwise(run),
        _warmup_not_ended(run),
        _steps_unsteady(run),
        _wide_intervals(variants),
        _few_repeats(variants),
    ]
    return [caution for caution in found if caution]


def slow_start(cell: Cell) -> float | None:
    """How much longer the median step of the first quarter took than that of the rest, as a share; None if unknown."""
    samples = measures.step_ms(cell)
    quarter = samples.size // 4
    if measures.steady_calls(cell) < ENOUGH_CALLS:
        return None
    return float(np.median(samples[:quarter]) / np.median(samples[quarter:]) - 1)


def unsteadiness(cell: Cell) -> float | None:
    """The 95th over the 5th percentile of the steady steps; None where too few calls were timed."""
    if measures.steady_calls(cell) < ENOUGH_CALLS:
        return None
    fast, slow = np.percentile(measures.step_ms(cell), [5, 95])
    return float(slow / fast)


def _nodes_differ(run: Run) -> Caution | None:
    hardware = run.hardware
    if len(hardware) < 2:
        return None
    whole = count(len(run.ok_cells), "cell")
    where = "; ".join(f"{kind} ({len(cells)} of {whole})" for kind, cells in hardware.items())
    advice = "Speeds of different hardware are compared here: run on nodes of one kind."
    return Caution("Nodes differ", where, advice)


def _ranks_share_a_machine(run: Run) -> Caution | None:
    sharing = [cell for cell in run.ok_cells if cell.ranks > 1 and cell.node is None and cell.device == "cpu"]
    if not sharing:
        return None
    where = f"{sharing[0].ranks} ranks on one machine's processors"
    return Caution("Ranks share a machine", where, "These speeds prove that the ranks are right, not how they scale.")


def _records_incomplete(run: Run) -> Caution | None:
    faulty = [cell for cell in run.ok_cells if cell.faults]
    if not faulty:
        return None
    where = f"{len(faulty)} of {count(len(run.ok_cells), 'cell')}; {faulty[0].faults[0]} in {faulty[0].cell}"
    advice = "The fields named in `faults` of a record are in no table, and `check` lists them: run again."
    return Caution("Records with faults", where, advice)


def _ceiling_unread(run: Run) -> Caution | None:
    if run.ceiling_problem is None:
        return None
    return Caution("No ceiling", run.ceiling_problem, "Repair or remove the file and make the report again.")


def _above_the_ceiling(variants: list[Variant]) -> Caution | None:
    shares = {variant.label: variant.speed.ceiling_share or 0.0 for variant in variants if variant.speed}
    where = "; ".join(f"{label} ({percent(share)})" for label, share in shares.items() if share > 1)
    advice = (
        "Training multiplied faster than any product that was timed by itself, so this ceiling is too low, and no share"
        " of it says what is left: install the other frameworks, whose products count too, and run on an idle machine."
    )
    return Caution("Above the ceiling", where, advice) if where else None


def _machine_busy(run: Run) -> Caution | None:
    where = _doubtful_cells(run, lambda cell: cell.other_cpu_share, measures.BUSY_SHARE, percent)
    advice = "End what else runs on the machine, and run again."
    return Caution("Other processes used the processors", where, advice) if where else None


def _placed_otherwise(run: Run) -> Caution | None:
    differing = {cell.cell: text for cell in run.ok_cells if (text := other_placement(cell, run.file.resources))}
    if not differing:
        return None
    name, text = next(iter(differing.items()))
    where = f"{len(differing)} of {count(len(run.ok_cells), 'cell')}; {name} {text}"
    advice = "A library placed its threads itself: look for OMP_PROC_BIND, KMP_AFFINITY and the like, and run again."
    return Caution("Other processors or threads than asked for", where, advice)


def other_placement(cell: Cell, resources: Mapping[str, Any]) -> str | None:
    """What was in force while the cell trained, where that is not what was asked for. Records before version 3 do not
    tell on which processors, and not every framework tells its threads."""
    settings = cell.settings or {}
    told = settings.get("cpus")
    in_force = [number for number in told if isinstance(number, int)] if isinstance(told, list) else []
    if cell.cpus_asked is not None and sorted(in_force) != sorted(cell.cpus_asked):
        found = write_list(in_force) or "unknown ones"
        return f"was given processors {write_list(cell.cpus_asked)} and ran on {found}"
    n_asked, n_threads = resources.get("threads"), settings.get("threads")
    if isinstance(n_asked, int) and isinstance(n_threads, int) and n_threads != n_asked:
        return f"was given {n_asked} thread{'s' * (n_asked != 1)} and had {n_threads}"
    return None


def _warmup_not_ended(run: Run) -> Caution | None:
    where = _doubtful_cells(run, slow_start, SLOW_START, lambda share: f"{percent(share)} slower")
    advice = "The first quarter of the steady steps was slower than the rest: train for more steps."
    return Caution("Warm-up had not ended", where, advice) if where else None


def _steps_unsteady(run: Run) -> Caution | None:
    where = _doubtful_cells(run, unsteadiness, UNSTEADY_RATIO, lambda ratio: f"{ratio:.1f} times")
    advice = (
        "The 95th percentile of the steps was that many times the 5th, so they may have two speeds: fix the processor's"
        " frequency, or give the run whole cores."
    )
    return Caution("Unsteady steps", where, advice) if where else None


def _wide_intervals(variants: list[Variant]) -> Caution | None:
    rates = {variant.label: variant.speed.sequences_per_s for variant in variants if variant.speed}
    wide = [
        f"{label} ({span(number(rate.low), number(rate.high))} sequences/s)"
        for label, rate in rates.items()
        if (rate.relative_width or 0) > WIDE_INTERVAL
    ]
    limit = percent(WIDE_INTERVAL)
    advice = f"The 95 % interval is wider than {limit} of the median: repeat more often, on an idle machine."
    return Caution("Processes differ", "; ".join(wide), advice) if wide else None


def _few_repeats(variants: list[Variant]) -> Caution | None:
    few = {v.label: len(v.rates) for v in variants if 1 < len(v.rates) < ENOUGH_SAMPLES}
    if not few:
        return None
    least = min(few.values())
    advice = (
        f"An interval from {least} processes holds the true median with a probability of at most"
        f" {percent(largest_coverage(least))}, so differences show too easily: use --repeats {ENOUGH_SAMPLES} or more."
    )
    where = "; ".join(f"{label} ({count})" for label, count in few.items())
    return Caution("Too few processes for a 95 % interval", where, advice)


def _doubtful_cells(
    run: Run, measure: Callable[[Cell], float | None], limit: float, show: Callable[[float], str]
) -> str:
    """Variants with cells above the limit: how many of them, and the worst with its size; empty where there is none."""
    grouped: dict[str, dict[str, float | None]] = {}
    for cell in run.ok_cells:
        grouped.setdefault(short_label(run, cell), {})[cell.cell] = measure(cell)
    return "; ".join(_describe_worst(grouped, limit, show))


def _describe_worst(
    grouped: dict[str, dict[str, float | None]], limit: float, show: Callable[[float], str]
) -> Iterator[str]:
    for label, measured in sorted(grouped.items()):
        above = {name: value for name, value in measured.items() if value is not None and value > limit}
        if above:
            worst = max(above, key=lambda name: above[name])
            yield f"{label} ({len(above)} of {len(measured)}; {show(above[worst])} in {worst})"
