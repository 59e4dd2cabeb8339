"""The comparison and the command, with backends that are right, wrong and broken."""

from __future__ import annotations

import itertools
import json
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result

from backends import BACKENDS, Backend
from backends.contract import WIRINGS, OptimizerSpec, Parameters
from harness.commands.verify import prove_all
from harness.machine import Processors
from harness.processes.process import Outcome, Resources
from harness.processes.proof import Observations
from harness.proof import cases
from harness.proof.cases import Case, choose_cases, make_batch, start_parameters, training_cases, wired_cases
from harness.proof.comparison import compare, worst
from harness.proof.observation import quantities
from harness.proof.oracle import expect
from harness.proof.tolerances import QUANTITIES, TOLERANCES
from tests.command import invoke

SMALL = Case("small", 1, OptimizerSpec(), gradients=True, steps=(1, 10))


def verify(*arguments: str) -> Result:
    return invoke("verify", "--device", "cpu", *arguments)


# --- The cases ------------------------------------------------------------------------------------------------


def test_every_two_of_form_clipping_and_depth_meet() -> None:
    trained = [(case.name.partition("-")[2].rpartition("-")[::2], case.layers) for case in training_cases()]
    forms, clips = cases.optimizer_forms(), cases.CLIP_VALUES
    assert sorted(pair for pair, _ in trained) == sorted(itertools.product(forms, clips))
    assert {(form, layers) for (form, _), layers in trained} == set(itertools.product(forms, (1, 3)))
    assert {(clip, layers) for (_, clip), layers in trained} == set(itertools.product(clips, (1, 3)))


def test_every_form_and_clipping_is_met_in_float64_too() -> None:
    names = " ".join(case.name for case in choose_cases("float64")["float64"])
    assert all(name in names for name in (*cases.optimizer_forms(), *cases.CLIP_VALUES))


def test_the_papers_wiring_is_met_whole_in_both_precisions() -> None:
    for chosen in choose_cases("all").values():
        [case] = [case for case in chosen if case.wiring]
        assert case.wiring == WIRINGS
        assert case.gradients
        assert case.steps == (1, 10, 100)


def test_no_case_can_hide_a_fault_by_symmetry() -> None:
    model = training_cases()[0].model()
    sizes = [model.inputs, model.hidden, model.outputs, cases.BATCH_SIZE, make_batch(0).inputs.shape[1]]
    assert len(set(sizes)) == len(sizes)
    for each in (model, wired_cases()[0].model()):
        assert all(np.all(array != 0) for array in start_parameters(each).values())
    assert all(len(set(cases.TASK.batch(seed=0, step=step, size=6).lengths)) > 1 for step in range(100))
    assert len(set(cases.learning_rates(0, 10))) > 3


def test_every_quantity_of_every_case_has_a_tolerance() -> None:
    for precision, chosen in choose_cases("all").items():
        observed = {quantity for case in chosen for quantity in quantities(case)} | {"momentum", "parameters"}
        assert observed == set(QUANTITIES) == set(TOLERANCES[precision])


def test_quantities_are_what_is_observed() -> None:
    assert quantities(SMALL) == list(dict.fromkeys(name.partition("/")[0] for name in expect(SMALL)))


# --- The comparison -------------------------------------------------------------------------------------------

EXPECTED = {"loss": np.array([2.0]), "gradient/a": np.array([3.0, 4.0]), "gradient/b": np.zeros(2)}


def failing(observed: Parameters) -> list[str]:
    return [each.describe() for each in compare("c", "float32", observed, EXPECTED) if not each.within]


def test_the_error_is_the_norm_of_the_difference_over_that_of_the_expectation() -> None:
    observed = EXPECTED | {"gradient/a": np.array([3.0, 4.5], np.float32)}
    assert [deviation.error for deviation in compare("c", "float32", observed, EXPECTED)] == [0, 0.1, 0]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"loss": np.array([2.00003])}, "loss in case c, float32: relative error 1.5e-05, tolerance 1e-05"),
        ({"gradient/a": np.array([3.0, np.nan])}, "gradient a in case c, float32: not finite"),
        ({"gradient/a": np.array([3.0, np.inf])}, "gradient a in case c, float32: not finite"),
        ({"gradient/a": np.array([[3.0, 4.0]])}, "gradient a in case c, float32: shape (1, 2) instead of (2,)"),
        ({"gradient/b": np.array([0.0, 1e-30])}, "gradient b in case c, float32: relative error inf, tolerance 1e-04"),
        ({"gradient/d": np.zeros(1)}, "gradient d in case c, float32: not a parameter of this network"),
    ],
)
def test_what_is_too_far_or_no_number_or_not_there_fails(change: Parameters, reason: str) -> None:
    assert failing(EXPECTED) == []
    assert failing(EXPECTED | change) == [reason]


def test_a_missing_tensor_fails() -> None:
    observed = {name: array for name, array in EXPECTED.items() if name != "gradient/a"}
    assert failing(observed) == ["gradient a in case c, float32: missing"]


def test_the_worst_tensor_of_each_quantity_is_kept() -> None:
    observed = {"loss": np.array([2.0]), "gradient/a": np.array([3.0, 5.0]), "gradient/b": np.ones(2)}
    assert [(each.quantity, each.tensor) for each in worst(compare("c", "float32", observed, EXPECTED))] == [
        ("loss", ""),
        ("gradient", "b"),
    ]


# --- The command ----------------------------------------------------------------------------------------------


def test_the_reference_is_verified_in_a_table_that_fits_a_terminal() -> None:
    result = verify("--backend", "reference", "-v")
    assert result.exit_code == 0, result.output
    # The verdict is one line, however long, so that a search finds it whole; all else fits.
    [verdict] = [line for line in result.output.splitlines() if line.startswith("reference idiomatic: verified")]
    assert verdict.endswith("; unsupported: bfloat16: the reference computes in float64 only, not in bfloat16")
    assert max(len(line) for line in result.output.splitlines() if line != verdict) <= 80
    assert all(quantity in result.output for quantity in quantities(wired_cases()[0]))
    assert "FAIL" not in result.output


@pytest.fixture(scope="module")
def judged() -> dict[str, dict[str, Any]]:
    """What --json says of the reference and of backends that are wrong, by name."""
    result = verify("--backend", "reference,linear,diverging,raising,killed,unimportable,unable", "--json")
    assert result.exit_code == 1
    return {row["backend"]: row for row in json.loads(result.stdout)}


def test_json_has_every_quantity_with_its_tolerance(judged: dict[str, dict[str, Any]]) -> None:
    right, wrong = judged["reference"], judged["linear"]
    assert (right["verified"], right["reason"], wrong["verified"]) == (True, None, False)
    assert {(row["precision"], row["quantity"]) for row in right["worst"]} == {
        (precision, quantity)
        for precision, chosen in choose_cases("all").items()
        for quantity in {quantity for case in chosen for quantity in quantities(case)}
        if precision != "bfloat16"
    }
    assert all(row["within"] == (row["error"] <= row["tolerance"]) for row in right["worst"] + wrong["worst"])


@pytest.mark.parametrize("name", ["linear", "unable"])
def test_a_network_that_is_another_one_fails(name: str) -> None:
    result = verify("--backend", name, "--precision", "float32", "-v")
    assert result.exit_code == 1
    assert ("FAIL" in result.output) == (name == "linear")
    assert "not verified: " in result.output


def test_a_loss_that_is_not_finite_fails(judged: dict[str, dict[str, Any]]) -> None:
    problems = {row["quantity"]: row["problem"] for row in judged["diverging"]["worst"]}
    assert problems["losses"] == "not finite"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raising", "failed: RuntimeError: the third layer is on fire"),
        ("killed", "killed: killed by signal 9"),
        ("unimportable", "failed: ImportError: libdragons"),
        ("unable", "float32: no float32 on a full moon; float64: no float64 on a full moon"),
    ],
)
def test_what_cannot_be_observed_is_not_verified(name: str, reason: str, judged: dict[str, dict[str, Any]]) -> None:
    assert not judged[name]["verified"]
    assert reason in judged[name]["reason"]


def test_what_was_observed_before_a_crash_is_kept(judged: dict[str, dict[str, Any]]) -> None:
    assert {each["quantity"] for each in judged["killed"]["worst"]} == {"probabilities", "loss", "gradient"}


def test_a_precision_that_is_unsupported_is_a_line_and_no_failure(
    installed_example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(installed_example))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(installed_example), os.environ["PYTHONPATH"]]))
    result = verify("--backend", "numpy32")
    assert result.exit_code == 0
    assert "quantity" not in result.output, "details are for -v"
    assert re.search(r"unsupported:\s+float64:\s+this\s+backend\s+computes\s+in\s+float32", result.output)


def test_only_a_backend_that_was_named_has_to_be_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("harness.processes.selection.FRAMEWORKS", ("reference", "torch"))
    absent = replace(BACKENDS["torch"], packages=("no_such_package",))
    monkeypatch.setitem(BACKENDS, "torch", absent)
    everything, named = verify(), verify("--backend", "reference,torch")
    assert (everything.exit_code, named.exit_code) == (0, 1)
    assert "no_such_package is not installed; pip install '.[torch]' installs it" in " ".join(everything.output.split())


@pytest.mark.parametrize(
    "arguments",
    [
        ("--backend", "theano"),
        ("--implementation", "fast"),
        ("--precision", "float8"),
        ("--device", "abacus"),
        ("--implementation", "tuned", "--backend", "reference"),
        ("--device", "cuda", "--backend", "reference"),
        ("--device", "cuda:1", "--ranks", "2"),
    ],
)
def test_bad_usage_is_one_line_and_exit_status_2(arguments: tuple[str, ...]) -> None:
    result = verify(*arguments)
    assert result.exit_code == 2
    assert arguments[1] in result.output.splitlines()[-1]


def test_workers_share_the_processors_a_core_each(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("commands.verify", "processes.process"):
        monkeypatch.setattr(f"harness.{module}.find_processors", lambda: Processors((4, 6, 5, 7), 2, 2))
    met: list[Resources] = []

    def observe_nothing(backend: Backend, name: str, cases: object, resources: Resources) -> Observations:
        met.append(resources)
        return Observations(Outcome("ok"))

    monkeypatch.setattr("harness.commands.verify.observe_in_worker", observe_nothing)
    targets = [(BACKENDS["reference"], "idiomatic")] * 5
    assert len(list(prove_all(targets, {}, Resources(device="cpu")))) == 5
    assert {tuple(resources.cpus() or []) for resources in met} <= {(4,), (6,)}
