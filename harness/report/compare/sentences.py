"""A comparison in words: what is slower or faster, what that is worth, and what cannot be compared."""

from __future__ import annotations

from collections.abc import Iterator

from harness.analysis.compare.comparison import RunComparison
from harness.analysis.compare.quality import Absence, QualityChange
from harness.analysis.compare.runs import ComparedRun
from harness.analysis.compare.speeds import FASTER, SLOWER, TOO_FEW, MachineChange, SpeedChange
from harness.analysis.comparisons import BUSY, NO_DIFFERENCE
from harness.analysis.stats import ENOUGH_SAMPLES
from harness.analysis.variants import NOT_VERIFIED
from harness.report.quantities import count, join, percent, ratio, span
from harness.report.speed_words import interval_text


def describe(comparison: RunComparison) -> list[str]:
    """One sentence or two for each finding, the most telling first."""
    first, *others = comparison.runs
    found: list[str] = []
    for other in others:
        found += _speed([item for item in comparison.speeds if item.after == other.letter], first, other)
    found += [_machine(machine) for machine in comparison.machines]
    found.append(
        "The runs were not interleaved: whatever changed on the machine between them is part of every ratio of speeds."
    )
    found += _unfinished(comparison.runs)
    found += _noise(comparison.speeds)
    found += _recipe(comparison)
    found += _learning(comparison.quality)
    return found + list(_absences(comparison.absences))


def _speed(changes: list[SpeedChange], first: ComparedRun, other: ComparedRun) -> Iterator[str]:
    where = f"{other.letter} against {first.letter}"
    if not changes:
        yield f"{where}: no implementation has a speed in both."
        return
    kinds = (SLOWER, FASTER, NO_DIFFERENCE, TOO_FEW, BUSY)
    grouped = {kind: [change for change in changes if change.conclusion == kind] for kind in kinds}
    for kind in (SLOWER, FASTER):
        if grouped[kind]:
            yield f"{where}, {kind} in training: {join([_changed(change) for change in grouped[kind]])}."
    if grouped[NO_DIFFERENCE]:
        yield f"{where}, no difference shown: {join([_name(change) for change in grouped[NO_DIFFERENCE]])}."
    if grouped[TOO_FEW]:
        yield (
            f"{where}, too few processes to conclude anything: {join([_name(change) for change in grouped[TOO_FEW]])}."
            f" Use --repeats {ENOUGH_SAMPLES} or more in both."
        )
    if grouped[BUSY]:
        most = max(change.busy_share or 0.0 for change in grouped[BUSY])
        yield (
            f"{where}, no conclusion on {join([_name(change) for change in grouped[BUSY]])}: other processes used up to"
            f" {percent(most)} of the processors while they trained in one run or the other."
        )


def _changed(change: SpeedChange) -> str:
    longer = change.time_increase > 0
    amount = change.time_increase if longer else 1 - 1 / change.ratio.estimate
    size = f"speed ratio {ratio(change.ratio.estimate)}, {interval_text(change.ratio, min(change.processes))}"
    return f"{_name(change)} takes {percent(amount)} {'longer' if longer else 'less'} a step ({size})"


def _name(change: SpeedChange) -> str:
    return change.label + (NOT_VERIFIED if False in change.verified else "")


def _machine(machine: MachineChange) -> str:
    spread = f"{span(ratio(machine.low), ratio(machine.high))} over {count(machine.products, 'product')}"
    return (
        f"The plain matrix products measured between the cells ran in {machine.after} at {ratio(machine.ratio)} times"
        f" their rate in {machine.before} ({spread}); the ratio by products is divided by that. It tells a slower"
        " machine from slower code, unless what was changed is the product itself."
    )


def _unfinished(runs: list[ComparedRun]) -> Iterator[str]:
    """How many of how many processes the figures of a variant stand on, where some did not end ok."""
    for run in runs:
        counts = {run.labels[key]: (len(each.cells), len(each.started)) for key, each in run.variants.items()}
        lacking = [f"{label} {n_ok} of {n_started}" for label, (n_ok, n_started) in counts.items() if n_ok < n_started]
        if lacking:
            yield f"In {run.letter} not every process ended ok, and figures are of those that did: {join(lacking)}."


def _noise(changes: list[SpeedChange]) -> Iterator[str]:
    floor = max((change.noise_floor for change in changes), default=1.0)
    if floor > 1:
        yield (
            f"Noise floor: inside a run, one implementation against itself reaches a ratio of {ratio(floor)}. Between"
            " runs, a ratio of up to that shows no difference."
        )


def _recipe(comparison: RunComparison) -> Iterator[str]:
    if comparison.recipe:
        differing = join([item.text for item in comparison.recipe])
        consequence = "" if comparison.quality else " Steps are alike, so speeds are compared; what was learned is not."
        yield f"The recipes differ in {differing}.{consequence}"
    for name in ("device", "threads"):
        values = {run.letter: _resource(run, name) for run in comparison.runs}
        if len(set(values.values())) > 1:
            said = join([f"{value} in {letter}" for letter, value in values.items()])
            yield f"The runs differ in {name}: {said}."


def _resource(run: ComparedRun, name: str) -> str:
    if name == "device":
        return join(sorted({variant.device or "unknown" for variant in run.variants.values()}) or ["unknown"])
    return str(getattr(run.run.file.resources, name) or "unknown")


def _learning(changes: list[QualityChange]) -> Iterator[str]:
    if not changes:
        return
    flipped = [change for change in changes if None not in change.learned and len(set(change.learned)) == 2]
    for change in flipped:
        who, other = (change.before, change.after) if change.learned[0] else (change.after, change.before)
        errors = dict(zip((change.before, change.after), change.values["bit_error"], strict=True))
        yield (
            f"{change.label} learned the task in {who} (bit error {percent(errors[who])}) and not in {other}"
            f" ({percent(errors[other])})."
        )
    differences = [abs(after - before) for before, after in _known_errors(changes)]
    if differences and not flipped:
        most = f"differ by at most {percent(max(differences))} of all bits" if any(differences) else "are the same"
        yield f"What was learned: bit errors over the trained lengths {most}."


def _absences(absences: list[Absence]) -> Iterator[str]:
    grouped: dict[tuple[str, str], list[str]] = {}
    for item in absences:
        grouped.setdefault((item.letter, item.reason), []).append(item.label)
    for (letter, reason), labels in grouped.items():
        yield f"Not in {letter}, so not compared: {join(labels)} ({reason})."


def _known_errors(changes: list[QualityChange]) -> Iterator[tuple[float, float]]:
    for before, after in (change.values["bit_error"] for change in changes):
        if before is not None and after is not None:
            yield before, after
