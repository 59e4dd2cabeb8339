"""The conclusion in one sentence, and the few figures that it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.analysis import Analysis
from harness.analysis.comparisons import LEFT_FASTER, Comparison, compare_fastest
from harness.analysis.learned import Learning
from harness.analysis.stats import excludes_one
from harness.analysis.variants import Place
from harness.records.structs import Run
from harness.report.quantities import count, join, lengths, number, percent, ratio, span
from harness.report.speed_words import TOO_FEW, interval_text, refuse_ranking


@dataclass(frozen=True)
class KeyFigure:
    """A figure to be seen at a glance: what it is, its value, and what the value means."""

    name: str
    value: str
    note: str


def conclude_in_one_sentence(analysis: Analysis) -> str:
    """Which is fastest, by how much and how sure that is; did all learn; was everything verified."""
    said = [*_speeds(analysis), *_doubtful_floor(analysis.a_a)]
    said += [*_learning(analysis), *_verification(analysis), *_failures(analysis)]
    sentence = "; ".join(said)
    starts_with_name = any(sentence.startswith(variant.label) for variant in analysis.variants)
    return f"{sentence[:1] if starts_with_name else sentence[:1].upper()}{sentence[1:]}."


def key_figures(analysis: Analysis) -> list[KeyFigure]:
    """The fastest and its lead in each precision and device, who learned, who was verified, and the noise floor."""
    speeds = [figure for place in analysis.places for figure in _speed_figures(place, analysis.comparisons)]
    floors = [_floor_figure(analysis.a_a)] if analysis.a_a else []
    return [*speeds, *_learning_figures(analysis), *_verification_figures(analysis), *floors]


def describe_shortly(run: Run) -> str:
    """What was trained on what: network, task, number format, device and machine, in a few words."""
    model, environment = run.file.configuration.model, run.file.environment
    cells = run.ok_cells or run.cells
    places = sorted({f"{cell.precision} on {cell.device or 'an unknown device'}" for cell in cells})
    parts = [
        f"LSTMs of {count(model.layers, 'layer')} of {count(model.hidden, 'unit')}",
        f"trained on the copy task, {lengths(run.task.min_length, run.task.max_length)}",
        f"in {join(places)}" if places else "",
        str(environment.get("cpu") or ""),
        run.file.created[:10],
    ]
    return ", ".join(part for part in parts if part)


def _speeds(analysis: Analysis) -> Iterator[str]:
    if not analysis.places:
        yield "no implementation gave a throughput that can be ranked"
    for place in analysis.places:
        yield (f"in {place.name}, " if len(analysis.places) > 1 else "") + _speed(place, analysis.comparisons)


def _speed(place: Place, comparisons: list[Comparison]) -> str:
    fastest, *others = place.ranked
    if place.busy_share is not None:
        return refuse_ranking(place)
    if not others:
        rate = number(fastest.sequences_per_s)
        return f"{fastest.label} trained {rate} sequences a second, the only implementation to be ranked"
    lead, *_ = compared = compare_fastest(place, comparisons)
    size = f"{ratio(lead.ratio.estimate)} times"
    close = [item for item in compared if item.conclusion != LEFT_FASTER]
    if not close:
        sure = interval_text(lead.ratio, lead.n_least)
        return f"{fastest.label} trained fastest, {size} as fast as {lead.right} (95 % interval {sure})"
    leading = f"{fastest.label} had the highest rate"
    if lead.ratio.low is None:
        return f"{leading}, {size} that of {lead.right}, but no difference is shown ({TOO_FEW})"
    return f"{leading}, but no difference is shown between it and {join([item.right for item in close])}"


def _doubtful_floor(a_a: Comparison | None) -> Iterator[str]:
    if a_a and excludes_one(a_a.ratio):
        yield f"the noise floor is doubtful, as {a_a.left} differs from itself by {_off(a_a)}"


def _off(item: Comparison) -> str:
    return percent(abs(item.ratio.estimate - 1))


def _learning(analysis: Analysis) -> Iterator[str]:
    found, n_learned = analysis.learnings, analysis.n_learned
    if not found:
        return
    shown = f"bit error {_error_range(found)}"
    if len(found) == 1:
        yield f"it {'learned' if n_learned else 'did not learn'} the task ({shown})"
    elif n_learned == len(found):
        yield f"all {n_learned} learned the task ({shown})"
    elif n_learned:
        yield f"only {n_learned} of {len(found)} learned the task ({shown})"
    else:
        yield f"none of the {len(found)} learned the task in this run ({shown}, where guessing has 50 %)"


def _verification(analysis: Analysis) -> Iterator[str]:
    refuted, unchecked = ([each.label for each in found] for found in (analysis.refuted, analysis.unchecked))
    if refuted:
        yield f"{join(refuted)} did not pass verification"
    if unchecked:
        yield f"{join(unchecked)} {'was' if len(unchecked) == 1 else 'were'} not checked against the reference"
    if analysis.variants and not refuted and not unchecked:
        yield f"{'it' if len(analysis.variants) == 1 else 'every one'} was verified against the reference"


def _failures(analysis: Analysis) -> Iterator[str]:
    if n_failed := len(analysis.not_ok):
        yield f"{n_failed} of {count(len(analysis.run.cells), 'cell')} did not end ok"


def _speed_figures(place: Place, comparisons: list[Comparison]) -> Iterator[KeyFigure]:
    fastest, *others = place.ranked
    if place.busy_share is not None or fastest.speed is None:
        reason = refuse_ranking(place).partition(": ")[2]
        yield KeyFigure("Fastest in training", "no ranking", reason)
        return
    compared = compare_fastest(place, comparisons) if others else []
    name = "Fastest in training" if all(item.conclusion == LEFT_FASTER for item in compared) else "Highest rate"
    rate = fastest.speed.sequences_per_s
    bounds = span(number(rate.low), number(rate.high))
    interval = f" (95 % interval {bounds})" if bounds else ""
    yield KeyFigure(name, fastest.label, f"{number(rate.estimate)} sequences/s{interval}")
    for lead in compared[:1]:
        size = f"{ratio(lead.ratio.estimate)} times"
        value = size if lead.conclusion == LEFT_FASTER else "none shown"
        sure = interval_text(lead.ratio, lead.n_least)
        yield KeyFigure("Lead over the next", value, f"{size} {lead.right} ({sure})")


def _learning_figures(analysis: Analysis) -> Iterator[KeyFigure]:
    if found := analysis.learnings:
        value = f"{analysis.n_learned} of {len(found)}"
        yield KeyFigure("Learned the task", value, f"bit error {_error_range(found)}")


def _verification_figures(analysis: Analysis) -> Iterator[KeyFigure]:
    if n_variants := len(analysis.variants):
        n_verified = n_variants - len(analysis.refuted) - len(analysis.unchecked)
        yield KeyFigure("Verified", f"{n_verified} of {n_variants}", "against the reference, before timing")


def _floor_figure(item: Comparison) -> KeyFigure:
    bounds = span(ratio(item.ratio.low), ratio(item.ratio.high)) or "one pair of processes"
    return KeyFigure("Noise floor", f"{ratio(item.noise_floor)} times", f"{item.left} against itself: {bounds}")


def _error_range(found: list[Learning]) -> str:
    """The least and the largest bit error, once where they are shown alike; at least one."""
    errors = [item.bit_error for item in found if item.bit_error is not None]
    return span(percent(min(errors)), percent(max(errors)))
