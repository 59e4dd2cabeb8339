"""The report in words: what was run and what can be concluded from it, computed from the records."""

from __future__ import annotations

from harness.analysis.analysis import Analysis
from harness.analysis.distance import LossDistance
from harness.analysis.learned import Learning
from harness.analysis.measures import LEARNED_BIT_ERROR
from harness.analysis.variants import Variant
from harness.records.structs import Run
from harness.report.learning_words import conclude_learning, describe_target
from harness.report.quantities import amount, count, count_between, integer, join, percent, span
from harness.report.speed_words import conclude_speed
from harness.task.recipe import TrainConfig

OPTIMIZER_NAMES = {"adam": "Adam", "rmsprop": "RMSProp"}
CLIPPING_WORDS = {"element": "each element of a gradient within {0} of 0", "norm": "gradients clipped to a norm of {0}"}
WIRING_WORDS = {
    "input_to_every_layer": "the input to every layer",
    "every_layer_to_output": "every layer to the output",
    "learned_initial_state": "a learned initial state",
}


def describe_run(run: Run) -> str:
    """One paragraph: task, model, parameters, recipe, repetition and machine."""
    parts = [_task(run), _model(run), _recipe(run), _repetition(run), _machine(run)]
    return " ".join(part for part in parts if part)


def conclude(analysis: Analysis) -> list[str]:
    """One sentence or two for each thing the run shows, and for what it cannot show."""
    found = [*conclude_speed(analysis), _caution(analysis.variants)]
    if analysis.run.is_about_learning:
        found += [*_learning(analysis.run, analysis.learnings), *conclude_learning(analysis)]
    found += [_distance(analysis.distances), _doubt(analysis), _failures(analysis)]
    return [sentence for sentence in found if sentence]


def _task(run: Run) -> str:
    task = run.task
    return (
        f"The copy task: each sequence shows {count_between(task.min_length, task.max_length, 'random vector')} of"
        f" {count(task.bits, 'bit')}, and the network must then reproduce them."
    )


def _model(run: Run) -> str:
    model = run.file.configuration.model
    counts = sorted({cell.n_parameters for cell in run.cells if cell.n_parameters is not None})
    parameters = f", {' or '.join(integer(count) for count in counts)} parameters" if counts else ""
    sizes = f"{count(model.layers, 'stacked LSTM layer')} of {count(model.hidden, 'unit')}"
    further = [words for switch, words in WIRING_WORDS.items() if getattr(model, switch)]
    wiring = f", with {join(further)}" if further else ""
    wired = len(further) == len(WIRING_WORDS)
    inferred = " The paper does not state this wiring: it is inferred from its number of parameters." if wired else ""
    return f"The network: {sizes} and a sigmoid layer{parameters}{wiring}.{inferred}"


def _recipe(run: Run) -> str:
    """Optimiser, clipping and the length of training."""
    optimizer, train = run.file.configuration.optimizer, run.file.configuration.train
    length = f"{count(train.steps, 'step')} of {count(train.batch, 'sequence')}"
    name = OPTIMIZER_NAMES.get(optimizer.kind, optimizer.kind)
    clipping = CLIPPING_WORDS.get(optimizer.clip, "").format(amount(optimizer.clip_value))
    parts = [length, f"by {name}{_learning_rate(train)}", clipping]
    return f"Training: {', '.join(part for part in parts if part)}."


def _learning_rate(train: TrainConfig) -> str:
    said = f" with a learning rate of {amount(train.learning_rate)}"
    if train.warmup_steps:
        said += f", which it reaches over {count(train.warmup_steps, 'step')}"
    return f"{said}, then down to 0 along a cosine" if train.schedule == "cosine" else said


def _repetition(run: Run) -> str:
    seeds = sorted({cell.seed for cell in run.cells})
    repeats = _repeats(run)
    pair = run.file.a_a
    again = f" {pair.backend} {pair.implementation} ran twice as often, for comparison with itself." if pair else ""
    return (
        f"Preset {run.file.preset or 'unknown'}; seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds)) or 'none'};"
        f" {repeats} repeat{'s' * (repeats > 1)}, each cell in a fresh process.{again}"
    )


def _machine(run: Run) -> str:
    environment = run.file.environment
    devices = sorted({cell.device for cell in run.cells if cell.device})
    named = {
        "{}": environment.get("cpu"),
        "{} core{s}": environment.get("physical_cores"),
        "Python {}": environment.get("python"),
        "device {}": ", ".join(devices),
        "{} thread{s}": run.file.resources.threads,
    }
    known = [pattern.format(value, s="s" * (value != 1)) for pattern, value in named.items() if value]
    created = f" Run at {run.file.created}." if run.file.created else ""
    return (f"Machine: {', '.join(known)}." if known else "") + created


def _repeats(run: Run) -> int:
    return max((cell.repeat for cell in run.own_cells), default=0) + 1


def _caution(variants: list[Variant]) -> str:
    timed = [variant for variant in variants if variant.rates]
    if not timed or any(len(variant.rates) > 1 for variant in timed):
        return ""
    return (
        "Each rate is that of one process, so it carries no interval: a difference of a few per cent may change sign in"
        " another run."
    )


def _learning(run: Run, found: list[Learning]) -> list[str]:
    learned = [_error_text(item) for item in found if item.has_learned]
    failed = [_error_text(item) for item in found if not item.has_learned]
    asked = describe_target(run.target) or f"at most {percent(LEARNED_BIT_ERROR)} wrong bits"
    trained = span(integer(run.task.min_length), integer(run.task.max_length))
    where = f"bit error over the trained lengths ({trained})"
    sentences = []
    if learned:
        who = "Every implementation" if not failed else "Some implementations"
        sentences.append(f"{who} learned the task ({asked}); {where}: {join(learned)}. Chance is 50 %.")
    if failed:
        sentences.append(f"Did not learn the task ({asked}); {where}: {join(failed)}. Chance is 50 %.")
    return sentences


def _error_text(item: Learning) -> str:
    some = f", {item.n_learned} of {item.n_cells} trainings learned" if 0 < item.n_learned < item.n_cells else ""
    return f"{percent(item.bit_error)} ({item.variant.marked_label}{some})"


def _distance(distances: list[LossDistance]) -> str:
    if not distances:
        return ""
    largest = max(item.largest_relative_distance_first_100 for item in distances)
    return (
        f"On the same seed, the training losses of any two implementations differ by at most {percent(largest)}"
        " over the first 100 steps."
    )


def _doubt(analysis: Analysis) -> str:
    refuted, unchecked = ([each.label for each in found] for found in (analysis.refuted, analysis.unchecked))
    sentences = [f"Did not pass verification, so listed but not ranked: {join(refuted)}."] if refuted else []
    sentences += [f"Not checked against the reference on this run: {join(unchecked)}."] if unchecked else []
    return " ".join(sentences)


def _failures(analysis: Analysis) -> str:
    n_cells, n_failed = len(analysis.run.cells), len(analysis.not_ok)
    if not n_cells:
        return "The run has no cells."
    if not n_failed:
        return f"All {n_cells} cells ended ok." if n_cells > 1 else "The only cell ended ok."
    return f"{n_failed} of {count(n_cells, 'cell')} did not end ok; the reasons are listed below."
