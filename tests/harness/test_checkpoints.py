"""A cell that is killed in the middle and resumed ends as one that never stopped: the same losses and parameters."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends import BACKENDS, FRAMEWORKS
from harness.checkpoints import checkpoint_path, read_checkpoint, write_checkpoint
from harness.protocol import Message

PROJECT = Path(__file__).parents[2]
FAKES = PROJECT / "tests" / "fakes"
SETTINGS = {
    **{"model.hidden": 4, "model.layers": 2, "task.max_length": 3, "evaluate.sequences": 5, "evaluate.test_batches": 1},
    **{"train.batch": 4, "train.chunk": 2, "train.steps": 20, "train.warmup_steps": 5},
    "evaluate.validation_batches": 1,
    # Between any two chunks.
    "train.checkpoint_every_s": 1e-9,
}
KEPT = ("losses", "evaluation", "n_parameters", "target_reached")


def run(backend: str, folder: Path, *options: str, kill_at: int | None = None) -> subprocess.CompletedProcess[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(PROJECT), str(FAKES)])}
    if kill_at is not None:
        trigger = folder.parent / "kill_at"
        trigger.write_text(str(kill_at))
        environment["KILL_AT"] = str(trigger)
    command = [sys.executable, "-m", "harness", "run", "--backend", backend, *settings, *options]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=300)


def read_cell(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The only record of a run and its parameters."""
    (path,) = (folder / "cells").glob("*.json")
    return json.loads(path.read_text()), load_file(path.with_suffix(".safetensors"))


def assert_same_training(left: Path, right: Path) -> None:
    (ours, parameters), (theirs, expected) = read_cell(left), read_cell(right)
    assert {name: ours[name] for name in KEPT} == {name: theirs[name] for name in KEPT}
    assert ours["chunks"]["steps"] == theirs["chunks"]["steps"]
    assert {name: array.tobytes() for name, array in parameters.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


def test_a_killed_cell_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    name, stopped, whole = "fake_backends.forgetful", tmp_path / "stopped", tmp_path / "whole"
    assert run(name, stopped, "--out", str(stopped), kill_at=12).returncode == 1
    (checkpoint,) = (stopped / "cells").glob("*.checkpoint.safetensors")
    finished = run(name, stopped, "--resume", str(stopped))
    assert "goes on after step 12" in finished.stdout
    assert run(name, whole, "--out", str(whole)).returncode == finished.returncode
    assert not checkpoint.exists()
    assert_same_training(stopped, whole)


def test_the_times_of_both_processes_are_in_the_record(tmp_path: Path) -> None:
    name, folder = "fake_backends.forgetful", tmp_path / "run"
    run(name, folder, "--out", str(folder), kill_at=12)
    (path,) = (folder / "cells").glob("*.checkpoint.safetensors")
    checkpoint = read_checkpoint(path)
    assert checkpoint is not None
    earlier, at_checkpoint = checkpoint.body["timeline"], checkpoint.body["history"]
    run(name, folder, "--resume", str(folder))
    record, _ = read_cell(folder)
    timeline, chunks = record["timeline"], record["chunks"]
    assert record["resumed_at_steps"] == [12]
    assert sum(chunks["steps"]) == 20
    assert chunks["train_s"][:6] == at_checkpoint["chunks"]["train_s"]
    assert np.diff(chunks["elapsed_s"]).min() > 0
    assert chunks["elapsed_s"][6] >= at_checkpoint["elapsed_s"] + chunks["train_s"][6]
    for stage in ("spawn_s", "import_s", "build_s", "total_s"):
        assert timeline[stage] > earlier[stage]
    parts = sum(seconds for part, seconds in timeline.items() if part != "total_s")
    assert parts == pytest.approx(timeline["total_s"])
    # The first two calls of a shape are warm-up in each process.
    assert [place for place, warmup in enumerate(chunks["warmup"]) if warmup] == [0, 1, 6, 7]


@pytest.mark.parametrize("implementation", ["idiomatic", "tuned"])
@pytest.mark.parametrize("backend", [*FRAMEWORKS, "reference"])
def test_a_framework_resumes_bit_for_bit(backend: str, implementation: str, tmp_path: Path) -> None:
    if implementation not in BACKENDS[backend].implementations:
        pytest.skip(f"{backend} has no {implementation} implementation")
    if missing := BACKENDS[backend].missing_packages():
        pytest.skip(f"{', '.join(missing)} is not installed")
    wrapped = f"fake_backends.killed_{backend}_{implementation}"
    stopped, whole = tmp_path / "stopped", tmp_path / "whole"
    assert run(wrapped, stopped, "--out", str(stopped), kill_at=12).returncode == 1
    finished = run(wrapped, stopped, "--resume", str(stopped))
    assert "goes on after step 12" in finished.stdout
    run(wrapped, whole, "--out", str(whole))
    assert_same_training(stopped, whole)


def test_a_checkpoint_that_cannot_be_read_is_told_and_the_cell_starts_anew(tmp_path: Path) -> None:
    name, folder = "fake_backends.forgetful", tmp_path / "run"
    run(name, folder, "--out", str(folder), kill_at=12)
    (path,) = (folder / "cells").glob("*.checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    finished = run(name, folder, "--resume", str(folder))
    assert f"{path.name} cannot be read: " in " ".join(finished.stdout.split())
    assert "Traceback" not in finished.stdout + finished.stderr
    record, _ = read_cell(folder)
    assert (record["status"], record["resumed_at_steps"], len(record["losses"])) == ("ok", [], 20)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer.step": np.asarray(7, np.int64)}
    message = Message("checkpoint", {"history": {"losses": [0.5]}, "timeline": {}}, arrays)
    path = tmp_path / "cell.checkpoint.safetensors"
    write_checkpoint(path, message)
    read = read_checkpoint(path)
    assert read is not None
    assert read.body == message.body
    assert read.arrays["optimizer.step"].shape == ()
    np.testing.assert_array_equal(read.arrays["w"], arrays["w"])


def test_there_may_be_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(checkpoint_path(tmp_path, "cell")) is None


def test_other_safetensors_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": np.zeros(2, np.float32)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors cannot be read"):
        read_checkpoint(path)
