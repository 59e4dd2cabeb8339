"""The conformance suite, with the reference, the example of a backend, what is wrong with it, and each framework."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from backends.contract import WIRINGS
from tests.documentation import PROJECT
from tests.frameworks import each_framework

SUITE = "harness.proof.conformance"


@pytest.fixture
def site(installed_example: Path, tmp_path: Path) -> Path:
    """A copy of the installed example, to be changed."""
    return Path(shutil.copytree(installed_example, tmp_path / "site"))


def conformance(backend: str, site: Path, *options: str, module: str = SUITE) -> subprocess.CompletedProcess[str]:
    suite = ["-p", f"{SUITE}.plugin", "--pyargs", module, "--backend-module", backend]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), str(PROJECT), os.environ["PYTHONPATH"]])}
    command = [sys.executable, "-m", "pytest", "-q", "-rfs", "-p", "no:cacheprovider", *options, *suite]
    return subprocess.run(command, capture_output=True, text=True, cwd=site, env=environment, timeout=300)


def assert_fails(failure: str, site: Path, module: str) -> None:
    """The example does not conform: the first failure of the module says so."""
    finished = conformance("numpy32", site, "-x", module=f"{SUITE}.test_{module}")
    assert finished.returncode == 1, finished.stdout
    assert re.search(failure, finished.stdout), finished.stdout


def change(site: Path, file: str, right: str, wrong: str) -> None:
    path = site / "numpy_backend" / file
    text = path.read_text(encoding="utf-8")
    assert right in text
    path.write_text(text.replace(right, wrong), encoding="utf-8")


def test_the_reference_conforms(tmp_path: Path) -> None:
    finished = conformance("reference", tmp_path)
    assert finished.returncode == 0, finished.stdout


def test_the_example_conforms(site: Path) -> None:
    finished = conformance("numpy32", site)
    assert finished.returncode == 0, finished.stdout
    assert "not declared: float64" in finished.stdout


@pytest.mark.parametrize(
    ("module", "right", "wrong", "failure"),
    [
        (
            "equations",
            "np.sqrt(v + spec.epsilon)",
            "np.sqrt(v) + spec.epsilon",
            "after 1 step .* in case .*rmsprop-in-0",
        ),
        ("equations", "rate * g / root", "g / root", "after 1 step .* relative error"),
        ("equations", "/ logits.size", "/ len(logits)", "gradient .* relative error"),
        (
            "equations",
            "i, f, g, o = np.split",
            "f, i, g, o = np.split",
            "probabilities in case 1L-model, float32",
        ),
        ("contract", "losses.append(loss)", "losses.append(loss + 1)", "test_train_returns_the_loss_before_each_step"),
        ("contract", "matrix[0].copy()", "matrix[0]", "test_what_parameters_returns_is_a_copy"),
        ("contract", '{"device": "cpu",', "{", "test_settings_name_the_device"),
        ("contract", 'raise Unsupported(f"NumPy', 'raise ValueError(f"NumPy', "test_what_it_cannot_do_is_unsupported"),
        ("state", "pack_state(weights, m, v,", "pack_state(weights, v, m,", "goes_on_as_if_nothing_had_happened"),
        ("state", "m, v, self.steps)", "m, v, 0)", "test_a_restored_trainer_goes_on_as_if_nothing_had_happened"),
    ],
)
def test_a_broken_example_does_not_conform(module: str, right: str, wrong: str, failure: str, site: Path) -> None:
    change(site, "backend.py", right, wrong)
    assert_fails(failure, site, module)


DECLARED = 'precisions=("float32",), wirings=(), devices=("cpu",)'


@pytest.mark.parametrize(
    ("module", "declared", "failure"),
    [
        ("declaration", 'precisions=("float32", "float64")', "unsupported: float64: this backend computes in float32"),
        ("declaration", f'precisions=("float32",), wirings={WIRINGS[:1]}', f"unsupported: float32, {WIRINGS[0]}: "),
        ("declaration", 'precisions=("float32",), devices=("cuda",)', "not declared, but computed: float32, cpu"),
        ("state", f'precisions=("float32",), wirings={WIRINGS}', f"unsupported: float32, {', '.join(WIRINGS)}: "),
    ],
)
def test_what_is_declared_and_refused_does_not_conform(module: str, declared: str, failure: str, site: Path) -> None:
    change(site, "__init__.py", DECLARED, declared)
    assert_fails(failure, site, module)


@pytest.mark.parametrize(
    ("check", "weaker", "computed"),
    [
        ('precision != "float32"', 'precision == "bfloat16"', "float64, auto"),
        ("model.wiring:", "model.wiring and not model.learned_initial_state:", "float32, learned_initial_state, auto"),
        ('not in ("auto", "cpu")', 'not in ("auto", "cpu", "cuda")', "float32, cuda"),
    ],
)
def test_what_is_computed_and_not_declared_does_not_conform(check: str, weaker: str, computed: str, site: Path) -> None:
    """The example that lets pass what it is not made for, and computes something."""
    change(site, "backend.py", check, weaker)
    assert_fails(f"not declared, but computed: {computed}", site, "declaration")


def test_every_implementation_of_a_backend_is_checked(site: Path) -> None:
    change(site, "__init__.py", '"numpy_backend.backend"}', '"numpy_backend.backend", "tuned": "numpy_backend.tuned"}')
    (site / "numpy_backend" / "tuned.py").write_text("def build(*_, **__):\n    raise ZeroDivisionError\n")
    finished = conformance("numpy32", site, module=f"{SUITE}.test_contract")
    assert {*re.findall(r"^FAILED .*\[(\w+)", finished.stdout, re.MULTILINE)} == {"tuned"}, finished.stdout


@pytest.mark.parametrize(
    ("module", "reason"),
    [("declaration", "it declares nothing"), ("state", "unsupported: this backend computes in flo")],
)
def test_a_module_alone_declares_nothing_and_is_checked_for_the_rest(module: str, reason: str, site: Path) -> None:
    finished = conformance("numpy_backend.backend", site, module=f"{SUITE}.test_{module}")
    assert finished.returncode == 0, finished.stdout
    assert reason in finished.stdout


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nonsense", "'nonsense': allowed is a backend that is installed, or package.module"),
        ("no_package.backend", "no_package.backend: it needs no_package, which is not installed"),
    ],
)
def test_a_backend_that_is_not_there_is_one_line(name: str, message: str, tmp_path: Path) -> None:
    finished = conformance(name, tmp_path)
    assert finished.returncode == 4
    assert finished.stderr.strip() == f"ERROR: --backend-module {message}"


@pytest.mark.parametrize("name", each_framework())
def test_a_framework_computes_what_it_declares(name: str, tmp_path: Path) -> None:
    finished = conformance(name, tmp_path, module=f"{SUITE}.test_declaration")
    assert finished.returncode == 0, finished.stdout
