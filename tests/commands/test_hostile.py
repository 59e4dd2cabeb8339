"""Folders as hostile but real users name them: each command gives its result, or one line and an exit status."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import Result

from harness.records.schema import seal
from tests.command import PROJECT, Finished, command, environment, invoke
from tests.made_up_runs import make_failure

PREDICT = ("predict", "--lengths", "1")
EXPORTS = [("export", "--format", kind) for kind in ("pyperf", "pytest-benchmark", "tensorboard")]
READING: list[tuple[str, ...]] = [("report", "--json"), ("check",), ("compare", "--json"), PREDICT, *EXPORTS]


@pytest.fixture
def run(reference_run: Finished, tmp_path: Path) -> Path:
    return Path(shutil.copytree(reference_run.folder, tmp_path / "run"))


@pytest.fixture
def good(reference_run: Finished) -> Path:
    return reference_run.folder


def ask(asked: tuple[str, ...], folder: Path, good: Path, *, out: Path | None = None) -> Result:
    """The command on this folder; what it does not end with is a traceback."""
    name, *options = asked
    second = [good] if name == "compare" else []
    options += ["--out", str(out)] if out else []
    result = invoke(name, folder, *second, *options)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    return result


def assert_refused(result: Result, text: str) -> None:
    """Nothing on standard output, and one line on standard error that says this."""
    assert (result.exit_code, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert line.startswith("Error: ")
    assert text in line


@pytest.mark.parametrize("asked", [*READING, ("run", "--resume")], ids=" ".join)
@pytest.mark.parametrize("what", ["nothing", "an empty folder", "a file"])
def test_a_folder_that_holds_no_run_is_refused(asked: tuple[str, ...], what: str, tmp_path: Path, good: Path) -> None:
    folder = tmp_path / "folder"
    if what == "a file":
        folder.write_text("no run")
    elif what != "nothing":
        folder.mkdir()
    result = invoke(*asked, folder) if asked[0] == "run" else ask(asked, folder, good)
    assert_refused(result, str(folder))
    assert result.stderr.count(str(folder)) == 1
    assert "no run" in result.stderr


def empty(run: Path) -> None:
    description = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**description, "cells": []}))


def fail(run: Path) -> None:
    for path in (run / "cells").glob("*.json"):
        repeat = json.loads(path.read_text())["repeat"]
        path.write_text(json.dumps(seal(make_failure("reference", "killed", "killed by signal 9", repeat=repeat))))


def cut(pattern: str) -> Callable[[Path], None]:
    def cut_in_half(run: Path) -> None:
        for path in run.glob(pattern):
            path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    return cut_in_half


@pytest.mark.parametrize("make", [empty, fail, cut("cells/*.json")], ids=["empty", "failures", "cut in half"])
@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (("compare", "--json"), "has nothing that ended ok"),
        (PREDICT, "has no cell that ended ok"),
        (EXPORTS[0], "has no timed steps to export"),
        (EXPORTS[1], "has no timed steps to export"),
        (EXPORTS[2], "has no losses to export"),
    ],
)
def test_a_run_in_which_nothing_ended_ok_is_refused_where_that_is_needed(
    make: Callable[[Path], None], asked: tuple[str, ...], text: str, run: Path, good: Path, tmp_path: Path
) -> None:
    make(run)
    assert_refused(ask(asked, run, good), text)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "reason"), [(empty, ""), (fail, "killed by signal 9"), (cut("cells/*.json"), "its record cannot be read")]
)
def test_a_run_in_which_nothing_ended_ok_is_reported_and_checked(
    make: Callable[[Path], None], reason: str, run: Path, good: Path
) -> None:
    make(run)
    reported = ask(("report", "--json"), run, good)
    assert reported.exit_code == 0
    assert all(row["reason"].startswith(reason) for row in json.loads(reported.stdout)["summary"])
    assert reason in (run / "report.md").read_text()
    checked = ask(("check",), run, good)
    assert (checked.exit_code, checked.stderr) == (1, "")


@pytest.mark.parametrize("asked", [*(asked for asked in READING if asked != ("check",)), ("run", "--resume")])
def test_half_a_run_json_is_refused(asked: tuple[str, ...], run: Path, good: Path) -> None:
    cut("run.json")(run)
    result = invoke(*asked, run) if asked[0] == "run" else ask(asked, run, good)
    assert_refused(result, "run.json")


@pytest.mark.parametrize(
    ("pattern", "asked", "exit_code", "text"),
    [
        ("run.json", ("check",), 1, "run.json: it cannot be read"),
        ("cells/*.safetensors", ("check",), 1, "it is not the file of its record"),
        ("cells/*.safetensors", PREDICT, 2, "holds no parameters"),
        # Others are there.
        ("cells/*-r0.json", ("compare", "--json"), 0, '"ratio"'),
        ("cells/*-r0.json", EXPORTS[0], 0, '"benchmarks"'),
        ("cells/*-r0.json", ("check",), 1, "-r0.json: it cannot be read"),
    ],
)
def test_half_a_file_is_named_and_the_rest_is_read(
    pattern: str, asked: tuple[str, ...], exit_code: int, text: str, run: Path, good: Path
) -> None:
    cut(pattern)(run)
    result = ask(asked, run, good)
    assert result.exit_code == exit_code
    assert text in result.output


@pytest.fixture
def written(run: Path) -> Iterator[Path]:
    """A run that a process, this one, is at work in: a record is not there yet."""
    (run / "cells" / "reference-idiomatic-float32-seed0-r1.json").unlink()
    (run / "cells" / ".record.json.1.tmp").write_text("{")
    with (run / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield run


@pytest.mark.parametrize("asked", [("report", "--json"), ("check",), ("compare", "--json"), PREDICT, EXPORTS[0]])
def test_of_a_run_that_is_being_written_is_shown_what_is_there(
    asked: tuple[str, ...], written: Path, good: Path
) -> None:
    result = ask(asked, written, good)
    assert result.exit_code == (1 if asked == ("check",) else 0)
    assert result.stdout
    missing = "what it has not written yet counts as missing"
    assert result.stderr == f"Warning: process {os.getpid()} works in {written}; {missing}\n"


def test_a_run_that_is_being_written_is_not_resumed(written: Path) -> None:
    assert_refused(invoke("run", "--resume", written), f"is in use by process {os.getpid()}; one run at a time")


@pytest.mark.parametrize("asked", [("check",), PREDICT])
def test_a_run_that_was_moved_is_as_it_was(asked: tuple[str, ...], run: Path, good: Path, tmp_path: Path) -> None:
    moved = run.rename(tmp_path / "elsewhere, fürther")
    result = ask(asked, moved, good)
    assert result.exit_code == 0, result.output
    assert str(moved) in result.stdout


@pytest.mark.parametrize(
    ("asked", "text"), [(("report",), "the report of {} cannot be written"), (PREDICT, "{}/predictions cannot be")]
)
def test_what_is_in_the_way_is_said_before_anything_is_computed(
    asked: tuple[str, ...], text: str, run: Path, good: Path
) -> None:
    for name in ("tables", "predictions"):
        shutil.rmtree(run / name, ignore_errors=True)
        (run / name).write_text("a file")
    assert_refused(ask(asked, run, good), text.format(run))


@pytest.fixture
def read_only(run: Path) -> Iterator[Path]:
    folders = [run, *(path for path in run.rglob("*") if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    yield run
    for folder in folders:
        folder.chmod(0o755)


def without_privileges(*arguments: object) -> list[str]:
    """The command as one whom permissions bind: root is not, but without these capabilities."""
    if os.geteuid():
        return command(*arguments)
    capabilities = "--bounding-set=-dac_override,-dac_read_search"
    if shutil.which("setpriv") is None or subprocess.run(["setpriv", capabilities, "true"]).returncode:
        pytest.skip("root may write everywhere, and setpriv cannot change that")
    return ["setpriv", capabilities, *command(*arguments)]


@pytest.mark.parametrize(
    ("asked", "exit_code"), [(("report",), 2), (("run", "--resume"), 2), (PREDICT, 2), (("check",), 0)]
)
def test_a_run_that_cannot_be_written_to_is_read(asked: tuple[str, ...], exit_code: int, read_only: Path) -> None:
    started = without_privileges(*asked, read_only)
    finished = subprocess.run(
        started, capture_output=True, text=True, cwd=PROJECT, env=environment(), timeout=500, check=False
    )
    assert finished.returncode == exit_code, finished.stderr
    assert len(finished.stderr.splitlines()) == (1 if exit_code else 0)
    assert bool(exit_code) == ("Permission denied" in finished.stderr)


def test_a_preset_that_has_changed_is_refused_and_alone_of_no_interest(run: Path, tmp_path: Path) -> None:
    preset = tmp_path / "mine.toml"
    preset.write_text("[train]\nsteps = 11\n")
    description = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps({**description, "preset": str(preset)}))
    assert_refused(
        invoke("run", "--resume", run, "--preset", preset), f"{run} was run with task.max_length = 2, not 20; "
    )
    preset.write_text("[train\n")
    resumed = invoke("run", "--resume", run)
    assert resumed.exit_code == 0, resumed.output
    assert resumed.stdout.count("complete, kept") == 4
