"""Pictures and counts from saved parameters, the same in every framework, and one line for what is not right."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from click.testing import Result
from safetensors.numpy import save_file

from backends import BACKENDS, FRAMEWORKS
from backends.contract import Parameters
from harness.commands.predict import TOLERANCE, parse_lengths, read_parameters, select_cells
from harness.records.reading import read_run
from harness.records.schema import SCHEMA_VERSION
from harness.task.copy_task import CopyTask
from harness.task.presets import ConfigurationError
from harness.task.recipe import EvaluateConfig, ModelConfig, RunConfig
from tests.command import invoke, read_rows
from tests.documentation import PROJECT, commands

CONFIG = RunConfig(
    task=CopyTask(max_length=5),
    model=ModelConfig(layers=2, hidden=32, input_scale=4.0),
    evaluate=EvaluateConfig(sequences=7),
)
PARAMETERS = CONFIG.initial_parameters(0)
INSTALLED = [name for name in FRAMEWORKS if not BACKENDS[name].missing_packages()]

MakeRun = Callable[..., Path]


def name_cell(backend: str, implementation: str = "idiomatic", seed: int = 0, repeat: int = 0) -> str:
    return f"{backend}-{implementation}-float32-seed{seed}-r{repeat}"


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A function that writes a run of ok cells, named by backend, implementation, seed and repeat."""

    def write(*cells: tuple[str, str, int, int], parameters: Mapping[str, object] = PARAMETERS) -> Path:
        folder = tmp_path / "run"
        (folder / "cells").mkdir(parents=True)
        for backend, implementation, seed, repeat in cells:
            name = name_cell(backend, implementation, seed, repeat)
            identity = {"backend": backend, "implementation": implementation, "seed": seed, "repeat": repeat}
            record = {
                "schema_version": SCHEMA_VERSION,
                "cell": name,
                "precision": "float32",
                "status": "ok",
                **identity,
            }
            (folder / "cells" / f"{name}.json").write_text(json.dumps(record))
            save_file(dict(parameters), folder / "cells" / f"{name}.safetensors")
        description = {"schema_version": SCHEMA_VERSION, "configuration": CONFIG.to_dict()}
        (folder / "run.json").write_text(json.dumps(description | {"cells": [name_cell(*cell) for cell in cells]}))
        return folder

    return write


@pytest.fixture
def saved_run(make_run: MakeRun) -> Path:
    return make_run(("reference", "idiomatic", 0, 0))


def predict(folder: Path, *options: str) -> Result:
    return invoke("predict", folder, *options)


def read_counts(folder: Path) -> list[dict[str, str]]:
    return read_rows(folder / "wrong_bits.csv")


def test_a_picture_for_each_length_and_the_wrong_bits(saved_run: Path) -> None:
    finished = predict(saved_run, "--lengths", "3,10")
    assert finished.exit_code == 0, finished.output
    pictures = sorted(path.name for path in (saved_run / "predictions").glob("*.png"))
    assert pictures == ["copy_length_10.png", "copy_length_3.png"]
    assert max(map(len, finished.stdout.partition("\n/")[0].splitlines())) <= 80
    rows = read_counts(saved_run / "predictions")
    assert [(row["length"], row["bits"]) for row in rows] == [("3", "24"), ("10", "80")]
    for row in rows:
        batch = CONFIG.task.evaluation_batch(seed=0, length=int(row["length"]), size=1)
        implementation = BACKENDS["reference"].load("idiomatic")
        trainer = implementation.build(
            CONFIG.model_spec(), CONFIG.optimizer, PARAMETERS, device="cpu", precision="float32"
        )
        wrong = (trainer.predict(batch.inputs) > 0.5) != (batch.targets > 0.5)
        assert int(row["wrong_bits"]) == wrong[batch.mask].sum()


def test_the_sequence_is_the_first_of_the_evaluation_and_another_seed_draws_another() -> None:
    task, n = CONFIG.task, CONFIG.evaluate.sequences
    for length in (1, 3, 10, 21):
        one, many = (task.evaluation_batch(seed=0, length=length, size=size) for size in (1, n))
        np.testing.assert_array_equal(one.inputs[0], many.inputs[0])
    other = task.evaluation_batch(seed=1, length=10, size=1)
    assert other.inputs.tobytes() != task.evaluation_batch(seed=0, length=10, size=1).inputs.tobytes()


def test_another_sequence_seed_and_folder(saved_run: Path, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        arguments = ("--lengths", "5", "--sequence-seed", str(seed), "--out", str(tmp_path / str(seed)))
        assert predict(saved_run, *arguments).exit_code == 0
    pictures = {(tmp_path / str(seed) / "copy_length_5.png").read_bytes() for seed in (0, 1, 2)}
    assert len(pictures) == 3
    assert not (saved_run / "predictions").exists()


@pytest.mark.framework
@pytest.mark.together
@pytest.mark.skipif(not INSTALLED, reason="no framework is installed")
@pytest.mark.parametrize("implementation", ["idiomatic", "tuned"])
def test_parameters_give_the_same_probabilities_in_every_framework(make_run: MakeRun, implementation: str) -> None:
    folder = make_run((INSTALLED[0], implementation, 0, 0))
    names = ",".join([*INSTALLED, "reference"])
    finished = predict(folder, "--lengths", "5,40", "--backend", names)
    assert finished.exit_code == 0, finished.output
    rows = [row for row in read_counts(folder / "predictions") if row["length"] == "40"]
    assert [row["backend"] for row in rows] == [*INSTALLED, "reference"]
    assert all(float(row["largest_difference"]) <= TOLERANCE for row in rows[1:])
    assert len({row["wrong_bits"] for row in rows}) == 1


@pytest.mark.framework
@pytest.mark.together
@pytest.mark.skipif(not INSTALLED, reason="no framework is installed")
def test_published_parameters_copy_as_the_published_pictures_show(tmp_path: Path) -> None:
    """By the README's own command, wherever a clone is."""
    (command,) = (command for command in commands("README.md") if "harness predict" in command)
    folder, *options = command.split()[4:]
    finished = predict(PROJECT / folder, *options, "--out", str(tmp_path / "drawn"))
    assert finished.exit_code == (0 if {*INSTALLED} == {*FRAMEWORKS} else 1), finished.output
    published = {(row["cell"], row["length"]): row for row in read_counts(PROJECT / folder / "predictions")}
    drawn = read_counts(tmp_path / "drawn")
    assert {row["backend"] for row in drawn} == {*INSTALLED}
    for row in drawn:
        # An output as close to 0.5 as processors differ may be on the other side of it.
        assert int(row["wrong_bits"]) == pytest.approx(int(published[row["cell"], row["length"]]["wrong_bits"]), abs=1)


def test_a_framework_that_is_not_installed_is_a_row_and_exit_status_1(make_run: MakeRun) -> None:
    folder = make_run(("reference", "idiomatic", 0, 0))
    finished = predict(folder, "--lengths", "3", "--backend", "no_such_package.backend")
    assert finished.exit_code == 1
    assert "is not installed" in " ".join(finished.stdout.split())
    assert (folder / "predictions" / "copy_length_3.png").is_file()


def test_one_cell_of_each_backend_is_drawn_the_first_tuned_one(make_run: MakeRun) -> None:
    folder = make_run(
        *(("torch", "idiomatic", 0, 0), ("torch", "tuned", 1, 0), ("torch", "tuned", 0, 1), ("torch", "tuned", 0, 0)),
        ("jax", "idiomatic", 3, 0),
    )
    run = read_run(folder)
    names = [cell.cell for cell in select_cells(run, folder, ())]
    assert names == [name_cell("torch", "tuned"), name_cell("jax", seed=3)]
    named = (name_cell("torch", "tuned", 0, 1),)
    assert [cell.cell for cell in select_cells(run, folder, named)] == list(named)


@pytest.mark.parametrize("lengths", ["0", "-1", "3,0", "x", "", "1.5", "2001", "3,"])
def test_lengths_that_are_none_are_refused(lengths: str) -> None:
    with pytest.raises(ConfigurationError, match="allowed are whole numbers from 1 to 2,000"):
        parse_lengths(lengths)


def without(name: str) -> Parameters:
    return {key: array for key, array in PARAMETERS.items() if key != name}


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        (without("lstm.1.bias"), "lstm.1.bias: this parameter is missing"),
        ({**PARAMETERS, "lstm.9.bias": np.zeros(3, np.float32)}, "lstm.9.bias: the model has no such parameter"),
        (
            {**PARAMETERS, "output.bias": np.zeros(3, np.float32)},
            r"output.bias: its shape is \(3,\), not \(8,\)",
        ),
        (
            {**PARAMETERS, "output.bias": np.full(8, np.nan, np.float32)},
            "output.bias: it holds a value that is not finite",
        ),
    ],
)
def test_parameters_that_are_not_the_models_are_named(
    make_run: MakeRun, parameters: Mapping[str, object], message: str
) -> None:
    folder = make_run(("reference", "idiomatic", 0, 0), parameters=parameters)
    run = read_run(folder)
    config = run.file.configuration
    with pytest.raises(ConfigurationError, match=message):
        read_parameters(folder, run.ok_cells[0], config)


def break_parameters(folder: Path) -> None:
    (folder / "cells" / f"{name_cell('reference')}.safetensors").write_bytes(b"nothing of the kind")


def remove_parameters(folder: Path) -> None:
    (folder / "cells" / f"{name_cell('reference')}.safetensors").unlink()


def break_configuration(folder: Path) -> None:
    description = json.loads((folder / "run.json").read_text())
    description["configuration"]["model"]["hidden"] = 0
    (folder / "run.json").write_text(json.dumps(description))


def name_a_module(folder: Path) -> None:
    path = folder / "cells" / f"{name_cell('reference')}.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"backend": "some.module"}))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (remove_parameters, "cannot be read: No such file or directory"),
        (break_parameters, "holds no parameters"),
        (break_configuration, "model.hidden must be at least 1, not 0"),
        (name_a_module, "was trained by some.module; name it with --backend to run its code"),
        (lambda folder: (folder / "run.json").unlink(), "it has no run.json"),
    ],
)
def test_a_folder_that_is_not_right_is_one_line_and_exit_status_2(
    saved_run: Path, spoil: Callable[[Path], None], message: str
) -> None:
    spoil(saved_run)
    finished = predict(saved_run)
    assert finished.exit_code == 2
    assert message in finished.output
    assert len(finished.output.strip().splitlines()) == 1
    assert not (saved_run / "predictions").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--device", "cuda"), "--device cuda: the reference runs on a CPU only"),
        (("--implementation", "tuned"), "reference has no implementation tuned; allowed: idiomatic"),
        (("--sequence-seed", "18446744073709551616"), "the largest seed is 18446744073709551615"),
    ],
)
def test_what_cannot_be_computed_is_one_line_exit_status_2_and_nothing_written(
    saved_run: Path, options: tuple[str, ...], message: str
) -> None:
    finished = predict(saved_run, *options)
    assert finished.exit_code == 2
    assert message in finished.output
    assert len(finished.output.splitlines()) == 1
    assert not (saved_run / "predictions").exists()


def test_an_unknown_cell_is_told_with_those_there_are(saved_run: Path) -> None:
    finished = predict(saved_run, "--cell", "nope")
    assert finished.exit_code == 2
    assert f"no cell 'nope' that ended ok; it has: {name_cell('reference')}" in finished.output
