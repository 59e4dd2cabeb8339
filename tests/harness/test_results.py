from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from backends import BACKENDS
from harness.config import RunConfig, TrainConfig
from harness.plan import Cell
from harness.presets import ConfigurationError
from harness.results import RunFolder, default_folder, write_json

CELL = Cell(BACKENDS["torch"], "idiomatic", "float32", 3, 1)


def description(**changes: Any) -> dict[str, Any]:
    return {"preset": "quick", "configuration": RunConfig(**changes).to_dict(), "cells": [CELL.name]}


def test_a_record_says_whose_it_is_and_its_parameters_lie_beside_it(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", description())
    parameters = {"lstm.0.bias": np.arange(4, dtype=np.float32)}
    folder.write_cell(CELL, {"status": "ok", "losses": [0.5]}, parameters)
    record = json.loads((tmp_path / "run/cells/torch-idiomatic-float32-seed3-r1.json").read_text())
    assert (record["schema_version"], record["cell"], record["repeat"]) == (1, CELL.name, 1)
    assert (record["backend"], record["implementation"], record["seed"]) == ("torch", "idiomatic", 3)
    stored = load_file(tmp_path / "run/cells/torch-idiomatic-float32-seed3-r1.safetensors")
    np.testing.assert_array_equal(stored["lstm.0.bias"], parameters["lstm.0.bias"])
    assert folder.is_complete(CELL)


def test_a_folder_that_exists_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigurationError, match="already exists; name it with --resume"):
        RunFolder.create(tmp_path / "run", description())
    assert list((tmp_path / "run").iterdir()) == []


def test_a_folder_of_the_same_configuration_is_resumed(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", description())
    assert RunFolder.resume(tmp_path / "run", description()).path == tmp_path / "run"


def test_a_resumed_run_keeps_its_cells_and_gains_the_new_ones(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", description())
    RunFolder.resume(tmp_path / "run", {**description(), "cells": [CELL.name, "another-cell"]})
    assert json.loads((tmp_path / "run" / "run.json").read_text())["cells"] == [CELL.name, "another-cell"]


@pytest.mark.parametrize("content", ["", "[]", "3", '{"configuration": 3, "cells": []}', '{"configuration": {}}'])
def test_a_broken_run_is_not_resumed(content: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(ConfigurationError, match=r"no readable run\.json|was run with"):
        RunFolder.resume(tmp_path, description())


def test_a_folder_of_another_configuration_is_refused_with_the_difference(tmp_path: Path) -> None:
    RunFolder.create(tmp_path / "run", description())
    with pytest.raises(ConfigurationError, match=r"train\.steps = 1000, not 7"):
        RunFolder.resume(tmp_path / "run", description(train=TrainConfig(steps=7)))


def test_a_folder_without_a_run_is_not_resumed(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no readable run\.json"):
        RunFolder.resume(tmp_path, description())


@pytest.mark.parametrize(
    "content", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 1, "status": "failed"}']
)
def test_a_record_that_is_broken_or_failed_is_not_complete(content: str, tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", description())
    (tmp_path / "run" / "cells" / f"{CELL.name}.json").write_text(content)
    assert not folder.is_complete(CELL)


def test_a_failed_write_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "record.json"
    write_json(path, {"loss": 1})
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"loss": float("nan")})
    assert json.loads(path.read_text()) == {"loss": 1}
    assert list(tmp_path.iterdir()) == [path]


def test_a_default_folder_is_named_by_time_and_preset() -> None:
    assert default_folder("some/mine.toml").name.endswith("Z-mine")
