"""Ctrl-C, TERM and KILL, sent to real runs."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from processes import Marked, ends

PROJECT = Path(__file__).parents[2]
SMALL = ["--set", "model.hidden=3", "--set", "model.layers=1", "--set", "task.max_length=2"]
SMALL += ["--set", "train.steps=4", "--set", "train.chunk=2", "--set", "train.batch=4"]


class Run:
    """A run with its folder, whose processes can be found."""

    def __init__(self, process: subprocess.Popen[str], folder: Path, marked: Marked) -> None:
        self.process, self.folder, self.marked = process, folder, marked

    def reaches(self, text: str, pattern: str = "*.log") -> bool:
        """Whether a log comes to hold the text."""
        return ends(lambda: any(text in path.read_text() for path in self.folder.glob(f"logs/{pattern}")))

    def finish(self) -> str:
        output, errors = self.process.communicate(timeout=60)
        assert "Traceback" not in output + errors
        return output

    def cells(self) -> dict[str, str]:
        with (self.folder / "tables" / "timeline.csv").open(newline="") as stream:
            return {row["backend"]: row["status"] for row in csv.DictReader(stream)}


@contextmanager
def running(folder: Path, *names: str, arguments: tuple[str, ...] = ()) -> Iterator[Run]:
    marked = Marked()
    paths = os.pathsep.join([str(PROJECT), str(PROJECT / "tests" / "fakes")])
    environment = {**os.environ, "PYTHONPATH": paths, marked.variable: "1"}
    # Workers take their turns in an order that the seed decides; one backend a run keeps the tests plain.
    backends = ",".join(names)
    target = arguments or ("--backend", backends, *SMALL, "--out", str(folder))
    command = [sys.executable, "-m", "harness", "run", *target]
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            yield Run(process, folder, marked)
        finally:
            process.kill()


@pytest.fixture
def begun(tmp_path: Path) -> Path:
    """A run in which one cell is complete, and in which a second would never end."""
    with running(tmp_path / "run", "linear") as run:
        run.finish()
    return tmp_path / "run"


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_workers_reports_and_leaves_a_folder_to_resume(
    number: signal.Signals, exit_code: int, begun: Path
) -> None:
    names = "linear,waiting"
    with running(begun, arguments=("--backend", names, "--resume", str(begun))) as run:
        assert run.reaches("waiting", "*waiting*.log")
        run.process.send_signal(number)
        output = run.finish()
        assert run.process.returncode == exit_code
        assert not run.marked.pids()
    assert f"{number.name}: 1 of 2 cells done" in " ".join(output.split())
    assert run.cells() == {"linear": "ok", "waiting": "failed"}
    with running(begun, arguments=("--backend", "linear", "--resume", str(begun))) as again:
        assert "complete, kept" in again.finish()
    # The log of the attempt that was interrupted is among the attempts once the cell is begun again.
    with running(begun, arguments=("--backend", "waiting", "--resume", str(begun))) as third:
        assert ends(lambda: any((begun / "attempts").iterdir()))
        assert third.reaches("waiting", "*waiting*.log")
        third.process.send_signal(number)
        third.finish()
    assert [path.name for path in (begun / "attempts").iterdir()] == ["waiting-idiomatic-float32-seed0-r0.1.log"]


def test_a_second_signal_ends_at_once_and_leaves_no_process(tmp_path: Path) -> None:
    with running(tmp_path / "run", "stubborn") as run:
        assert run.reaches("stubborn")
        run.process.send_signal(signal.SIGINT)
        # The worker heeds no TERM, so that the run is still waiting for it.
        assert run.reaches("heard TERM")
        run.process.send_signal(signal.SIGINT)
        assert run.process.wait(60) == 130
        assert ends(lambda: not run.marked.pids())
        assert not (run.folder / "report.html").exists()


@pytest.mark.parametrize("ranks", [1, 2])
def test_ctrl_c_ends_verify_within_5_seconds_and_leaves_no_process(ranks: int, tmp_path: Path) -> None:
    marked = Marked()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(PROJECT / "tests" / "fakes")])}
    environment |= {marked.variable: "1", "ABSORBED_IN": str(tmp_path)}
    command = [sys.executable, "-m", "harness", "verify", "--backend", "absorbed"]
    command += ["--precision", "float32", "--ranks", str(ranks)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, **pipes) as verify:
        assert ends(lambda: len([*tmp_path.iterdir()]) == ranks)
        begun_s = time.monotonic()
        verify.send_signal(signal.SIGINT)
        output, errors = verify.communicate(timeout=60)
        assert time.monotonic() - begun_s < 5
    assert verify.returncode == 130
    assert "Traceback" not in output + errors
    assert "SIGINT: 0 of 1 were judged" in output
    assert not marked.pids()


def test_nothing_outlives_a_parent_that_was_killed_even_in_native_code(tmp_path: Path) -> None:
    with running(tmp_path / "run", "numb") as run:
        assert run.reaches("numb")
        assert len(run.marked.pids()) >= 4, "the run, its worker, the guard and the worker's child"
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        assert ends(lambda: not run.marked.pids())


def test_a_second_run_in_the_same_folder_is_refused_in_one_line(begun: Path) -> None:
    with running(begun, arguments=("--backend", "waiting", "--resume", str(begun))) as run:
        assert run.reaches("waiting", "*waiting*.log")
        second = running(begun, arguments=("--backend", "linear", "--resume", str(begun)))
        with second as refused:
            _, errors = refused.process.communicate(timeout=60)
        assert refused.process.returncode == 2
        assert errors == f"Error: {begun} is in use by process {run.process.pid}; one run at a time\n"
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        assert ends(lambda: not run.marked.pids())
    with running(begun, arguments=("--backend", "linear", "--resume", str(begun))) as again:
        assert "complete, kept" in again.finish()
