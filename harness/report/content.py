"""What the report says, once, for the Markdown and the HTML page: texts, tables and pictures, nothing escaped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
import pandas as pd

from harness.analysis.analysis import Analysis
from harness.analysis.quality import ENOUGH_SEEDS
from harness.analysis.variants import short_label
from harness.records.schema import flatten
from harness.records.structs import Run
from harness.report.cautions import Caution, find_cautions
from harness.report.headline import KeyFigure, conclude_in_one_sentence, describe_shortly, key_figures
from harness.report.learning_words import describe_target
from harness.report.quantities import count, lengths, setting
from harness.report.readable import Readable, compare_lengths, make_readable, rank
from harness.report.repeat import repeat
from harness.report.speed_words import describe_floor
from harness.report.verified import tabulate_verification
from harness.report.words import conclude, describe_run

COMPARED = (
    "Every pair of implementations on the same device in the same precision, and each implementation's precisions with"
    " each other. The left one is faster or slower only if the interval leaves out 1 and the ratio lies outside the"
    " noise floor; otherwise the run shows no difference. A machine was busy if other processes used its processors"
    " while these cells trained: nothing is concluded then. One interval in twenty misses the true ratio, so among many"
    " pairs an interval that barely leaves out 1 proves little. If there is a second set of one implementation, the"
    " last row compares it with itself: the end of its interval that lies farther from 1 is the noise floor."
)

SETTINGS_TEXTS = {
    "Environment": "The machine, its limits and every version; names of users, hosts and home folders are left out.",
    "Configuration": "The recipe in full.",
    "Settings": "The settings that each implementation reported while it trained.",
}
MOST_OPEN_ROWS = 24
RANKED_WHOLE = ("results", "comparisons")


@dataclass(frozen=True)
class Picture:
    """A file in the run's folder, by its relative path."""

    path: str
    alternative: str


@dataclass(frozen=True)
class Folded:
    """A table behind a summary that opens it; on paper there is nothing to open, so only what is_kept is printed."""

    summary: str
    table: Readable
    is_kept: bool = False


@dataclass(frozen=True)
class Section:
    """key names the section for the page, which marks some tables in its own way; links are pictures to be opened."""

    key: str
    heading: str
    text: str = ""
    pictures: list[Picture] = field(default_factory=list)
    links: list[Picture] = field(default_factory=list)
    tables: list[Readable] = field(default_factory=list)
    folded: list[Folded] = field(default_factory=list)
    cautions: list[Caution] = field(default_factory=list)

    @property
    def is_empty(self) -> bool:
        return not (self.tables or self.folded or self.pictures or self.cautions)


@dataclass(frozen=True)
class Content:
    """headline is the conclusion in one sentence, subtitle says shortly what was run and description at length;
    commands repeat it."""

    title: str
    subtitle: str
    headline: str
    key_figures: list[KeyFigure]
    conclusions: list[str]
    sections: list[Section]
    description: str
    commands: list[str]


def make_content(analysis: Analysis, tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Content:
    """The whole report; `plots` are the names of the files in plots/."""
    run = analysis.run
    sections = [
        _results(analysis, tables),
        _failures(tables),
        _learning(tables, plots),
        _quality(run, tables, plots),
        _lengths(analysis, plots),
        _positions(plots),
        _copies(analysis, plots),
        _time(tables, plots),
        _throughput(run, tables, plots),
        _ceiling(tables, plots),
        _costs(run, plots),
        _comparisons(analysis, tables),
        _warnings(analysis),
        _verification(run),
        *_settings(run),
    ]
    return Content(
        title=f"Copy task benchmark: {run.file.preset or 'run'}",
        subtitle=describe_shortly(run),
        headline=conclude_in_one_sentence(analysis),
        key_figures=key_figures(analysis),
        conclusions=conclude(analysis),
        sections=_explain_once([_fold_long(section) for section in sections if not section.is_empty]),
        description=describe_run(run),
        commands=repeat(run.file),
    )


def _fold_long(section: Section) -> Section:
    """The section with its long tables behind their summaries, but for those that it is there for."""
    if section.key in RANKED_WHOLE:
        return section
    long = [table for table in section.tables if len(table.rows) > MOST_OPEN_ROWS]
    folded = [Folded(f"All {len(table.rows)} rows", table, is_kept=True) for table in long]
    short = [table for table in section.tables if table not in long]
    return replace(section, tables=short, folded=[*folded, *section.folded])


def _explain_once(sections: list[Section]) -> list[Section]:
    """The sections with every column explained only where it is met first."""
    explained: set[tuple[str, str]] = set()
    return [
        replace(
            section,
            tables=[_explain_new(table, explained) for table in section.tables],
            folded=[replace(each, table=_explain_new(each.table, explained)) for each in section.folded],
        )
        for section in sections
    ]


def _explain_new(table: Readable, explained: set[tuple[str, str]]) -> Readable:
    new = [meaning for meaning in table.meanings if meaning not in explained]
    explained.update(new)
    return replace(table, meanings=new)


def _results(analysis: Analysis, tables: Mapping[str, pd.DataFrame]) -> Section:
    text = (
        "Ranked by training throughput, in sequences a second. Numbers are medians over fresh processes; those of speed"
        " are over the seeds and repeats that all ranked implementations of a precision and device have. An interval"
        " says where the true median lies, as far as the processes of this run can tell."
    )
    in_brief = [rank(analysis)] if analysis.summary else []
    return Section("results", "Ranking", text, tables=in_brief, folded=_fold("All measures", tables, "summary"))


def _failures(tables: Mapping[str, pd.DataFrame]) -> Section:
    return Section("failures", "What did not run, and why", tables=_readable(tables, "not_ok"))


def _learning(tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "All implementations start from the same parameters and see the same batches, so on one seed their curves"
        " should lie on each other until rounding drives them apart. Lines are trailing means over 1 % of the steps,"
        " medians over processes; a band is the range between processes. The table gives the largest distance between"
        " the losses of two implementations at the same step."
    )
    picture = _picture(plots, "loss.png", "Training loss against the optimiser step")
    distances = _fold("How far apart the losses are, as a table", tables, "loss_distance")
    return Section("learning", "Learning", text, picture, folded=distances)


def _lengths(analysis: Analysis, plots: list[str]) -> Section:
    task = analysis.run.task
    text = (
        "The bit error is the share of wrong bits in what the network gives back; guessing gets 50 % wrong."
        f" Training showed {lengths(task.min_length, task.max_length)}; longer patterns test"
        " generalisation, which an LSTM is not expected to manage. The plot shows 0 wrong bits at its lower edge."
    )
    picture = _picture(plots, "bit_error_by_length.png", "Bit error against the length of the pattern")
    compared = compare_lengths(analysis)
    folded = [Folded("Bit error by length, as a table", compared)] if compared.rows else []
    return Section("lengths", "Bit error", text, picture, folded=folded)


def _copies(analysis: Analysis, plots: list[str]) -> Section:
    text = (
        "One test sequence of each length: the input, the target, then what each network gave back. Time runs to the"
        " right; each row is one channel; the pattern is due in the second half. A strip below each copy shows its"
        " wrong bits."
    )
    lengths = dict.fromkeys(sequence.length for sequence in analysis.copies)
    cells = [cell.cell for cell in analysis.run.drawn_cells]
    return Section(
        key="copies",
        heading="Copies",
        text=text,
        pictures=_pictures(plots, {f"copies_length_{length}.png": f"Copies at length {length}" for length in lengths}),
        links=_pictures(plots, {f"copies_{cell}.png": f"Copies by {cell}" for cell in cells}),
    )


def _time(tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "Each process from its start to its end. The figure shows the process with the median total. Only the training"
        " steps count for the ranking; in a short run the rest takes most of the time."
    )
    picture = _picture(plots, "times.png", "Bars of the seconds that each part of a process took")
    folded = _fold("Every process, as a table", tables, "timeline")
    return Section("time", "Where the time went", text, picture, folded=folded)


def _throughput(run: Run, tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "Steady training steps only. One call may run several steps, and each of them is given the mean time of its"
        " call; so percentiles show the spread between calls."
    )
    if pair := run.file.a_a:
        text += (
            f" {pair.backend} {pair.implementation} ran a second set of repeats, from {pair.first_repeat} on, which"
            " count only in its comparison with itself."
        )
    picture = _picture(plots, "throughput.png", "Bars of training sequences a second")
    folded = _fold("Every process, as a table", tables, "throughput")
    return Section("throughput", "Speed of every process", text, picture, folded=folded)


def _ceiling(tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "How near each implementation comes to the most this machine can do. A training step is mostly matrix products."
        " Between the processes each framework's own product of a layer's matrices was timed. The best median in a"
        " precision on a device is the ceiling, whichever framework reached it. Speeds are in GFLOP/s, 1e9"
        " floating-point operations a second."
    )
    picture = _picture(plots, "ceiling.png", "Bars of the share of the ceiling")
    folded = _fold("Every product that was timed", tables, "products")
    return Section("ceiling", "Share of the machine's ceiling", text, picture, folded=folded)


def _costs(run: Run, plots: list[str]) -> Section:
    text = (
        "Medians over processes. Peak memory on a GPU is the most that the framework held there; on a CPU it is the"
        " most that the process held, less what it held just before it built the model. CPU time is that of all threads"
        " in the median training step: divided by the step's time it is how many processors were busy."
    )
    inference = run.file.configuration.inference
    if inference.rounds:
        text += (
            " Inference is that of the trained network, in the same process and after its evaluation, on sequences of"
            f" the longest trained length: calls with {count(inference.batch, 'sequence')}, and calls with one."
        )
    picture = _picture(plots, "costs.png", "Bars of peak memory, CPU time of a step, and inference")
    return Section("costs", "Memory, CPU time and inference", text, picture)


def _comparisons(analysis: Analysis, tables: Mapping[str, pd.DataFrame]) -> Section:
    text = f"{COMPARED} {describe_floor(analysis.a_a)}" if analysis.a_a else COMPARED
    return Section("comparisons", "Comparisons and the noise floor", text, tables=_readable(tables, "comparisons"))


def _warnings(analysis: Analysis) -> Section:
    text = "What makes the figures of this run doubtful, and what to do about it."
    return Section("warnings", "Warnings", text, cautions=find_cautions(analysis))


def _verification(run: Run) -> Section:
    measured = {worst.quantity for item in run.file.verification for worst in item.worst}
    own = (
        " Then each trained this run's own network at each of its shapes: parameters are those after one call of train,"
        " and momentum is the average of gradients that moved them."
    )
    text = (
        "Before anything was timed, each implementation computed a small network with this run's optimiser, and so did"
        f" a reference in NumPy and float64.{own if 'parameters' in measured else ''} Each column shows the relative"
        " error of the worst tensor (the norm of the difference over the norm of the reference's), and the most that is"
        " allowed. The command verify has many more cases."
    )
    table = tabulate_verification(run)
    return Section("verification", "Verification", text, tables=[table] if table else [])


def _quality(run: Run, tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "Measured on data that neither training nor the test set holds. Differences are paired: the same seed starts"
        " from the same parameters and sees the same data."
    )
    if run.target.exists:
        text = f"The target is {describe_target(run.target)}. {text}"
    picture = _picture(plots, "quality.png", "Original loss and wrong bits against training sequences and seconds")
    compared = tables["quality_comparisons"]
    enough = {"quality_comparisons": compared[compared["seeds_compared"] >= ENOUGH_SEEDS]}
    shown = [*_readable(tables, "time_to_target"), *_readable(enough, "quality_comparisons")]
    return Section("quality", "Quality, and the time to reach it", text, picture, tables=shown)


def _positions(plots: list[str]) -> Section:
    text = (
        "Where in the pattern the wrong bits are: the bit error at each position, median and range over processes. The"
        " network sees all vectors before it returns the first."
    )
    picture = _picture(plots, "bit_error_by_position.png", "Bit error against the position in the pattern")
    return Section("positions", "Bit error by position", text, picture)


def _settings(run: Run) -> list[Section]:
    """Environment, configuration and what each variant reports to be in force, as tables of names and values."""
    nodes = {"nodes": {node.node: node.hardware for node in run.file.nodes}} if run.file.nodes else {}
    environment = run.file.environment | {"resources": msgspec.to_builtins(run.file.resources)} | nodes
    tables = {
        "Environment": environment,
        "Configuration": run.file.configuration.to_dict(),
        "Settings": _in_force(run),
    }
    return [_pairs_section(heading, SETTINGS_TEXTS[heading], values) for heading, values in tables.items()]


def _in_force(run: Run) -> dict[str, dict[str, str]]:
    """By variant: each setting, with every value that its processes reported."""
    settings: dict[str, dict[str, dict[str, None]]] = {}
    for cell in run.ok_cells:
        variant = settings.setdefault(short_label(run, cell), {})
        for name, value in flatten(cell.settings or {}).items():
            variant.setdefault(name, {})[setting(value)] = None
    return {label: {name: " or ".join(values) for name, values in named.items()} for label, named in settings.items()}


def _pairs_section(heading: str, text: str, values: Mapping[str, Any]) -> Section:
    rows = [[name, setting(value)] for name, value in flatten(values).items()]
    table = Readable(["name", "value"], rows, [False, False], [])
    return Section(heading.lower(), heading, text, tables=[table] if rows else [])


def _readable(tables: Mapping[str, pd.DataFrame], name: str) -> list[Readable]:
    return [make_readable(name, tables[name])] if len(tables[name]) else []


def _fold(summary: str, tables: Mapping[str, pd.DataFrame], name: str) -> list[Folded]:
    return [Folded(summary, table) for table in _readable(tables, name)]


def _pictures(plots: list[str], named: Mapping[str, str]) -> list[Picture]:
    """Of the names that were drawn, with what they show."""
    return [Picture(f"plots/{name}", alternative) for name, alternative in named.items() if name in plots]


def _picture(plots: list[str], name: str, alternative: str) -> list[Picture]:
    return _pictures(plots, {name: alternative})
