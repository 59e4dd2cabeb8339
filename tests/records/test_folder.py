from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends import BACKENDS
from harness.machine import cpu_model
from harness.machine.provenance import versions
from harness.processes.keeping import Circumstances, make_record
from harness.processes.process import Outcome, Resources
from harness.processes.ranks import rank_log
from harness.processes.runner import run_cell
from harness.records import folder as results
from harness.records.folder import RunFolder, default_folder
from harness.records.identity import PlannedCell
from harness.records.record_faults import record_faults
from harness.records.schema import SCHEMA_VERSION, flatten, seal
from harness.records.structs import AAPair, Cell, CellResources, Making, Measured, RunFile
from harness.task.copy_task import CopyTask
from harness.task.presets import ConfigurationError
from harness.task.recipe import InferenceConfig, ModelConfig, RunConfig, TrainConfig
from tests.outcomes import told, with_told

CELL = PlannedCell(BACKENDS["reference"], "idiomatic", "float32", 3, 1)
OTHER = PlannedCell(BACKENDS["reference"], "idiomatic", "float32", 4, 1)
CONFIG = RunConfig(
    task=CopyTask(max_length=2), model=ModelConfig(layers=1, hidden=3), train=TrainConfig(batch=4, steps=12, chunk=3)
)
MADE_WITH = Making(versions(CELL.backend), cpu_model())
CIRCUMSTANCES = Circumstances(MADE_WITH)


def record_of(outcome: Outcome, cell: PlannedCell = CELL) -> Cell:
    return make_record(cell, outcome, CONFIG, CIRCUMSTANCES)


def description(config: RunConfig = CONFIG, **changes: Any) -> RunFile:
    given = {"preset": "quick", "resources": CellResources("cpu", 1), "cells": [CELL.name], **changes}
    return RunFile(schema_version=SCHEMA_VERSION, configuration=config, **given)


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A cell that was really trained."""
    log = tmp_path_factory.mktemp("outcome") / "cell.log"
    return run_cell(CELL, CONFIG, Resources("cpu"), log, lambda _: None)


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[RunFolder]:
    with RunFolder.create(tmp_path / "run", description()) as made:
        yield made


@pytest.fixture
def complete(folder: RunFolder, outcome: Outcome) -> RunFolder:
    """The folder with its cell."""
    folder.write_cell(CELL, record_of(outcome), outcome.arrays)
    folder.log(CELL).write_text("said")
    return folder


def why(folder: RunFolder, config: RunConfig = CONFIG, made_with: Making = MADE_WITH) -> str | None:
    return folder.reason_to_train(CELL, config, made_with)


def edit(path: Path, **changes: Any) -> None:
    """Change a record and seal it again."""
    path.write_text(json.dumps(seal({**json.loads(path.read_text()), **changes})))


def test_a_record_says_whose_it_is_and_its_parameters_lie_beside_it(complete: RunFolder, outcome: Outcome) -> None:
    record = json.loads(complete.record(CELL).read_text())
    assert (record["schema_version"], record["cell"], record["repeat"]) == (SCHEMA_VERSION, CELL.name, 1)
    assert (record["backend"], record["implementation"], record["seed"]) == ("reference", "idiomatic", 3)
    stored = load_file(complete.parameters(CELL))
    assert stored.keys() == outcome.arrays.keys()
    np.testing.assert_array_equal(stored["lstm.0.bias"], outcome.arrays["lstm.0.bias"])
    assert why(complete) is None


def test_a_recipe_that_times_no_inference_has_none_in_its_record(outcome: Outcome) -> None:
    record = record_of(outcome)
    assert record.timeline is not None
    assert (record.status, record.inference, "inference_s" in record.timeline) == ("ok", None, False)


# By the field: what is wrong with it, and how that is named.
SPOILED: dict[str, tuple[Any, str]] = {
    "timeline": ({"total_s": -3.0}, "timeline.spawn_s: it is missing"),
    "chunks": ({"steps": [12]}, "chunks.train_s: it is missing"),
    "settings": ({"device": "cuda:0"}, "settings.device: it is 'cuda:0', not 'cpu'"),
    "data_cpu_s": ("fast", "data_cpu_s: expected `float | null`, got `str`"),
    "other_cpu_share": (-1, "other_cpu_share: expected `float` >= 0.0"),
    "losses": ([0.5], "losses: there are 1, not 12"),
    "evaluation": ({"test": {}}, "evaluation.test.sequences: it is missing"),
    "n_parameters": (5, "n_parameters: it is 5, but the configured model has"),
    "ranks": (0, "ranks: expected `int` >= 1"),
}
# Without these it is not known what was trained, or what it learned.
ESSENTIAL = ("losses", "evaluation", "n_parameters", "ranks")


@pytest.mark.parametrize("field", SPOILED)
def test_a_fault_in_one_field_leaves_that_field_out_and_keeps_all_else(
    field: str, folder: RunFolder, outcome: Outcome
) -> None:
    value, fault = SPOILED[field]
    good = msgspec.to_builtins(record_of(outcome))
    spoiled = with_told(outcome, told(outcome) | {field: value})
    folder.write_cell(CELL, record_of(spoiled), spoiled.arrays)
    written = json.loads(folder.record(CELL).read_text())
    assert written["faulty"] == {field: value}
    assert [text for text in written["faults"] if text.startswith(fault)]
    assert written[field] == getattr(Measured(status="ok"), field)
    kept = good.keys() - {field, "status", "reason", "faults", "faulty", "sha256", "parameters_sha256"}
    assert {name: written[name] for name in kept} == {name: good[name] for name in kept}
    assert folder.parameters(CELL).exists()
    if field in ESSENTIAL:
        assert (written["status"], written["reason"]) == ("failed", f"a malformed record: {written['faults'][0]}")
    else:
        assert (written["status"], written["reason"]) == ("ok", None)
        assert why(folder) is None
    assert record_faults(written, CONFIG) == []


def test_faults_in_several_fields_are_all_named(outcome: Outcome) -> None:
    content = told(outcome) | {name: value for name, (value, _) in SPOILED.items()}
    record = record_of(with_told(outcome, content))
    # Of what is left of a failed cell, the types alone are judged.
    assert record.faulty.keys() >= {"data_cpu_s", "chunks", "evaluation", "other_cpu_share", "ranks"}
    assert record.status == "failed"
    assert record_faults(msgspec.to_builtins(record), CONFIG) == []


def test_a_number_that_json_cannot_hold_is_a_fault_of_its_field(outcome: Outcome) -> None:
    record = record_of(with_told(outcome, told(outcome) | {"exchanges_s": [float("nan")]}))
    assert (record.status, record.exchanges_s) == ("ok", [])
    assert record.faults == ["exchanges_s[0]: expected `float`, got `null`"]


def test_a_worker_does_not_say_which_cell_it_is_nor_that_its_faults_are_excused(
    folder: RunFolder, outcome: Outcome
) -> None:
    content = {name: value for name, value in told(outcome).items() if name != "losses"}
    content |= {"cell": "another", "seed": 9, "faults": [], "faulty": {"losses": None}}
    written = folder.write_cell(CELL, record_of(with_told(outcome, content)), {})
    assert (written.cell, written.seed, written.status) == (CELL.name, 3, "failed")


def test_a_record_names_the_sources_it_was_made_with(complete: RunFolder) -> None:
    code = json.loads(complete.record(CELL).read_text())["provenance"]["code"]
    named = {"harness.cells.training", "harness.cells.worker", "harness.processes.runner", "harness.task.copy_task"}
    assert {*named, "backends.reference"} <= set(code)
    assert not [name for name in code if name.startswith(("harness.report", "harness.cli", "backends.torch"))]


def test_a_cell_without_a_record_is_not_complete(folder: RunFolder) -> None:
    assert why(folder) == "it has no record"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"status": "failed", "reason": "x"}, "it failed"),
        ({"schema_version": 1}, f"its record has schema version 1, not {SCHEMA_VERSION}"),
        ({"losses": [0.5]}, "its record is faulty: losses: there are 1, not 12"),
        ({"losses": "many"}, "its record is faulty: losses: expected `array | null`, got `str`"),
        ({"configuration_sha256": "0" * 64}, "it was made with another configuration"),
        ({"provenance": {}}, "its record is faulty: provenance.versions: it is missing"),
        ({"provenance": None}, "its code has changed: "),
    ],
)
def test_a_record_that_is_not_good_is_not_complete(changes: dict[str, Any], reason: str, complete: RunFolder) -> None:
    edit(complete.record(CELL), **changes)
    assert str(why(complete)).startswith(reason)


def test_a_record_that_was_altered_is_not_complete(complete: RunFolder) -> None:
    path = complete.record(CELL)
    path.write_text(path.read_text().replace('"other_cpu_share"', '"other_cpu_shares"'))
    assert why(complete) == "its record was altered"


@pytest.mark.parametrize("content", ["", "{", "[]", "NaN", "[" * 100_000, '{"a": 1, "a": 2}'])
def test_half_a_record_is_not_complete(content: str, complete: RunFolder) -> None:
    complete.record(CELL).write_text(content)
    assert str(why(complete)).startswith("its record cannot be read: ")


def test_parameters_that_are_gone_or_others_are_not_complete(complete: RunFolder) -> None:
    save_file({"lstm.0.bias": np.zeros(3, np.float32)}, complete.parameters(CELL))
    assert why(complete) == "its parameters are not those of its record"
    complete.parameters(CELL).unlink()
    assert why(complete) == "its parameters are missing"


def test_another_version_or_processor_makes_a_cell_be_done_again(complete: RunFolder) -> None:
    newer = Making({**MADE_WITH.versions, "numpy": "9.9"}, MADE_WITH.cpu)
    assert str(why(complete, made_with=newer)).startswith("it was made with numpy ")
    assert str(why(complete, made_with=Making(MADE_WITH.versions, "abacus"))).endswith(", now abacus")


def test_other_code_makes_a_cell_be_done_again(complete: RunFolder) -> None:
    provenance = json.loads(complete.record(CELL).read_text())["provenance"]
    provenance["code"]["harness.task.copy_task"] = "0" * 64
    edit(complete.record(CELL), provenance=provenance)
    assert why(complete) == "its code has changed: harness.task.copy_task"


def test_no_name_in_a_record_makes_it_read_elsewhere(complete: RunFolder) -> None:
    provenance = json.loads(complete.record(CELL).read_text())["provenance"]
    names = ("antigravity", "harness.../../../etc/passwd", "os.path")
    provenance["code"] = dict.fromkeys(names, "0" * 64)
    edit(complete.record(CELL), provenance=provenance)
    assert str(why(complete)).startswith("its code has changed: ")


def test_attempts_are_kept_under_their_numbers(complete: RunFolder, outcome: Outcome) -> None:
    first = complete.record(CELL).read_bytes()
    assert complete.begin_attempt(CELL) == 2
    assert not complete.record(CELL).exists()
    complete.log(CELL).write_text("said more")
    rank_log(complete.log(CELL), 1).write_text("said by another rank")
    # Killed before it had a record; the next begins.
    assert complete.begin_attempt(CELL) == 3
    assert complete.begin_attempt(CELL) == 3
    complete.write_cell(OTHER, record_of(Outcome("failed", "x"), OTHER), {})
    attempts = complete.path / "attempts"
    assert sorted(path.name for path in attempts.iterdir()) == [
        f"{CELL.name}.{end}" for end in ("1.json", "1.log", "1.safetensors", "2.log", "2.rank1.log")
    ]
    assert (attempts / f"{CELL.name}.1.json").read_bytes() == first
    assert (attempts / f"{CELL.name}.2.log").read_text() == "said more"


def test_a_disk_too_full_for_the_parameters_leaves_a_failed_cell_with_its_losses(
    folder: RunFolder, outcome: Outcome, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(path: Path, content: bytes) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(results, "write_bytes", write)
    written = folder.write_cell(CELL, record_of(outcome), outcome.arrays)
    assert (written.status, written.reason) == ("failed", "it could not be written: No space left on device")
    record = json.loads(folder.record(CELL).read_text())
    assert record == msgspec.to_builtins(written)
    assert len(record["losses"]) == 12
    assert not folder.parameters(CELL).exists()


def test_a_folder_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigurationError, match="already exists; name it with --resume"):
        RunFolder.create(tmp_path / "run", description())
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match="cannot be made: Not a directory"):
        RunFolder.create(tmp_path / "file" / "run", description())


def test_what_a_kill_left_of_a_folder_does_not_hinder_the_next(tmp_path: Path) -> None:
    (tmp_path / ".run.new" / "cells").mkdir(parents=True)
    with RunFolder.create(tmp_path / "run", description()):
        assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_folder_in_use_is_refused(folder: RunFolder) -> None:
    with pytest.raises(ConfigurationError, match="is in use by process"):
        RunFolder.resume(folder.path, description())


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """A folder that is no longer in use."""
    with RunFolder.create(tmp_path / "run", description()) as folder:
        return folder.path


def test_a_resumed_run_keeps_its_cells_gains_the_new_ones_and_tells_of_both_sessions(left: Path) -> None:
    with RunFolder.resume(left, description(cells=[CELL.name, "another-cell"], command="again")):
        pass
    run = json.loads((left / "run.json").read_text())
    assert run["cells"] == [CELL.name, "another-cell"]
    assert [session["command"] for session in run["sessions"]] == ["", "again"]


def test_the_larger_number_of_repeats_says_where_the_second_set_of_the_pair_begins(left: Path) -> None:
    for first_repeat in (3, 5, 2):
        with RunFolder.resume(left, description(a_a=AAPair("torch", "tuned", "float32", first_repeat))):
            pass
    assert json.loads((left / "run.json").read_text())["a_a"]["first_repeat"] == 5


@pytest.mark.parametrize(
    "content", ["", "[]", "3", '{"configuration": 3, "cells": []}', '{"schema_version": 3, "configuration": {}}']
)
def test_a_broken_run_is_not_resumed(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"no readable run\.json"):
        RunFolder.resume(tmp_path, description())


def test_an_earlier_version_is_refused_by_name(left: Path) -> None:
    run = json.loads((left / "run.json").read_text())
    (left / "run.json").write_text(json.dumps({**run, "schema_version": 1}))
    with pytest.raises(ConfigurationError, match=f"schema version 1; allowed is {SCHEMA_VERSION}"):
        RunFolder.resume(left, description())


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", ""])
def test_a_cell_name_that_leaves_the_folder_is_refused(name: str, left: Path) -> None:
    run = json.loads((left / "run.json").read_text())
    (left / "run.json").write_text(json.dumps({**run, "cells": [name]}))
    with pytest.raises(ConfigurationError, match="unsafe cell name"):
        RunFolder.resume(left, description())


@pytest.mark.parametrize("rounds", [(0, 10), (10, 0)])
def test_a_run_whose_inference_is_timed_otherwise_is_refused(rounds: tuple[int, int], tmp_path: Path) -> None:
    before, now = (replace(CONFIG, inference=InferenceConfig(rounds=each)) for each in rounds)
    with RunFolder.create(tmp_path / "run", description(before)) as folder:
        pass
    with pytest.raises(ConfigurationError, match=rf"inference\.rounds = {rounds[0]}, not {rounds[1]}$"):
        RunFolder.resume(folder.path, description(now))


def test_a_folder_of_another_configuration_is_refused_with_every_difference(left: Path) -> None:
    other = RunConfig(task=CONFIG.task, model=CONFIG.model, train=TrainConfig(batch=8, steps=7, chunk=3))
    resources = CellResources("cpu", 2)
    with pytest.raises(ConfigurationError) as caught:
        RunFolder.resume(left, description(other, resources=resources))
    expected = "was run with train.batch = 4, not 8; train.steps = 12, not 7; threads = 1, not 2"
    assert str(caught.value).endswith(expected)
    RunFolder.resume(left, description()).lock.close()


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no readable run\.json"):
        RunFolder.resume(tmp_path, description())
    assert list(tmp_path.iterdir()) == []


def test_sections_are_flat() -> None:
    assert flatten({"a": {"b": [1, 2], "c": {"d": None}}, "e": 3}) == {"a.b": [1, 2], "a.c.d": None, "e": 3}


def test_a_default_folder_is_named_by_time_and_preset() -> None:
    assert default_folder("some/mine.toml").name.endswith("Z-mine")
