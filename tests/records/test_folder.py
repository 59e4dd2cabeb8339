from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from backends import BACKENDS
from harness.commands.run import make_record
from harness.machine import cpu_model
from harness.machine.provenance import versions
from harness.processes.process import Outcome, Resources
from harness.processes.ranks import rank_log
from harness.processes.runner import run_cell
from harness.records import folder as results
from harness.records.folder import RunFolder, default_folder, flatten
from harness.records.identity import Cell
from harness.records.schema import SCHEMA_VERSION, seal
from harness.records.validation import record_faults
from harness.task.copy_task import CopyTask
from harness.task.presets import ConfigurationError
from harness.task.recipe import ModelConfig, RunConfig, TrainConfig

CELL = Cell(BACKENDS["reference"], "idiomatic", "float32", 3, 1)
OTHER = Cell(BACKENDS["reference"], "idiomatic", "float32", 4, 1)
CONFIG = RunConfig(
    task=CopyTask(max_length=2), model=ModelConfig(layers=1, hidden=3), train=TrainConfig(batch=4, steps=12, chunk=3)
)
MADE_WITH = {"versions": versions(CELL.backend), "cpu": cpu_model()}


def description(config: RunConfig = CONFIG, **changes: Any) -> dict[str, Any]:
    return {
        "preset": "quick",
        "configuration": config.to_dict(),
        "resources": {"device": "cpu", "threads": 1},
        "options": {},
        "cells": [CELL.name],
        "environment": {},
        **changes,
    }


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
    record = {**make_record(outcome, CONFIG, MADE_WITH, 1), "verified": True, "verification_reason": None}
    folder.write_cell(CELL, record, outcome.arrays)
    folder.log(CELL).write_text("said")
    return folder


def why(folder: RunFolder, config: RunConfig = CONFIG, made_with: dict[str, Any] = MADE_WITH) -> str | None:
    return folder.incompleteness(CELL, config, made_with)


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


# By the field: what is wrong with it, and how that is named.
SPOILED: dict[str, tuple[Any, str]] = {
    "timeline": ({"total_s": -3.0}, "timeline.spawn_s: it is missing"),
    "chunks": ({"steps": [12]}, "chunks.train_s: it is missing"),
    "settings": ({"device": "cuda:0"}, "settings.device: it is 'cuda:0', not 'cpu'"),
    "ceiling": ("fast", "ceiling: expected `array | null`, got `str`"),
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
    good = make_record(outcome, CONFIG, MADE_WITH, 1)
    spoiled = replace(outcome, body={**outcome.body, field: value})
    record = {**make_record(spoiled, CONFIG, MADE_WITH, 1), "verified": True, "verification_reason": None}
    folder.write_cell(CELL, record, spoiled.arrays)
    written = json.loads(folder.record(CELL).read_text())
    assert written["faulty"] == {field: value}
    assert [text for text in written["faults"] if text.startswith(fault)]
    assert field not in written
    kept = good.keys() - {field, "status", "reason"}
    assert {name: written[name] for name in kept} == json.loads(json.dumps({name: good[name] for name in kept}))
    assert folder.parameters(CELL).exists()
    if field in ESSENTIAL:
        assert (written["status"], written["reason"]) == ("failed", f"a malformed record: {written['faults'][0]}")
    else:
        assert (written["status"], written["reason"]) == ("ok", None)
        assert why(folder) is None
    assert record_faults(written, CONFIG) == []


def test_faults_in_several_fields_are_all_named(outcome: Outcome) -> None:
    body = outcome.body | {name: value for name, (value, _) in SPOILED.items()}
    record = make_record(replace(outcome, body=body), CONFIG, MADE_WITH, 1)
    # Of what is left of a failed cell, the types alone are judged.
    assert record["faulty"].keys() >= {"ceiling", "chunks", "evaluation", "other_cpu_share", "ranks"}
    assert record["status"] == "failed"
    assert record_faults(record, CONFIG) == []


def test_a_worker_does_not_say_which_cell_it_is_nor_that_its_faults_are_excused(
    folder: RunFolder, outcome: Outcome
) -> None:
    body = {name: value for name, value in outcome.body.items() if name != "losses"}
    told = {"cell": "another", "seed": 9, "faults": [], "faulty": {"losses": None}}
    written = folder.write_cell(CELL, make_record(replace(outcome, body=body | told), CONFIG, MADE_WITH, 1), {})
    assert (written["cell"], written["seed"], written["status"]) == (CELL.name, 3, "failed")


def test_what_no_file_can_hold_is_a_failed_cell(folder: RunFolder, outcome: Outcome) -> None:
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    body = outcome.body | {"ceiling": deep}
    written = folder.write_cell(CELL, make_record(replace(outcome, body=body), CONFIG, MADE_WITH, 1), outcome.arrays)
    assert (written["status"], written["reason"]) == ("failed", "it could not be written: JSON cannot hold it")
    assert json.loads(folder.record(CELL).read_text())["faults"]


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
        ({"status": "failed", "reason": "x"}, "it ended as failed"),
        ({"schema_version": 1}, f"its record has schema version 1, not {SCHEMA_VERSION}"),
        ({"losses": [0.5]}, "its record is faulty: losses: there are 1, not 12"),
        ({"losses": "many"}, "its record is faulty: losses: expected `array | null`, got `str`"),
        ({"configuration_sha256": "0" * 64}, "it was made with another configuration"),
        ({"provenance": {}}, "its record is faulty: provenance.code: it is missing"),
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
    newer = {**MADE_WITH, "versions": {**MADE_WITH["versions"], "numpy": "9.9"}}
    assert str(why(complete, made_with=newer)).startswith("it was made with numpy ")
    assert str(why(complete, made_with={**MADE_WITH, "cpu": "abacus"})).endswith(", now abacus")


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
    complete.write_cell(OTHER, {"status": "failed", "reason": "x"}, {})
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
    written = folder.write_cell(CELL, make_record(outcome, CONFIG, MADE_WITH, 1), outcome.arrays)
    assert (written["status"], written["reason"]) == ("failed", "it could not be written: No space left on device")
    record = json.loads(folder.record(CELL).read_text())
    assert record == written
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
    assert [session["command"] for session in run["sessions"]] == [None, "again"]


def test_the_larger_number_of_repeats_says_where_the_second_set_of_the_pair_begins(left: Path) -> None:
    pair = {"backend": "torch", "implementation": "tuned", "precision": "float32", "first_repeat": 5}
    for first_repeat in (3, 5, 2):
        with RunFolder.resume(left, description(a_a={**pair, "first_repeat": first_repeat})):
            pass
    assert json.loads((left / "run.json").read_text())["a_a"] == pair


@pytest.mark.parametrize(
    "content", ["", "[]", "3", '{"configuration": 3, "cells": []}', '{"schema_version": 3, "configuration": {}}']
)
def test_a_broken_run_is_not_resumed(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"no readable run\.json|has schema version|its run\.json has no"):
        RunFolder.resume(tmp_path, description())


def test_an_earlier_version_is_refused_by_name(left: Path) -> None:
    run = json.loads((left / "run.json").read_text())
    (left / "run.json").write_text(json.dumps({**run, "schema_version": 1}))
    with pytest.raises(ConfigurationError, match=f"version 1; a run of version {SCHEMA_VERSION} can be resumed"):
        RunFolder.resume(left, description())


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "", 7])
def test_a_cell_name_that_leaves_the_folder_is_refused(name: Any, left: Path) -> None:
    run = json.loads((left / "run.json").read_text())
    (left / "run.json").write_text(json.dumps({**run, "cells": [name]}))
    with pytest.raises(ConfigurationError, match="unsafe cell name"):
        RunFolder.resume(left, description())


def test_a_folder_of_another_configuration_is_refused_with_every_difference(left: Path) -> None:
    other = RunConfig(task=CONFIG.task, model=CONFIG.model, train=TrainConfig(batch=8, steps=7, chunk=3))
    resources = {"device": "cpu", "threads": 2}
    with pytest.raises(ConfigurationError) as caught:
        RunFolder.resume(left, description(other, resources=resources))
    expected = "was run with train.batch = 4, not 8; train.steps = 12, not 7; threads = 1, not 2"
    assert str(caught.value).endswith(expected)
    RunFolder.resume(left, description()).lock.close()


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no readable run\.json"):
        RunFolder.resume(tmp_path, description())
    assert list(tmp_path.iterdir()) == []


def test_sections_are_flat_and_tuples_are_lists() -> None:
    assert flatten({"a": {"b": (1, 2), "c": {"d": None}}, "e": 3}) == {"a.b": [1, 2], "a.c.d": None, "e": 3}


def test_a_default_folder_is_named_by_time_and_preset() -> None:
    assert default_folder("some/mine.toml").name.endswith("Z-mine")
