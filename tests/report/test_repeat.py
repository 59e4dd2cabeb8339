"""The commands that repeat a run: each can be typed today, and none of them writes into the run that it repeats."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from msgspec import structs

from harness.cli import main
from harness.records.folder import read_description
from harness.records.structs import RunFile, Session
from harness.report.repeat import repeat
from harness.task.presets import load_preset
from tests.command import PROJECT

PUBLISHED = sorted(path.parent for path in (PROJECT / "results" / "published").glob("**/run.json"))
RUN = "python -m harness run"


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ([f"{RUN} --backend all"], [f"{RUN} --backend all"]),
        ([f"{RUN} --out a/b --repeats 6"], [f"{RUN} --repeats 6"]),
        ([f"{RUN} --out='a b' --set task.bits=4"], [f"{RUN} --set task.bits=4"]),
        ([f"{RUN} --seeds 0,1 --out a", f"{RUN} --resume a"], [f"{RUN} --seeds 0,1"]),
        (
            [f"{RUN} --out a", f"{RUN} --resume a --seeds 0,1", f"{RUN} --resume=a", f"{RUN} --seeds 2 --resume a"],
            [
                f"{RUN} --out results/again",
                f"{RUN} --resume results/again --seeds 0,1",
                f"{RUN} --resume results/again --seeds 2",
            ],
        ),
        ([f"{RUN} 'no end"], []),
        ([""], []),
    ],
)
def test_a_run_is_repeated_in_a_folder_of_its_own(stored: list[str], shown: list[str]) -> None:
    sessions = [Session("2026-11-25T01:05:12Z", command, {}) for command in stored]
    description = read_description(PUBLISHED[0])
    assert repeat(structs.replace(description, sessions=sessions)) == shown


@pytest.mark.parametrize("folder", PUBLISHED, ids=lambda folder: folder.name)
def test_todays_command_line_takes_those_of_every_published_run(folder: Path) -> None:
    """Read and not run, as they train for up to half an hour: options and presets are there."""
    description: RunFile = read_description(folder)
    commands = repeat(description)
    assert commands
    for line in commands:
        python, module, harness, name, *options = shlex.split(line)
        assert (python, module, harness) == ("python", "-m", "harness")
        asked = main.commands[name].make_context(name, options).params
        assert "published" not in line
        load_preset(asked["preset"], asked["overrides"])
