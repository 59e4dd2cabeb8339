"""What the report says, once, for the Markdown and the HTML page: texts, tables and pictures, nothing escaped."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pandas as pd

from harness.report.cautions import Caution, find_cautions
from harness.report.learning_words import describe_target
from harness.report.quantities import setting
from harness.report.readable import Readable, compare_lengths, make_readable
from harness.report.records import Run
from harness.report.variants import Variant, short_label
from harness.report.words import conclude, describe_run


@dataclass(frozen=True)
class Picture:
    """A file in the run's folder, by its relative path."""

    path: str
    alternative: str


@dataclass(frozen=True)
class Section:
    heading: str
    text: str = ""
    pictures: list[Picture] = field(default_factory=list)
    tables: list[Readable] = field(default_factory=list)


@dataclass(frozen=True)
class Content:
    title: str
    description: str
    conclusions: list[str]
    cautions: list[Caution]
    sections: list[Section]
    command: str


def make_content(run: Run, variants: list[Variant], tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Content:
    """The whole report; `plots` are the names of the files in plots/."""
    sections = [
        _results(tables),
        _comparisons(tables),
        _throughput(run, tables, plots),
        _ceiling(tables),
        _learning(tables, plots),
        _quality(run, tables, plots),
        _lengths(run, variants, plots),
        _positions(plots),
        _copies(run, plots),
        _failures(tables),
        *_settings(run),
    ]
    return Content(
        title=f"Copy task benchmark: {run.file.preset or 'run'}",
        description=describe_run(run),
        conclusions=conclude(run, variants, tables),
        cautions=find_cautions(run, variants),
        sections=_explain_once([section for section in sections if section.tables or section.pictures]),
        command=run.file.command,
    )


def _explain_once(sections: list[Section]) -> list[Section]:
    """The sections with every column explained only where it is met first."""
    explained: set[tuple[str, str]] = set()
    return [
        replace(section, tables=[_explain_new(table, explained) for table in section.tables]) for section in sections
    ]


def _explain_new(table: Readable, explained: set[tuple[str, str]]) -> Readable:
    new = [meaning for meaning in table.meanings if meaning not in explained]
    explained.update(new)
    return replace(table, meanings=new)


def _results(tables: Mapping[str, pd.DataFrame]) -> Section:
    return Section("Results", "Ranked by training throughput.", tables=_readable(tables, "summary"))


def _comparisons(tables: Mapping[str, pd.DataFrame]) -> Section:
    text = (
        "Every pair on the same device and in the same precision, and one implementation against itself, whose ratio is"
        " the noise floor. Each interval is meant to miss the true ratio in one run of twenty, so among many pairs an"
        " interval that barely excludes 1 proves little."
    )
    return Section("Comparisons", text, tables=_readable(tables, "comparisons"))


def _throughput(run: Run, tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "Steady training steps only. A step's time is the mean of the call it was part of, so percentiles show the"
        " spread between calls. The second table shows where the time of each cell went."
    )
    if pair := run.file.a_a:
        text += (
            f" Repeats from {pair.first_repeat} on of {pair.backend} {pair.implementation} are its second set, which"
            " counts only in the comparison with itself."
        )
    picture = _picture(plots, "throughput.png", "Bars of training sequences a second")
    return Section("Throughput", text, picture, [*_readable(tables, "throughput"), *_readable(tables, "timeline")])


def _ceiling(tables: Mapping[str, pd.DataFrame]) -> Section:
    text = (
        "Each framework's own product of the matrices that the model is made of, timed between the cells. The best"
        " median of a precision and device is the ceiling that speeds are given as a share of."
    )
    return Section("Ceiling", text, tables=_readable(tables, "products"))


def _learning(tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "All implementations start from the same parameters and see the same batches, so on one seed their curves"
        " should lie on each other until rounding drives them apart. Lines are trailing means; the faint lines are"
        " the raw losses. The table gives the largest distance between the losses of two implementations."
    )
    picture = _picture(plots, "loss.png", "Training loss against the optimiser step")
    return Section("Learning", text, picture, _readable(tables, "loss_distance"))


def _quality(run: Run, tables: Mapping[str, pd.DataFrame], plots: list[str]) -> Section:
    text = (
        "Measured on data that neither training nor the test set holds. A star marks where a seed first met the target."
        " Differences are paired: the same seed starts from the same parameters and sees the same data."
    )
    if run.target.exists:
        text = f"The target is {describe_target(run.target)}. {text}"
    picture = _picture(plots, "quality.png", "Seed loss and wrong bits against training sequences and seconds")
    shown = [*_readable(tables, "time_to_target"), *_readable(tables, "quality_comparisons")]
    return Section("Quality", text, picture, shown)


def _positions(plots: list[str]) -> Section:
    text = "Where in the pattern the wrong bits are; the shaded part is its middle third."
    picture = _picture(plots, "bit_error_by_position.png", "Bit error against the position in the pattern")
    return Section("Bit error by position", text, picture)


def _lengths(run: Run, variants: list[Variant], plots: list[str]) -> Section:
    text = (
        f"Training showed lengths {run.task.min_length} to {run.task.max_length}; beyond that is generalisation."
        " Zero wrong bits lie on the lower edge of the plot."
    )
    picture = _picture(plots, "bit_error_by_length.png", "Bit error against the length of the pattern")
    compared = compare_lengths(run, variants)
    return Section("Bit error by length", text, picture, [compared] if compared.rows else [])


def _copies(run: Run, plots: list[str]) -> Section:
    names = [(cell.cell, f"copies_{cell.cell}.png") for cell in run.drawn_cells]
    pictures = [picture for cell, name in names for picture in _picture(plots, name, f"Copies by {cell}")]
    return Section("Copies", "Target above, prediction below; blue is 0, red is 1.", pictures)


def _failures(tables: Mapping[str, pd.DataFrame]) -> Section:
    return Section("What did not run, and why", tables=_readable(tables, "not_ok"))


def _settings(run: Run) -> list[Section]:
    """Environment, configuration and what each variant reports to be in force, as tables of names and values."""
    environment = run.file.environment | {"resources": run.file.resources}
    tables = {"Environment": environment, "Configuration": run.file.configuration, "Settings": _in_force(run)}
    return [_pairs_section(heading, values) for heading, values in tables.items()]


def _in_force(run: Run) -> dict[str, dict[str, str]]:
    """By variant: each setting, with every value that its processes reported."""
    settings: dict[str, dict[str, dict[str, None]]] = {}
    for cell in run.ok_cells:
        variant = settings.setdefault(short_label(run, cell), {})
        for name, value in _flatten(cell.settings or {}):
            variant.setdefault(name, {})[value] = None
    return {label: {name: " or ".join(values) for name, values in named.items()} for label, named in settings.items()}


def _pairs_section(heading: str, values: Mapping[str, Any]) -> Section:
    rows = [list(pair) for pair in _flatten(values)]
    return Section(heading, tables=[Readable(["name", "value"], rows, [False, False], [])] if rows else [])


def _flatten(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in values.items():
        if isinstance(value, dict):
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", setting(value)


def _readable(tables: Mapping[str, pd.DataFrame], name: str) -> list[Readable]:
    return [make_readable(name, tables[name])] if len(tables[name]) else []


def _picture(plots: list[str], name: str, alternative: str) -> list[Picture]:
    return [Picture(f"plots/{name}", alternative)] if name in plots else []
