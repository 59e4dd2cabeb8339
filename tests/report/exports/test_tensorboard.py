"""Event files, read by TensorBoard's own reader."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.records.reading import read_run
from harness.records.structs import Run
from harness.report.exports.tensorboard import BIT_ERROR, LOSS, SPEED
from tests.command import PROJECT, invoke


def read_scalars(folder: Path) -> dict[str, dict[int, float]]:
    """Values by tag and step."""
    # Tells TensorBoard to do without TensorFlow, which would take seconds to import.
    sys.modules.setdefault("tensorboard.compat.notf", sys)
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(folder), size_guidance={"scalars": 0})
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    return {tag: {event.step: event.value for event in accumulator.Scalars(tag)} for tag in tags}


@pytest.fixture
def exported(make_run: Any, tmp_path: Path) -> tuple[Run, Path]:
    folder = make_run("run")
    finished = invoke("export", folder, "--format", "tensorboard", "--out", tmp_path / "events")
    assert finished.exit_code == 0, finished.output
    return read_run(folder), tmp_path / "events"


def test_every_loss_and_measure_is_read_back(exported: tuple[Run, Path]) -> None:
    run, folder = exported
    assert {path.name for path in folder.iterdir()} == {cell.cell for cell in run.ok_cells}
    cell = run.ok_cells[0]
    scalars = read_scalars(folder / cell.cell)
    assert cell.losses is not None
    assert list(scalars[LOSS].values()) == pytest.approx(cell.losses)
    assert list(scalars[LOSS]) == list(range(1, len(cell.losses) + 1))
    assert cell.chunks is not None
    assert scalars[SPEED][11] == pytest.approx(10 * run.batch / cell.chunks.train_s[1])
    assert cell.evaluation is not None
    assert scalars[BIT_ERROR] == pytest.approx({item.length: item.bit_error for item in cell.evaluation.lengths})


def test_names_of_files_do_not_tell_the_machine(exported: tuple[Run, Path]) -> None:
    names = [path.name for path in exported[1].rglob("events*")]
    assert names
    assert not [name for name in names if socket.gethostname() in name or "unfinished" in name]


def test_a_folder_that_exists_and_one_not_named_are_refused(make_run: Any, tmp_path: Path) -> None:
    folder = make_run("run")
    for arguments, advice in ([], "name it with --out"), (["--out", str(tmp_path)], "name a new folder"):
        finished = invoke("export", folder, "--format", "tensorboard", *arguments)
        assert finished.exit_code == 2
        assert advice in finished.output


def test_without_tensorboardx_the_advice_names_the_extra(make_run: Any, tmp_path: Path) -> None:
    code = (
        "import sys, importlib.util as u; find = u.find_spec;"
        "u.find_spec = lambda name, *rest: None if name == 'tensorboardX' else find(name, *rest);"
        "from harness.cli import main; main()"
    )
    arguments = ["export", str(make_run("run")), "--format", "tensorboard", "--out", str(tmp_path / "events")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    finished = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert finished.returncode == 2
    assert "pip install '.[export]'" in finished.stderr
    assert not (tmp_path / "events").exists()


def test_writing_imports_no_tensorflow(make_run: Any, tmp_path: Path) -> None:
    code = "import sys; from harness.cli import main\ntry: main()\nfinally: print('tensorflow' in sys.modules)"
    arguments = ["export", str(make_run("run")), "--format", "tensorboard", "--out", str(tmp_path / "events")]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    finished = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, env=environment)
    assert finished.stdout.strip() == "False", finished.stderr
