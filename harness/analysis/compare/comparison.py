"""Everything that is found out about several runs, once, for the terminal, the files and the JSON document."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.compare.costs import CostChange, cost_changes
from harness.analysis.compare.quality import Absence, QualityChange, find_absences, quality_changes
from harness.analysis.compare.runs import (
    ComparedRun,
    Difference,
    are_about_learning,
    load_runs,
    recipe_differences,
    same_learning,
)
from harness.analysis.compare.speeds import MachineChange, SpeedChange, machine_change, speed_changes
from harness.analysis.compare.surroundings import surrounding_differences
from harness.analysis.stats import Interval


@dataclass(frozen=True)
class RunComparison:
    """Runs, the first of which the others are held against. quality is empty where they were not to learn the same, or
    trained for speed alone; failures is None where nobody asked for --fail-if-slower."""

    runs: list[ComparedRun]
    speeds: list[SpeedChange]
    machines: list[MachineChange]
    costs: list[CostChange]
    quality: list[QualityChange]
    absences: list[Absence]
    recipe: list[Difference]
    surroundings: list[Difference]
    limit: float | None = None
    failures: list[str] | None = None

    @property
    def went_well(self) -> bool:
        return not self.failures


def make_comparison(folders: list[Path]) -> RunComparison:
    """Raises ConfigurationError for runs that cannot be compared."""
    runs = load_runs(folders)
    speeds, absences = speed_changes(runs), find_absences(runs)
    machines = [machine_change(runs[0], other) for other in runs[1:]]
    return RunComparison(
        runs=runs,
        speeds=speeds,
        machines=[machine for machine in machines if machine],
        costs=cost_changes(runs),
        quality=quality_changes(runs) if same_learning(runs) and are_about_learning(runs) else [],
        absences=absences,
        recipe=recipe_differences(runs),
        surroundings=surrounding_differences(runs),
    )


def to_document(comparison: RunComparison, sentences: list[str]) -> dict[str, Any]:
    """The comparison as JSON, with every number unrounded."""
    return {
        "runs": [_run_document(run) for run in comparison.runs],
        "sentences": sentences,
        "speed": [_speed_document(change) for change in comparison.speeds],
        "products": [vars(machine) for machine in comparison.machines],
        "costs": [_cost_document(change) for change in comparison.costs],
        "quality": [_quality_document(change) for change in comparison.quality],
        "absent": [{**_identity(item.key), "run": item.letter, "reason": item.reason} for item in comparison.absences],
        "recipe": [vars(item) for item in comparison.recipe],
        "surroundings": [vars(item) for item in comparison.surroundings],
        "fail_if_slower": comparison.limit,
        "failures": comparison.failures,
    }


def _run_document(run: ComparedRun) -> dict[str, Any]:
    file = run.run.file
    return {"run": run.letter, "folder": str(run.folder), "created": file.created, "preset": file.preset}


def _speed_document(change: SpeedChange) -> dict[str, Any]:
    return {
        **_identity(change.key),
        "before": change.before,
        "after": change.after,
        "before_sequences_per_s": _interval(change.before_rate),
        "after_sequences_per_s": _interval(change.after_rate),
        "ratio": _interval(change.ratio),
        "ratio_by_products": _interval(change.normalised) if change.normalised else None,
        "processes": list(change.processes),
        "noise_floor": change.noise_floor,
        "busy_share": change.busy_share,
        "verified": list(change.verified),
        "conclusion": change.conclusion,
    }


def _cost_document(change: CostChange) -> dict[str, Any]:
    return {
        **_identity(change.key),
        "cost": change.cost,
        "before": change.before,
        "after": change.after,
        "before_value": _interval(change.before_value),
        "after_value": _interval(change.after_value),
        "ratio": _interval(change.ratio),
        "processes": list(change.processes),
    }


def _quality_document(change: QualityChange) -> dict[str, Any]:
    values = {name: list(pair) for name, pair in change.values.items()}
    who = {**_identity(change.key), "before": change.before, "after": change.after}
    seeds = {"seeds": list(change.seeds), "seeds_started": list(change.seeds_started)}
    return {**who, **seeds, "learned": list(change.learned), **values}


def _identity(key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("backend", "implementation", "precision", "device"), key, strict=False))


def _interval(interval: Interval) -> dict[str, float | None]:
    return {"estimate": interval.estimate, "low": interval.low, "high": interval.high}
