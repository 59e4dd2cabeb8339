"""The conclusion in one sentence, and the few figures that it stands on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from harness.report import measures
from harness.report.comparisons import Comparison, compare_all
from harness.report.quantities import count, join, lengths, number, percent, ratio, span
from harness.report.records import Run
from harness.report.variants import Variant, find_lost
from harness.stats import ENOUGH_SAMPLES, shows_difference

CHANCE = 0.5
LEARNED = CHANCE / 2


@dataclass(frozen=True)
class KeyFigure:
    """A figure to be seen at a glance: what it is, its value, and what the value means."""

    name: str
    value: str
    note: str


def conclude_in_one_sentence(run: Run, variants: list[Variant]) -> str:
    """Which is fastest, by how much and how sure that is; did all learn; was everything verified."""
    comparisons = compare_all(run, variants)
    said = [*_speeds(variants, comparisons), *_doubtful_floor(comparisons)]
    said += [*_learning(run, variants), *_verification(variants), *_failures(run)]
    sentence = "; ".join(said)
    starts_with_name = any(sentence.startswith(variant.label) for variant in variants)
    return f"{sentence[:1] if starts_with_name else sentence[:1].upper()}{sentence[1:]}."


def key_figures(run: Run, variants: list[Variant]) -> list[KeyFigure]:
    """The fastest and its lead in each precision and device, who learned, who was verified, and the noise floor."""
    comparisons = compare_all(run, variants)
    speeds = [figure for ranked in _by_place(variants) for figure in _speed_figures(ranked, comparisons)]
    floors = [_floor_figure(item) for item in comparisons if item.is_a_a]
    return [*speeds, *_learning_figures(run, variants), *_verification_figures(variants), *floors]


def bit_errors(run: Run, variants: Iterable[Variant]) -> dict[Variant, float]:
    """The median bit error over the trained lengths, 0..1, of each variant that has one."""
    errors = {v: measures.median(measures.bit_error(cell, run.task) for cell in v.cells) for v in variants}
    return {variant: error for variant, error in errors.items() if error is not None}


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


def _by_place(variants: list[Variant]) -> list[list[Variant]]:
    """The ranked variants of each precision and device, the fastest first."""
    places: dict[tuple[str, str], list[Variant]] = {}
    for variant in variants:
        if variant.is_ranked:
            places.setdefault((variant.precision, variant.device), []).append(variant)
    return list(places.values())


def _speeds(variants: list[Variant], comparisons: list[Comparison]) -> Iterator[str]:
    places = _by_place(variants)
    if not places:
        yield "no implementation gave a throughput that can be ranked"
    for ranked in places:
        where = f"in {ranked[0].precision} on {ranked[0].device}, " if len(places) > 1 else ""
        yield where + _speed(ranked, comparisons)


def _speed(ranked: list[Variant], comparisons: list[Comparison]) -> str:
    fastest, *others = ranked
    if not others:
        rate = number(fastest.sequences_per_s)
        return f"{fastest.label} trained {rate} sequences a second, the only implementation to be ranked"
    compared = _from(ranked, comparisons)
    if not compared:
        return f"{fastest.label} trained fastest"
    close = [item.right for item in compared if item.conclusion == "no difference shown"]
    if close:
        return f"{fastest.label} trained fastest, but no difference is shown between it and {join(close)}"
    lead = compared[0]
    return f"{fastest.label} trained fastest, {ratio(lead.ratio.estimate)} times as fast as {lead.right}{_sure(lead)}"


def _from(ranked: list[Variant], comparisons: list[Comparison]) -> list[Comparison]:
    """How the fastest compares with the others of its place, the next fastest first."""
    fastest, *others = (variant.label for variant in ranked)
    return [item for item in comparisons if item.left == fastest and item.right in others and not item.is_a_a]


def _sure(lead: Comparison) -> str:
    bounds = span(ratio(lead.ratio.low), ratio(lead.ratio.high))
    if not bounds:
        return " (one process each, so without an interval)"
    few = f", from only {lead.repeats} pairs of processes" if lead.repeats < ENOUGH_SAMPLES else ""
    return f" (95 % interval {bounds}{few})"


def _doubtful_floor(comparisons: list[Comparison]) -> Iterator[str]:
    for item in comparisons:
        if item.is_a_a and shows_difference(item.ratio):
            yield f"the noise floor is doubtful, as {item.left} differs from itself by {_off(item)}"


def _off(item: Comparison) -> str:
    return percent(abs(item.ratio.estimate - 1))


def _learning(run: Run, variants: list[Variant]) -> Iterator[str]:
    errors = bit_errors(run, variants)
    learned = [variant for variant, error in errors.items() if error < LEARNED]
    if not errors:
        return
    # What was started and never ended ok has no bit error, and did not learn.
    n = len(errors) + len(find_lost(run))
    shown = f"bit error {_range(errors.values())}"
    if n == 1:
        yield f"it {'learned' if learned else 'did not learn'} the task ({shown})"
    elif len(learned) == n:
        yield f"all {n} learned the task ({shown})"
    elif learned:
        yield f"only {len(learned)} of {n} learned the task ({shown})"
    else:
        yield f"none of the {n} learned the task in this run ({shown}, where guessing has 50 %)"


def _range(errors: Iterable[float]) -> str:
    known = list(errors)
    return span(percent(min(known)), percent(max(known)))


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


def _speed_figures(ranked: list[Variant], comparisons: list[Comparison]) -> Iterator[KeyFigure]:
    fastest = ranked[0]
    rate = fastest.speed.sequences_per_s if fastest.speed else None
    width = f" ± {percent(rate.relative_half_width)}" if rate and rate.relative_half_width is not None else ""
    yield KeyFigure("Fastest in training", fastest.label, f"{number(fastest.sequences_per_s)} sequences/s{width}")
    for lead in _from(ranked, comparisons)[:1]:
        bounds = span(ratio(lead.ratio.low), ratio(lead.ratio.high))
        value = "none shown" if lead.conclusion == "no difference shown" else f"{ratio(lead.ratio.estimate)} times"
        yield KeyFigure("Lead over the next", value, f"{bounds or 'one pair of processes'}, over {lead.right}")


def _learning_figures(run: Run, variants: list[Variant]) -> Iterator[KeyFigure]:
    errors = bit_errors(run, variants)
    if errors:
        n_learned, n = sum(error < LEARNED for error in errors.values()), len(errors) + len(find_lost(run))
        yield KeyFigure("Learned the task", f"{n_learned} of {n}", f"bit error {_range(errors.values())}")


def _verification_figures(variants: list[Variant]) -> Iterator[KeyFigure]:
    if variants:
        n_verified = sum(variant.verified is True for variant in variants)
        yield KeyFigure("Verified", f"{n_verified} of {len(variants)}", "against the reference, before timing")


def _floor_figure(item: Comparison) -> KeyFigure:
    bounds = span(ratio(item.ratio.low), ratio(item.ratio.high)) or "one pair of processes"
    return KeyFigure("Noise floor", ratio(item.ratio.estimate), f"{bounds}: {item.left} against itself")
