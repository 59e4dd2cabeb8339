"""The conclusion in one sentence, and the few figures that it stands on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.analysis.comparisons import LEFT_FASTER, Comparison, compare_all, compare_fastest
from harness.analysis.learned import Learning, judge_learning
from harness.analysis.stats import excludes_one
from harness.analysis.variants import Place, Variant, find_places
from harness.records.structs import Run
from harness.report.quantities import count, join, lengths, number, percent, ratio, span
from harness.report.speed_words import TOO_FEW, interval_text, refuse_ranking


@dataclass(frozen=True)
class KeyFigure:
    """A figure to be seen at a glance: what it is, its value, and what the value means."""

    name: str
    value: str
    note: str


def conclude_in_one_sentence(run: Run, variants: list[Variant]) -> str:
    """Which is fastest, by how much and how sure that is; did all learn; was everything verified."""
    comparisons = compare_all(run, variants)
    said = [*_speeds(find_places(variants), comparisons), *_doubtful_floor(comparisons)]
    said += [*_learning(judge_learning(run, variants)), *_verification(variants), *_failures(run)]
    sentence = "; ".join(said)
    starts_with_name = any(sentence.startswith(variant.label) for variant in variants)
    return f"{sentence[:1] if starts_with_name else sentence[:1].upper()}{sentence[1:]}."


def key_figures(run: Run, variants: list[Variant]) -> list[KeyFigure]:
    """The fastest and its lead in each precision and device, who learned, who was verified, and the noise floor."""
    comparisons = compare_all(run, variants)
    speeds = [figure for place in find_places(variants) for figure in _speed_figures(place, comparisons)]
    floors = [_floor_figure(item) for item in comparisons if item.is_a_a]
    learning = _learning_figures(judge_learning(run, variants))
    return [*speeds, *learning, *_verification_figures(variants), *floors]


def describe_shortly(run: Run) -> str:
    """Network, task, number format, device and machine, in a few words."""
    configuration, environment = run.file.configuration, run.file.environment
    model = configuration.get("model", {})
    cells = run.ok_cells or run.cells
    network = f"{model['layers']} x {model['hidden']} LSTM" if {"layers", "hidden"} <= model.keys() else "LSTM"
    parts = [
        network,
        f"copy task, {lengths(run.task.min_length, run.task.max_length)}",
        " and ".join(sorted({f"{cell.precision} on {cell.device or 'an unknown device'}" for cell in cells})),
        str(environment.get("cpu") or ""),
        run.file.created[:10],
    ]
    return ", ".join(part for part in parts if part)


def _speeds(places: list[Place], comparisons: list[Comparison]) -> Iterator[str]:
    if not places:
        yield "no implementation gave a throughput that can be ranked"
    for place in places:
        yield (f"in {place.name}, " if len(places) > 1 else "") + _speed(place, comparisons)


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


def _doubtful_floor(comparisons: list[Comparison]) -> Iterator[str]:
    for item in comparisons:
        if item.is_a_a and excludes_one(item.ratio):
            yield f"the noise floor is doubtful, as {item.left} differs from itself by {_off(item)}"


def _off(item: Comparison) -> str:
    return percent(abs(item.ratio.estimate - 1))


def _learning(found: list[Learning]) -> Iterator[str]:
    if not found:
        return
    n_learned = sum(item.has_learned for item in found)
    shown = f"bit error {_error_range(found)}"
    if len(found) == 1:
        yield f"it {'learned' if n_learned else 'did not learn'} the task ({shown})"
    elif n_learned == len(found):
        yield f"all {n_learned} learned the task ({shown})"
    elif n_learned:
        yield f"only {n_learned} of {len(found)} learned the task ({shown})"
    else:
        yield f"none of the {len(found)} learned the task in this run ({shown}, where guessing has 50 %)"


def _verification(variants: list[Variant]) -> Iterator[str]:
    wrong = [variant.label for variant in variants if variant.verified is False]
    unknown = [variant.label for variant in variants if variant.verified is None]
    if wrong:
        yield f"{join(wrong)} did not pass verification"
    if unknown:
        yield f"{join(unknown)} {'was' if len(unknown) == 1 else 'were'} not checked against the reference"
    if variants and not wrong and not unknown:
        yield f"{'it' if len(variants) == 1 else 'every one'} was verified against the reference"


def _failures(run: Run) -> Iterator[str]:
    if n_failed := len(run.cells) - len(run.ok_cells):
        yield f"{n_failed} of {count(len(run.cells), 'cell')} did not end ok"


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


def _learning_figures(found: list[Learning]) -> Iterator[KeyFigure]:
    if found:
        n_learned = sum(item.has_learned for item in found)
        yield KeyFigure("Learned the task", f"{n_learned} of {len(found)}", f"bit error {_error_range(found)}")


def _verification_figures(variants: list[Variant]) -> Iterator[KeyFigure]:
    if variants:
        n_verified = sum(variant.verified is True for variant in variants)
        yield KeyFigure("Verified", f"{n_verified} of {len(variants)}", "against the reference, before timing")


def _floor_figure(item: Comparison) -> KeyFigure:
    bounds = span(ratio(item.ratio.low), ratio(item.ratio.high)) or "one pair of processes"
    return KeyFigure("Noise floor", f"{ratio(item.noise_floor)} times", f"{item.left} against itself: {bounds}")


def _error_range(found: list[Learning]) -> str:
    """The least and the largest bit error, once where they are shown alike; at least one."""
    errors = [item.bit_error for item in found if item.bit_error is not None]
    return span(percent(min(errors)), percent(max(errors)))
