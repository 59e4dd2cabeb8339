"""The runs to compare: read, named, and refused where they did not train the same thing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from string import ascii_uppercase
from typing import Any

from harness.analysis.analysis import Analysis, analyse
from harness.analysis.variants import Variant
from harness.records.reading import read_run
from harness.records.schema import flatten
from harness.records.structs import Run
from harness.task.presets import ConfigurationError

# What an optimiser step computes: where one of these differs, a ratio of speeds means nothing.
DECISIVE_SECTIONS = ("task", "model", "optimizer")
DECISIVE_KEYS = ("train.batch",)
# Neither how many steps are handed over at once, nor what is said of learning, nor what is timed after it changes what
# is learned.
WITHOUT_EFFECT_ON_LEARNING = ("train.chunk", "evaluate.learning", "inference.batch", "inference.rounds")

Key = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class ComparedRun:
    """A run with the letter it goes by in tables, and its variants by what identifies them in every run; labels names
    the variants of all runs, in short."""

    letter: str
    folder: Path
    analysis: Analysis
    variants: dict[Key, Variant]
    labels: dict[Key, str]

    @property
    def run(self) -> Run:
        return self.analysis.run


@dataclass(frozen=True)
class Difference:
    """A value that runs do not share: its dotted name, and what each has, by letter."""

    name: str
    values: dict[str, Any]

    @property
    def text(self) -> str:
        return f"{self.name} ({', '.join(f'{letter}: {value}' for letter, value in self.values.items())})"


def load_runs(folders: list[Path]) -> list[ComparedRun]:
    """The runs, the first of which the others are compared with.

    Raises ConfigurationError where one cannot be read, where they trained different things, and where no
    implementation and precision was measured in the first and in another.
    """
    if not 2 <= len(folders) <= len(ascii_uppercase):
        raise ConfigurationError(f"compare takes 2 to {len(ascii_uppercase)} runs' folders, not {len(folders)}")
    analyses = [analyse(read_run(folder)) for folder in folders]
    has_many_devices = any(len({cell.device for cell in each.run.ok_cells}) > 1 for each in analyses)
    variants = [{_identify(variant, has_many_devices): variant for variant in each.variants} for each in analyses]
    labels = _label(key for each in variants for key in each)
    runs = [
        ComparedRun(letter, folder, analysis, each, labels)
        for letter, folder, analysis, each in zip(ascii_uppercase, folders, analyses, variants, strict=False)
    ]
    _refuse_different_work(runs)
    _refuse_nothing_shared(runs)
    return runs


def recipe_differences(runs: list[ComparedRun]) -> list[Difference]:
    """Keys of the configuration that differ; one that a run does not have counts as this suite's default."""
    recipes = {run.letter: asdict(run.run.file.configuration) for run in runs}
    return find_differences({letter: flatten(recipe) for letter, recipe in recipes.items()})


def same_learning(runs: list[ComparedRun]) -> bool:
    """Whether the runs were to learn the same, so that what they learned can be compared."""
    return all(item.name in WITHOUT_EFFECT_ON_LEARNING for item in recipe_differences(runs))


def are_about_learning(runs: list[ComparedRun]) -> bool:
    """Whether none of the runs was for speed alone."""
    return all(run.run.is_about_learning for run in runs)


def find_differences(values: dict[str, dict[str, Any]]) -> list[Difference]:
    """By letter, flat values: those that are not equal in all; None where one has no such name."""
    names = dict.fromkeys(name for flat in values.values() for name in flat)
    differences = [Difference(name, {letter: flat.get(name) for letter, flat in values.items()}) for name in names]
    return [item for item in differences if not _are_equal(list(item.values.values()))]


def _are_equal(values: list[Any]) -> bool:
    return all(value == values[0] for value in values)


def _identify(variant: Variant, has_many_devices: bool) -> Key:
    """Devices tell variants apart only inside a run: between runs of one device each they are what is compared."""
    key = (variant.backend, variant.implementation, variant.precision)
    return (*key, variant.device) if has_many_devices else key


def _label(keys: Iterable[Key]) -> dict[Key, str]:
    """Backend and implementation, and the rest where the runs do not have it in common."""
    known = list(dict.fromkeys(keys))
    telling = [place for place in range(2, max(map(len, known), default=2)) if len({key[place] for key in known}) > 1]
    return {key: " ".join([*key[:2], *(key[place] for place in telling)]) for key in known}


def _refuse_different_work(runs: list[ComparedRun]) -> None:
    decisive = [item for item in recipe_differences(runs) if _is_decisive(item.name)]
    if decisive:
        differing = " and ".join(item.text for item in decisive)
        raise ConfigurationError(
            f"these runs did not train the same thing: {differing}. A ratio of their speeds would mean nothing;"
            " run them with the same preset and the same --set"
        )


def _is_decisive(name: str) -> bool:
    return name.partition(".")[0] in DECISIVE_SECTIONS or name in DECISIVE_KEYS


def _refuse_nothing_shared(runs: list[ComparedRun]) -> None:
    first = runs[0].variants.keys()
    if not any(first & run.variants.keys() for run in runs[1:]):
        measured = "; ".join(f"{run.letter} ({run.folder}) has {_names(run)}" for run in runs)
        raise ConfigurationError(f"there is nothing to compare, no implementation is in both: {measured}")


def _names(run: ComparedRun) -> str:
    return ", ".join(" ".join(key) for key in run.variants) if run.variants else "nothing that ended ok"
