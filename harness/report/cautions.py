"""What makes a run's figures doubtful, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from harness.analysis.analysis import Analysis
from harness.analysis.doubts import WIDE_INTERVAL, Excess
from harness.analysis.stats import ENOUGH_SAMPLES, largest_coverage
from harness.analysis.variants import Variant
from harness.machine import write_list
from harness.records.structs import Cell, CellResources, Run
from harness.report.quantities import count, number, percent, span


@dataclass(frozen=True)
class Caution:
    """One line: what was found, where with its size, and advice."""

    finding: str
    where: str
    advice: str

    @property
    def text(self) -> str:
        return f"{self.finding}: {self.where}. {self.advice}"


def find_cautions(analysis: Analysis) -> list[Caution]:
    """At most one for each kind of doubt, those about the machine first."""
    run, doubts = analysis.run, analysis.doubts
    found = [
        _nodes_differ(run),
        _ranks_share_a_machine(run),
        _records_incomplete(run),
        _ceiling_unread(run),
        _above_the_ceiling(doubts.above_ceiling),
        _machine_busy(doubts.busy),
        _placed_otherwise(run),
        _warmup_not_ended(doubts.slow_start),
        _steps_unsteady(doubts.unsteady),
        _wide_intervals(doubts.wide_intervals),
        _few_repeats(doubts.few_processes),
    ]
    return [caution for caution in found if caution]


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
    where = "; ".join(f"{each.label} ({percent(each.speed.ceiling_share)})" for each in variants if each.speed)
    advice = (
        "Training multiplied faster than any product that was timed by itself, so this ceiling is too low, and no share"
        " of it says what is left: install the other frameworks, whose products count too, and run on an idle machine."
    )
    return Caution("Above the ceiling", where, advice) if where else None


def _machine_busy(excesses: list[Excess]) -> Caution | None:
    where = _describe(excesses, percent)
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


def other_placement(cell: Cell, resources: CellResources) -> str | None:
    """What was in force while the cell trained, where that is not what was asked for. Not every framework
    tells its threads."""
    settings = cell.settings or {}
    told = settings.get("cpus")
    in_force = [number for number in told if isinstance(number, int)] if isinstance(told, list) else []
    if cell.cpus_asked is not None and sorted(in_force) != sorted(cell.cpus_asked):
        found = write_list(in_force) or "unknown ones"
        return f"was given processors {write_list(cell.cpus_asked)} and ran on {found}"
    n_asked, n_threads = resources.threads, settings.get("threads")
    if isinstance(n_asked, int) and isinstance(n_threads, int) and n_threads != n_asked:
        return f"was given {n_asked} thread{'s' * (n_asked != 1)} and had {n_threads}"
    return None


def _warmup_not_ended(excesses: list[Excess]) -> Caution | None:
    where = _describe(excesses, lambda share: f"{percent(share)} slower")
    advice = "The first quarter of the steady steps was slower than the rest: train for more steps."
    return Caution("Warm-up had not ended", where, advice) if where else None


def _steps_unsteady(excesses: list[Excess]) -> Caution | None:
    where = _describe(excesses, lambda ratio: f"{ratio:.1f} times")
    advice = (
        "The 95th percentile of the steps was that many times the 5th, so they may have two speeds: fix the processor's"
        " frequency, or give the run whole cores."
    )
    return Caution("Unsteady steps", where, advice) if where else None


def _wide_intervals(variants: list[Variant]) -> Caution | None:
    rates = {variant.label: variant.speed.sequences_per_s for variant in variants if variant.speed}
    wide = [f"{label} ({span(number(rate.low), number(rate.high))} sequences/s)" for label, rate in rates.items()]
    limit = percent(WIDE_INTERVAL)
    advice = f"The 95 % interval is wider than {limit} of the median: repeat more often, on an idle machine."
    return Caution("Processes differ", "; ".join(wide), advice) if wide else None


def _few_repeats(variants: list[Variant]) -> Caution | None:
    if not variants:
        return None
    least = min(len(variant.rates) for variant in variants)
    advice = (
        f"An interval from {least} processes holds the true median with a probability of at most"
        f" {percent(largest_coverage(least))}, so differences show too easily: use --repeats {ENOUGH_SAMPLES} or more."
    )
    where = "; ".join(f"{variant.label} ({len(variant.rates)})" for variant in variants)
    return Caution("Too few processes for a 95 % interval", where, advice)


def _describe(excesses: list[Excess], show: Callable[[float], str]) -> str:
    """How many cells of each variant, and the worst with its size; empty where there is none."""
    return "; ".join(
        f"{item.label} ({item.n_above} of {item.n_cells}; {show(item.worst)} in {item.worst_cell})" for item in excesses
    )
