"""The proof that a run makes before it times anything: what it finds, and how long it is remembered."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from backends import BACKENDS, find_backend
from backends.contract import ModelSpec, OptimizerSpec
from harness.processes import proof, verdict
from harness.processes.process import Outcome, Resources
from harness.processes.proof import Observations, Proof, judge
from harness.processes.verdict import choose_run_cases, sum_up, verify_brief
from harness.proof.comparison import Deviation, compare
from harness.proof.observation import observe
from harness.proof.oracle import expect
from harness.records.folder import RunFolder
from harness.records.messages import Observation
from harness.records.schema import SCHEMA_VERSION
from harness.records.structs import RunFile, Verification
from harness.task.presets import load_preset
from harness.task.recipe import RunConfig
from tests.command import harness
from tests.frameworks import each_framework

SMALL = ["model.hidden=5", "model.layers=2", "task.max_length=2", "train.batch=4", "train.steps=4", "train.chunk=2"]
CONFIG = load_preset("quick", SMALL)
RESOURCES = Resources(device="cpu", timeout_s=120)
MODEL = ModelSpec(inputs=10, outputs=8, hidden=256, layers=2)
WIRED = replace(MODEL, input_to_every_layer=True, learned_initial_state=True)


def brief(
    name: str,
    precision: str = "float32",
    config: RunConfig = CONFIG,
    resources: Resources = RESOURCES,
    seeds: tuple[int, ...] = (0,),
) -> Verification:
    cases = choose_run_cases(config, seeds, resources.ranks)
    return verify_brief(find_backend(name), "idiomatic", precision, resources, cases)


def told(verdict: Verification) -> tuple[bool, str | None]:
    return verdict.verified, verdict.reason


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a test's verdicts are remembered, and no others."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def proofs(monkeypatch: pytest.MonkeyPatch) -> list[Proof]:
    """The proofs that verify_brief makes from here on."""
    return record_proofs(monkeypatch, proof.prove)


@pytest.fixture(scope="module")
def reference_proof() -> Proof:
    cases = choose_run_cases(CONFIG, [0], 1)
    return proof.prove(BACKENDS["reference"], "idiomatic", {"float32": cases}, RESOURCES)


@pytest.fixture
def same_proofs(reference_proof: Proof, monkeypatch: pytest.MonkeyPatch) -> list[Proof]:
    """The proofs that verify_brief asks for from here on, each answered with the same one of the reference: for how
    long a verdict is remembered, what was proven makes no difference."""
    return record_proofs(monkeypatch, lambda *_: reference_proof)


def record_proofs(patch: pytest.MonkeyPatch, prove: Callable[..., Proof]) -> list[Proof]:
    made: list[Proof] = []

    def record(*arguments: object) -> Proof:
        made.append(prove(*arguments))
        return made[-1]

    patch.setattr(verdict, "prove", record)
    return made


# --- What a run finds -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch", "shape"), [(4, None), (32, "32 x 6")])
def test_a_backend_that_is_wrong_at_the_runs_own_size_is_not_verified(
    batch: int, shape: str | None, tmp_path: Path
) -> None:
    changes = [part for change in (*SMALL, f"train.batch={batch}") for part in ("--set", change)]
    finished = harness("run", "--backend", "wide", *changes, "--out", tmp_path / "run")
    assert finished.returncode == (1 if shape else 0), finished.stdout
    named = "wide idiomatic float32: "
    [line] = [line.removeprefix(named) for line in finished.stdout.splitlines() if line.startswith(named)]
    expected = rf"NOT verified: momentum lstm.0.kernel in 2 steps of {shape}, float32: relative error 1.0e-01, .*"
    assert re.fullmatch(expected if shape else "verified", line)
    [verification] = json.loads((tmp_path / "run" / "run.json").read_text())["verification"]
    assert verification["verified"] is (shape is None)
    assert "trained this run's own network at each of its shapes" in (tmp_path / "run" / "report.md").read_text()


def test_a_trainer_that_cannot_tell_its_state_is_held_by_its_gradients() -> None:
    right = brief("stateless")
    assert told(right) == (True, None)
    assert {"gradient", "parameters"} <= {row.quantity for row in right.worst}
    [_, call] = choose_run_cases(CONFIG, [0], 1)
    without = observe(find_backend("stateless").load("idiomatic"), call, device="cpu", precision="float64")
    assert "gradient/lstm.1.kernel" in without
    assert not any(name.startswith("momentum") for name in without)


def test_what_is_unsupported_at_the_runs_own_size_is_not_verified() -> None:
    assert brief("narrow").verified
    large = brief("narrow", config=load_preset("quick", [*SMALL, "train.batch=32"]))
    assert told(large) == (False, "float32: more than 100 rows do not fit")


def test_what_was_never_observed_is_not_verified() -> None:
    [small, call] = choose_run_cases(CONFIG, [0], 1)
    observed = Observations(Outcome("ok"), [(Observation(small.name, "float64"), expect(small))])
    result = sum_up(judge(BACKENDS["reference"], "idiomatic", {"float64": [small, call]}, observed), "float64")
    assert told(result) == (False, "failed: nothing was observed of 2 steps of 4 x 6, float64")


def test_a_wrong_backend_is_not_verified_and_says_by_how_much(proofs: list[Proof]) -> None:
    first, second = brief("linear"), brief("linear")
    assert first == second
    assert len(proofs) == 1
    assert not first.verified
    assert re.search(r" in (case brief|2 steps of 4 x 6), float32: relative error .*, tolerance", str(first.reason))


def test_what_is_not_installed_or_not_supported_is_not_verified(proofs: list[Proof]) -> None:
    assert told(brief("no_such_package.backend")) == (False, "not_installed: no_such_package is not installed")
    assert "not in bfloat16" in str(brief("reference", "bfloat16").reason)


def test_the_brief_case_keeps_the_recipe_and_lets_clipping_bite() -> None:
    recipe = OptimizerSpec(kind="rmsprop", epsilon=1e-10, initial_v=1.0, clip="element", clip_value=10.0)
    case = verdict.brief_case(recipe, MODEL)
    assert replace(case.optimizer, clip_value=10.0) == recipe
    unclipped = replace(case, optimizer=replace(case.optimizer, clip="none"))
    assert any(each.error > 1e-3 for each in compare("brief", "float32", expect(unclipped), expect(case)))


def test_the_brief_case_has_the_depth_and_the_wiring_of_the_run() -> None:
    case = verdict.brief_case(OptimizerSpec(), WIRED)
    assert (case.model().layers, case.model().wiring) == (2, ("input_to_every_layer", "learned_initial_state"))
    assert verdict.brief_case(OptimizerSpec(), MODEL).model().wiring == ()


@pytest.mark.parametrize("name", each_framework())
def test_an_installed_framework_is_verified_with_the_optimiser_of_the_original(name: str, proofs: list[Proof]) -> None:
    config = replace(CONFIG, optimizer=load_preset("original").optimizer)
    assert told(brief(name, config=config)) == (True, None)


def test_a_call_is_told_in_words_and_a_case_by_its_name() -> None:
    told = Deviation("a step of 100 x 42", "float32", "momentum", "lstm.0.kernel", 0.12, None)
    assert told.describe() == (
        "momentum lstm.0.kernel in a step of 100 x 42, float32: relative error 1.2e-01, tolerance 1e-04"
    )
    assert replace(told, case="brief").describe().startswith("momentum lstm.0.kernel in case brief, float32: ")


# --- How long it is remembered --------------------------------------------------------------------------------


def test_a_verdict_is_remembered(proofs: list[Proof]) -> None:
    assert told(brief("reference")) == told(brief("reference")) == (True, None)
    assert len(proofs) == 1


@pytest.mark.parametrize(
    "overrides",
    [["evaluate.sequences=1"], ["train.steps=100"], ["train.learning_rate=0.5"]],
    ids=lambda overrides: overrides[0],
)
def test_what_changes_no_shape_changes_nothing(same_proofs: list[Proof], overrides: list[str]) -> None:
    assert brief("reference") == brief("reference", config=load_preset("quick", [*SMALL, *overrides]))
    assert len(same_proofs) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "float64"},
        {"seeds": (1,)},
        {"resources": replace(RESOURCES, threads=2)},
        *(
            {"config": load_preset("quick", [*SMALL, override])}
            for override in (
                *("model.hidden=6", "model.layers=1", "train.batch=6", "task.max_length=3", "train.chunk=1"),
                *("optimizer.kind=rmsprop", "optimizer.clip_value=3.0", "model.learned_initial_state=true"),
            )
        ),
    ],
)
def test_another_shape_optimiser_precision_or_number_of_threads_is_proven_anew(
    same_proofs: list[Proof], changes: dict[str, object]
) -> None:
    brief("reference")
    brief("reference", **changes)  # type: ignore[arg-type]
    assert len(same_proofs) == 2


def gpu(name: str) -> Callable[[], dict[str, object]]:
    return lambda: {"devices": [{"name": name, "compute_capability": "9.0"}], "driver": "580", "cuda": "13.0"}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("cpu_model", lambda: "another processor"),
        ("describe_processor", lambda: {"instruction_sets": ["avx2"]}),
        ("installed_versions", lambda: {"jaxlib": "0.10.1"}),
        ("code_digest", lambda _: "another code"),
        ("describe_gpus", gpu("H100")),
    ],
)
def test_another_machine_library_or_code_is_proven_anew(
    name: str, value: Callable[..., object], same_proofs: list[Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    wherever = replace(RESOURCES, device="auto")
    monkeypatch.setattr(verdict, "describe_gpus", lambda: {"devices": [], "driver": None, "cuda": None})
    brief("reference", resources=wherever)
    monkeypatch.setattr(verdict, name, value)
    brief("reference", resources=wherever)
    assert len(same_proofs) == 2


@pytest.mark.parametrize("name", ["XLA_FLAGS", "ONEDNN_MAX_CPU_ISA", "TF_ENABLE_ONEDNN_OPTS"])
def test_a_variable_that_changes_the_mathematics_is_proven_anew(
    name: str, same_proofs: list[Proof], monkeypatch: pytest.MonkeyPatch
) -> None:
    brief("reference")
    monkeypatch.setenv(name, "1")
    monkeypatch.setenv("UNRELATED", "1")
    brief("reference")
    assert len(same_proofs) == 2


def test_auto_is_the_device_that_it_stands_for(same_proofs: list[Proof], monkeypatch: pytest.MonkeyPatch) -> None:
    wherever = replace(RESOURCES, device="auto")
    monkeypatch.setattr(verdict, "describe_gpus", lambda: {"devices": [], "driver": None, "cuda": None})
    monkeypatch.setattr(verdict, "worker_environment", lambda *_: {})
    for found in (None, gpu("H100"), gpu("H200")):
        if found:
            monkeypatch.setattr(verdict, "describe_gpus", found)
        brief("reference")
        brief("reference", resources=wherever)
    assert len(same_proofs) == 3, "the CPU, whatever else there is, and either GPU"


def test_the_worst_error_of_each_quantity_is_remembered_and_kept_with_the_run(
    proofs: list[Proof], tmp_path: Path
) -> None:
    brief("reference")
    right, wrong = brief("reference"), brief("linear")
    assert {row.quantity for row in right.worst} >= {"probabilities", "loss", "gradient", "momentum", "parameters"}
    assert all(row.within and (row.error or 0) <= row.tolerance for row in right.worst)
    assert not all(row.within for row in wrong.worst)
    description = RunFile(schema_version=SCHEMA_VERSION, configuration=CONFIG, cells=["a"])
    with RunFolder.create(tmp_path / "run", description) as folder:
        folder.add_verification([msgspec.structs.replace(wrong, backend="reference")])
        folder.add_verification([right, wrong])
    run = json.loads((tmp_path / "run" / "run.json").read_text())
    assert [(item["backend"], item["verified"]) for item in run["verification"]] == [
        ("reference", True),
        ("linear", False),
    ]
    assert run["verification"][0]["worst"] == msgspec.to_builtins(right.worst)


def test_a_crash_is_not_remembered(proofs: list[Proof]) -> None:
    assert not brief("raising").verified
    assert "on fire" in str(brief("raising").reason)
    assert len(proofs) == 2


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "\0", '{"verified": true}', '{"verified": true, "reason": null}'),
        '{"verified": "yes", "reason": null, "worst": []}',
        '{"verified": true, "reason": null, "worst": [1]}',
    ],
)
def test_a_corrupt_cache_is_ignored_and_replaced(same_proofs: list[Proof], cache: Path, content: str) -> None:
    brief("reference")
    [file] = cache.rglob("*.json")
    file.write_text(content)
    assert told(brief("reference")) == (True, None)
    assert len(same_proofs) == 2
    assert json.loads(file.read_text())["verified"] is True


def test_a_cache_that_cannot_be_written_is_done_without(
    same_proofs: list[Proof], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert told(brief("reference")) == told(brief("reference")) == (True, None)
    assert len(same_proofs) == 2
