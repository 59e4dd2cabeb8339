"""--json: exactly one document on standard output, whatever came of the command; all else is on standard error."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from harness.cli import main
from tests.command import SMALL, Finished, harness, invoke

RUN = "{run}"
FAILURE = "the third layer is on fire"
# Of each command, arguments with which it does its work, and a text of the answer; where something can fail, it does.
ANSWERED: dict[str, tuple[list[str], int, str]] = {
    "compare": ([RUN, RUN], 0, "sentences"),
    "env": ([], 0, "python"),
    "list": (["--backend", "reference"], 0, "n_parameters"),
    "report": ([RUN], 0, "reference"),
    "run": (["--backend", "raising", *SMALL], 1, FAILURE),
    "sweep": (["--backend", "raising", *SMALL, "--sweep", "batch=2"], 1, FAILURE),
    "verify": (["--backend", "raising", "--precision", "float32"], 1, FAILURE),
}
# And what it refuses.
REFUSED = {
    "compare": ["/nowhere"],
    "env": ["--device"],
    "list": ["--preset", "none"],
    "report": ["/nowhere"],
    "run": ["--seeds", "x"],
    "sweep": ["--sweep", "colour=2"],
    "verify": ["--backend", "none"],
}


def read_strictly(text: str) -> Any:
    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


def test_every_command_with_json_is_tested_here() -> None:
    having = {name for name, command in main.commands.items() if "as_json" in {each.name for each in command.params}}
    assert having == {*ANSWERED} == {*REFUSED}


@pytest.mark.parametrize("name", ANSWERED)
def test_there_is_one_document_also_where_something_fails(name: str, reference_run: Finished, tmp_path: Path) -> None:
    arguments, exit_code, text = ANSWERED[name]
    run = shutil.copytree(reference_run.folder, tmp_path / "run")
    out = ["--out", tmp_path / "out"] if name in ("run", "sweep") else []
    finished = harness(name, "--json", *(argument.format(run=run) for argument in arguments), *out)
    assert finished.returncode == exit_code, finished.stderr
    assert text in json.dumps(read_strictly(finished.stdout))


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_prints_none_and_a_line_on_standard_error(name: str) -> None:
    result = invoke(name, "--json", *REFUSED[name])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.splitlines()[-1].startswith("Error: ")


def test_with_quiet_too() -> None:
    finished = harness("verify", "--backend", "no_such.backend", "--json", "-q")
    assert (finished.returncode, len(read_strictly(finished.stdout))) == (1, 1)
    assert finished.stderr.startswith("no_such.backend idiomatic: ")
