"""A cell that is killed in the middle and resumed ends as one that never stopped: the same losses and parameters."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends import Backend, find_backend
from harness.cells.history import History
from harness.processes.process import Outcome, Resources
from harness.processes.runner import run_cell
from harness.records.checkpoints import checkpoint_path, read_checkpoint, write_checkpoint
from harness.records.identity import PlannedCell
from harness.records.messages import Checkpoint, Message, Phase, Progress
from harness.records.stages import STAGE_NAMES, TOTAL
from harness.records.structs import Making, Validated
from harness.task.copy_task import CopyTask
from harness.task.recipe import EvaluateConfig, ModelConfig, RunConfig, TargetConfig, TrainConfig
from tests.command import harness, settings
from tests.frameworks import each_implementation
from tests.outcomes import measured

KILLED_AT = 12
# A checkpoint between any two chunks.
ALWAYS_S = 1e-9
CONFIG = RunConfig(
    task=CopyTask(max_length=3, lengths_per_batch="one", padding="trimmed", time_multiple=4, steps_per_draw=3),
    model=ModelConfig(layers=2, hidden=4),
    train=TrainConfig(
        batch=4, steps=20, chunk=3, schedule="cosine", warmup_steps=5, evaluate_every=6, checkpoint_every_s=ALWAYS_S
    ),
    evaluate=EvaluateConfig(test_batches=1, validation_batches=1, sequences=5),
    target=TargetConfig(wrong_bits_per_sequence=100.0),
)
MADE_WITH = Making({"numpy": "2"}, "a processor")


class Interrupted:
    """Trains the cell of a wrapped backend in processes of its own, of which the first may be killed."""

    def __init__(self, wrapped: str, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.heard = folder, list[Message]()
        self.kill_at = folder / "kill_at"
        patch.setenv("WRAPPED", wrapped)
        patch.setenv("KILL_AT", str(self.kill_at))

    def train(self, *, from_checkpoint: Message | None = None) -> Outcome:
        cell = PlannedCell(find_backend("interrupted"), "idiomatic", "float32", 0, 0)
        log = self.folder / "cell.log"
        return run_cell(cell, CONFIG, Resources("cpu", 1), log, self.heard.append, from_checkpoint)

    def train_killed(self) -> Message:
        """The last checkpoint before a process was killed."""
        self.kill_at.write_text(str(KILLED_AT))
        outcome = self.train()
        assert outcome.status == "killed", outcome.reason
        return [message for message in self.heard if isinstance(message.body, Checkpoint)][-1]


@pytest.fixture(scope="module")
def resumed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Message, Outcome]:
    """A cell's last checkpoint before it was killed, and how it ended after that."""
    with pytest.MonkeyPatch.context() as patch:
        cell = Interrupted("resumable idiomatic", tmp_path_factory.mktemp("resumed"), patch)
        checkpoint = cell.train_killed()
        return checkpoint, cell.train(from_checkpoint=checkpoint)


@pytest.mark.parametrize(("backend", "implementation"), each_implementation("reference"))
def test_a_killed_cell_resumes_bit_for_bit(
    backend: Backend, implementation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = Interrupted(f"{backend.name} {implementation}", tmp_path, monkeypatch)
    path = tmp_path / "cell.checkpoint.safetensors"
    write_checkpoint(path, cell.train_killed(), MADE_WITH)
    resumed, uninterrupted = cell.train(from_checkpoint=read_checkpoint(path, MADE_WITH)), cell.train()
    assert (resumed.status, uninterrupted.status) == ("ok", "ok")
    ours, whole = measured(resumed), measured(uninterrupted)
    assert ours.resumed_at_steps == [KILLED_AT]
    assert (ours.losses, ours.evaluation, ours.n_parameters) == (whole.losses, whole.evaluation, whole.n_parameters)
    assert ours.chunks is not None
    assert whole.chunks is not None
    assert ours.chunks.steps == whole.chunks.steps
    assert [without_time(each) for each in ours.evaluations] == [without_time(each) for each in whole.evaluations]
    assert without_time(ours.target_reached) == without_time(whole.target_reached)
    assert {name: array.tobytes() for name, array in resumed.arrays.items()} == {
        name: array.tobytes() for name, array in uninterrupted.arrays.items()
    }


def without_time(validated: Validated | None) -> tuple[float, ...]:
    assert validated is not None
    return validated.step, validated.sequences, validated.original_loss, validated.wrong_bits_per_sequence


def test_the_times_of_both_processes_are_in_the_record(resumed: tuple[Message, Outcome]) -> None:
    checkpoint, outcome = resumed
    assert isinstance(checkpoint.body, Checkpoint)
    earlier, history = checkpoint.body.timeline, checkpoint.body.history
    timeline, chunks = measured(outcome).timeline, measured(outcome).chunks
    assert timeline is not None
    assert chunks is not None
    n_earlier = len(history.chunks.steps)
    assert sum(chunks.steps) == 20
    assert chunks.train_s[:n_earlier] == history.chunks.train_s
    assert np.diff(chunks.elapsed_s).min() > 0
    assert chunks.elapsed_s[n_earlier] >= history.elapsed_s + chunks.train_s[n_earlier]
    for stage in ("spawn_s", "import_s", "build_s", "total_s"):
        assert timeline[stage] > earlier[stage]
    parts = sum(seconds for part, seconds in timeline.items() if part != "total_s")
    assert parts == pytest.approx(timeline["total_s"])
    assert timeline["other_s"] >= 0
    assert {"recompile_s", "validation_s", "checkpoint_s"} <= timeline.keys() <= {*STAGE_NAMES, TOTAL}


def test_every_process_warms_up_anew(resumed: tuple[Message, Outcome]) -> None:
    checkpoint, outcome = resumed
    assert isinstance(checkpoint.body, Checkpoint)
    n_earlier, chunks = len(checkpoint.body.history.chunks.steps), measured(outcome).chunks
    assert chunks is not None
    assert chunks.first[n_earlier]
    assert chunks.warmup[n_earlier]


def test_a_trainer_that_tells_no_state_sends_no_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = Interrupted("linear idiomatic", tmp_path, monkeypatch)
    assert cell.train().status == "ok"
    assert {type(message.body) for message in cell.heard} <= {Progress, Phase}


# --- The command ----------------------------------------------------------------------------------------------


def run(*options: object, kill_at: Path | None = None) -> subprocess.CompletedProcess[str]:
    changes = {"model.hidden": 4, "model.layers": 2, "task.max_length": 3, "train.batch": 4, "train.chunk": 2}
    changes |= {"train.steps": 20, "evaluate.sequences": 5, "train.checkpoint_every_s": ALWAYS_S}
    named = {"WRAPPED": "resumable idiomatic", "KILL_AT": str(kill_at or "")}
    return harness("run", "--backend", "interrupted", *options, *settings(changes), **named)


@pytest.fixture(scope="module")
def killed_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose only cell was killed, and has left a checkpoint."""
    folder, trigger = (tmp_path_factory.mktemp("killed") / name for name in ("run", "kill_at"))
    trigger.write_text(str(KILLED_AT))
    assert run("--out", folder, kill_at=trigger).returncode == 1
    assert read_record(folder)["status"] == "killed"
    return folder


def read_record(folder: Path) -> dict[str, Any]:
    (path,) = (folder / "cells").glob("*.json")
    record: dict[str, Any] = json.loads(path.read_text())
    return record


def leave_out_inference(folder: Path) -> None:
    """As a run was described before inference was timed."""
    path = folder / "run.json"
    description = json.loads(path.read_text())
    del description["configuration"]["inference"]
    path.write_text(json.dumps(description))


def test_resume_goes_on_where_the_checkpoint_is_and_then_removes_it(killed_run: Path, tmp_path: Path) -> None:
    stopped, whole = shutil.copytree(killed_run, tmp_path / "stopped"), tmp_path / "whole"
    (checkpoint,) = (stopped / "cells").glob("*.checkpoint.safetensors")
    leave_out_inference(stopped)
    finished = harness(
        "run", "--resume", stopped, "--backend", "interrupted", WRAPPED="resumable idiomatic", KILL_AT=""
    )
    assert "goes on after step 12" in finished.stdout, finished.stderr
    assert not checkpoint.exists()
    run("--out", whole)
    assert (read_record(stopped)["inference"], read_record(whole)["inference"] is None) == (None, False)
    assert read_record(stopped)["losses"] == read_record(whole)["losses"]
    name = "cells/interrupted-idiomatic-float32-seed0-r0.safetensors"
    ours, theirs = load_file(stopped / name), load_file(whole / name)
    assert {key: array.tobytes() for key, array in ours.items()} == {
        key: array.tobytes() for key, array in theirs.items()
    }


def test_a_checkpoint_that_cannot_be_read_is_told_and_the_cell_starts_anew(killed_run: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(killed_run, tmp_path / "run")
    (path,) = (folder / "cells").glob("*.checkpoint.safetensors")
    path.write_bytes(path.read_bytes()[:100])
    finished = run("--resume", folder)
    assert f"{path.name} cannot be used: " in " ".join(finished.stdout.split())
    assert "Traceback" not in finished.stdout + finished.stderr
    record = read_record(folder)
    assert (record["status"], record["resumed_at_steps"], len(record["losses"])) == ("ok", [], 20)


# --- The file -------------------------------------------------------------------------------------------------


def test_what_was_written_is_read(tmp_path: Path) -> None:
    arrays = {"w": np.arange(6, dtype=np.float32).reshape(2, 3), "optimizer.step": np.asarray(7, np.int64)}
    message = Message(Checkpoint(History().state(), {}), arrays)
    path = tmp_path / "cell.checkpoint.safetensors"
    write_checkpoint(path, message, MADE_WITH)
    read = read_checkpoint(path, MADE_WITH)
    assert read is not None
    assert read.body == message.body
    assert read.arrays["optimizer.step"].shape == ()
    np.testing.assert_array_equal(read.arrays["w"], arrays["w"])


def test_there_may_be_no_checkpoint(tmp_path: Path) -> None:
    assert read_checkpoint(checkpoint_path(tmp_path, "cell"), MADE_WITH) is None


def test_other_safetensors_are_no_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    save_file({"w": np.zeros(2, np.float32)}, path)
    with pytest.raises(ValueError, match=r"other\.safetensors cannot be used"):
        read_checkpoint(path, MADE_WITH)
