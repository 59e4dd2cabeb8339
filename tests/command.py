"""The command as people use it, in a process of its own, and what it answers in this one."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner, Result

from harness.cli import main

PROJECT = Path(__file__).parents[1]


class Finished(NamedTuple):
    """A run that has ended, and its folder."""

    process: subprocess.CompletedProcess[str]
    folder: Path


def settings(values: Mapping[str, object]) -> list[str]:
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


# What trains in a moment: four calls of `train` with three steps each.
SMALL = settings({"model.hidden": 3, "model.layers": 1, "task.max_length": 2})
SMALL += settings({"train.steps": 12, "train.chunk": 3, "train.batch": 4})


def environment(**variables: str) -> dict[str, str]:
    """What a process needs to find the suite wherever it starts, and to fill a terminal of 80 columns."""
    paths = os.pathsep.join([str(PROJECT), os.environ["PYTHONPATH"]])
    return {**os.environ, "PYTHONPATH": paths, "COLUMNS": "80", **variables}


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "harness", *map(str, arguments)]


def harness(*arguments: object, cwd: Path = PROJECT, **variables: str) -> subprocess.CompletedProcess[str]:
    """The command in a process of its own, with these environment variables besides ours."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=environment(**variables), timeout=500
    )


def invoke(*arguments: object) -> Result:
    """The command in this process, which starts in no time: for what is refused, and what needs no process to train."""
    return CliRunner().invoke(main, [*map(str, arguments)], env={"COLUMNS": "80"})


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a table, a CSV file."""
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))
