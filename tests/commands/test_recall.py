"""--resume RUN alone goes on as the run was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from harness.commands.recall import recall, remember
from harness.processes.options import RunOptions
from harness.records.folder import RunFolder
from harness.records.schema import SCHEMA_VERSION
from harness.records.structs import RunFile
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig, TrainConfig

OPTIONS = RunOptions(
    backends="reference",
    implementation="idiomatic",
    device="cpu",
    seeds="0,3",
    repeats=2,
    timeout=7.5,
    preset="original",
)
CONFIG = RunConfig(train=TrainConfig(steps=77))


@pytest.fixture
def left(tmp_path: Path) -> Path:
    run = RunFile(
        schema_version=SCHEMA_VERSION,
        preset="original",
        configuration=CONFIG,
        cells=["a"],
        options=remember(OPTIONS, 2),
    )
    with RunFolder.create(tmp_path / "run", run) as folder:
        return folder.path


def edit_options(folder: Path, **changes: Any) -> None:
    run = json.loads((folder / "run.json").read_text())
    run["options"].update(changes)
    (folder / "run.json").write_text(json.dumps(run))


def test_what_was_not_given_is_as_it_was(left: Path) -> None:
    recalled = recall(RunOptions(resume=left), ["resume"])
    assert (recalled.configuration, recalled.preset) == (CONFIG, "original")
    assert (recalled.backends, recalled.seeds, recalled.threads) == ("reference", "0,3", 2)
    assert (recalled.repeats, recalled.timeout, recalled.device) == (2, 7.5, "cpu")


def test_what_is_given_is_heeded(left: Path) -> None:
    given = RunOptions(resume=left, seeds="5", overrides=("train.steps=3",))
    recalled = recall(given, ["resume", "seeds", "overrides"])
    assert (recalled.seeds, recalled.backends) == ("5", "reference")
    assert recalled.configuration is None


def test_code_is_not_for_a_folder_to_name(left: Path) -> None:
    edit_options(left, backends="reference,my_package.backend")
    with pytest.raises(ConfigurationError, match=r"with --backend reference,my_package\.backend; name it again"):
        recall(RunOptions(resume=left), ["resume"])
    assert recall(RunOptions(resume=left), ["resume", "backends"]).backends == "all"


@pytest.mark.parametrize("changes", [{"threads": 0}, {"threads": "many"}, {"seeds": 3}, {"timeout": -1}, {"ranks": 0}])
def test_malformed_options_are_refused_in_one_line(changes: dict[str, Any], left: Path) -> None:
    edit_options(left, **changes)
    with pytest.raises(ConfigurationError, match=r"no readable run\.json: .*options") as caught:
        recall(RunOptions(resume=left), ["resume"])
    assert "\n" not in str(caught.value)
