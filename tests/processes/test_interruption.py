"""Ctrl-C, TERM and KILL, sent to real runs."""

from __future__ import annotations

import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from processes import Marked, ends

from tests.command import SMALL, Finished, command, environment, invoke, read_rows

PIPES: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}


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
        return {row["backend"]: row["status"] for row in read_rows(self.folder / "tables" / "timeline.csv")}


@contextmanager
def running(folder: Path, *names: str) -> Iterator[Run]:
    """A run of these backends, which goes on with the folder where there is one."""
    marked = Marked()
    target = ("--resume", folder) if folder.exists() else (*SMALL, "--out", folder)
    asked = command("run", "--backend", ",".join(names), *target)
    with subprocess.Popen(asked, env=environment(**{marked.variable: "1"}), start_new_session=True, **PIPES) as process:
        try:
            yield Run(process, folder, marked)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def linear_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "linear"
    with running(folder, "linear") as run:
        run.finish()
    return folder


@pytest.fixture
def begun(linear_run: Path, tmp_path: Path) -> Path:
    """A run in which one cell is complete."""
    return Path(shutil.copytree(linear_run, tmp_path / "run"))


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_the_workers_reports_and_leaves_a_folder_to_resume(
    number: signal.Signals, exit_code: int, begun: Path
) -> None:
    with running(begun, "linear", "waiting") as run:
        assert run.reaches("waiting", "*waiting*.log")
        run.process.send_signal(number)
        output = run.finish()
        assert run.process.returncode == exit_code
        assert not run.marked.pids()
    assert f"{number.name}: 1 of 2 cells done" in " ".join(output.split())
    assert run.cells() == {"linear": "ok", "waiting": "failed"}
    # The log of the attempt that was interrupted is among the attempts once the cell is begun again.
    with running(begun, "linear", "waiting") as again:
        assert ends(lambda: any((begun / "attempts").iterdir()))
        assert again.reaches("waiting", "*waiting*.log")
        again.process.send_signal(number)
        assert "complete, kept" in again.finish()
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
    asked = command("verify", "--backend", "absorbed", "--precision", "float32", "--ranks", ranks)
    variables = environment(**{marked.variable: "1"}, ABSORBED_IN=str(tmp_path))
    with subprocess.Popen(asked, env=variables, **PIPES) as verify:
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
    with running(begun, "waiting") as run:
        assert run.reaches("waiting", "*waiting*.log")
        with running(begun, "linear") as refused:
            _, errors = refused.process.communicate(timeout=60)
        assert refused.process.returncode == 2
        assert errors == f"Error: {begun} is in use by process {run.process.pid}; one run at a time\n"
        run.process.send_signal(signal.SIGKILL)
        run.process.wait()
        assert ends(lambda: not run.marked.pids())
    with running(begun, "linear") as again:
        assert "complete, kept" in again.finish()


@pytest.mark.parametrize("name", ["list", "predict", "sweep"])
def test_ctrl_c_ends_a_command_that_waits_for_a_worker_and_leaves_nothing(
    name: str, reference_run: Finished, tmp_path: Path
) -> None:
    """The worker waits while it imports a backend of the reader's own."""
    (tmp_path / "idle").mkdir()
    (tmp_path / "temporary").mkdir()
    (tmp_path / "idle" / "backend.py").write_text("import time\nopen('begun', 'w').close()\ntime.sleep(600)\n")
    swept = [*SMALL, "--sweep", "batch=2", "--out", tmp_path / "swept"]
    predicted = [reference_run.folder, "--lengths", 1, "--out", tmp_path / "predicted"]
    options = {"list": [], "predict": predicted, "sweep": swept}[name]
    marked, asked = Marked(), command(name, "--backend", "idle.backend", *options)
    variables = environment(TMPDIR=str(tmp_path / "temporary"), **{marked.variable: "1"})
    with subprocess.Popen(asked, env=variables, cwd=tmp_path, start_new_session=True, **PIPES) as process:
        assert ends(lambda: (tmp_path / "begun").exists() or process.poll() is not None)
        begun_s = time.monotonic()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
        # It is 5 on a machine with nothing else to do.
        assert time.monotonic() - begun_s < 15
    assert process.returncode == 130, errors
    assert "Traceback" not in output + errors
    assert ends(lambda: not marked.pids())
    assert not [*(tmp_path / "temporary").iterdir(), *tmp_path.rglob("*.tmp")]


@pytest.mark.parametrize(
    ("asked", "at_work"),
    [
        (("report", "{run}"), "os.fsync"),
        (("check", "{run}"), "harness.commands.check.report.write_analysis"),
        (("compare", "{run}", "{run}", "--json"), "harness.commands.compare.print_json"),
        (("export", "{run}", "--format", "pyperf"), "harness.commands.export.read_run"),
        (("env", "--json"), "harness.machine.describe_environment"),
    ],
)
def test_ctrl_c_ends_a_command_that_has_no_worker_and_leaves_nothing(
    asked: tuple[str, ...], at_work: str, reference_run: Finished, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    run = shutil.copytree(reference_run.folder, tmp_path / "run")
    before = sorted(run.rglob("*"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    monkeypatch.setattr(at_work, interrupt)
    result = invoke(*(part.format(run=run) for part in asked))
    assert (result.exit_code, result.stdout) == (130, "")
    assert sorted(run.rglob("*")) == before
    assert not list((tmp_path / "temporary").iterdir())
