"""--fail-if-slower: what keeps a later run from passing."""

from __future__ import annotations

import re

from harness.analysis.compare.comparison import RunComparison
from harness.analysis.compare.speeds import SLOWER, TOO_FEW, SpeedChange
from harness.analysis.comparisons import BUSY
from harness.analysis.stats import ENOUGH_SAMPLES
from harness.report.quantities import percent
from harness.task.presets import ConfigurationError


def parse_limit(text: str | None) -> float | None:
    """ "5%" as 0.05. Raises ConfigurationError."""
    if text is None:
        return None
    number = re.fullmatch(r"(\d+(?:\.\d+)?) ?%", text.strip())
    if number is None:
        raise ConfigurationError(f"--fail-if-slower {text!r}: allowed is a percentage, such as 5% or 2.5%")
    return float(number[1]) / 100


def find_failures(comparison: RunComparison, limit: float) -> list[str]:
    """A sentence for each variant of the first run that another shows to be slower by more than `limit`, does not
    have, or no longer verifies.

    Raises ConfigurationError where no difference could be shown at all, for want of processes or of an idle machine: a
    gate that cannot fail would pass everything.
    """
    runs, changes = comparison.runs, comparison.speeds
    _refuse_inconclusive(changes)
    ranked = [key for key, variant in runs[0].variants.items() if variant.is_ranked]
    failures = [
        f"{item.label}: measured in {runs[0].letter}, not in {item.letter} ({item.reason})"
        for item in comparison.absences
        if item.key in ranked
    ]
    for change in changes:
        if change.verified[1] is False and change.key in ranked:
            failures.append(f"{change.label}: no longer verified in {change.after}")
        elif change.conclusion == SLOWER and change.time_increase > limit:
            failures.append(
                f"{change.label}: a step takes {percent(change.time_increase)} longer in {change.after}"
                f" than in {change.before}; allowed are {percent(limit)}"
            )
    return failures


def _refuse_inconclusive(changes: list[SpeedChange]) -> None:
    for change in changes:
        if change.conclusion == TOO_FEW:
            counts = f"{change.processes[0]} in {change.before} and {change.processes[1]} in {change.after}"
            raise ConfigurationError(
                f"--fail-if-slower: {change.label} has too few processes to show any difference ({counts});"
                f" measure both with --repeats {ENOUGH_SAMPLES} or more"
            )
        if change.conclusion == BUSY:
            raise ConfigurationError(
                f"--fail-if-slower: other processes used up to {percent(change.busy_share)} of the processors while"
                f" {change.label} trained in {change.before} or {change.after}; measure both on an idle machine"
            )
