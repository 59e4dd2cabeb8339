"""Which device each framework takes, of none and of made-up GPUs, which it numbers from 0, and how it trains there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS
from backends.contract import PRECISIONS
from tests.frameworks import each_framework, marks

PROJECT = Path(__file__).parents[2]
NAMES = {"torch": "PyTorch", "tensorflow": "TensorFlow", "jax": "JAX"}
SCAN = "lax.scan with custom_vjp"
NUMBERED = ("cuda", "cuda:0", "cuda:1", "cuda:2")


def ask(framework: str, visible: str, *numbers: str) -> list[dict[str, str]]:
    """The answers of tests/backends/choose_devices.py, with this CUDA_VISIBLE_DEVICES."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": visible}
    command = [sys.executable, "-m", "tests.backends.choose_devices", framework, *numbers]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert finished.returncode == 0, finished.stderr
    answers: list[dict[str, str]] = json.loads(finished.stdout)
    return answers


def refused(framework: str, device: str, *seen: str) -> dict[str, str]:
    return {device: f"{NAMES[framework]} sees no device {device}; it sees {', '.join(['cpu', *seen])}"}


def without_a_gpu(framework: str) -> dict[str, str]:
    answers = {"auto": "cpu", "cpu": "cpu"}
    for device in NUMBERED:
        answers |= refused(framework, device)
    return answers


@pytest.mark.parametrize("visible", ["", "-1"])
@pytest.mark.parametrize("framework", each_framework())
def test_who_may_see_no_gpu_takes_the_processor(framework: str, visible: str) -> None:
    """On a machine with GPUs as on one without."""
    assert ask(framework, visible) == [without_a_gpu(framework)]


@pytest.mark.parametrize("framework", each_framework())
def test_a_gpu_is_the_one_asked_for_or_refused_with_those_there_are(framework: str) -> None:
    none, one, two = ask(framework, "1,0", "0", "1", "2")
    assert none == without_a_gpu(framework)
    first = {"auto": "cuda:0", "cpu": "cpu", "cuda": "cuda:0", "cuda:0": "cuda:0"}
    assert one == first | refused(framework, "cuda:1", "cuda:0") | refused(framework, "cuda:2", "cuda:0")
    assert two == first | {"cuda:1": "cuda:1"} | refused(framework, "cuda:2", "cuda:0", "cuda:1")


@pytest.mark.parametrize(
    ("framework", "on_cpu", "on_gpu", "precisions"),
    [
        pytest.param("torch", "eager", "CUDA graph of a step", PRECISIONS, marks=marks(BACKENDS["torch"])),
        pytest.param(
            *("tensorflow", "XLA of K steps", "tf.function of K steps", ("float32", "tf32")),
            marks=marks(BACKENDS["tensorflow"]),
        ),
        pytest.param(
            *("jax", SCAN, f"{SCAN} or jax.experimental.rnn with cuDNN", ("float32", "tf32")),
            marks=marks(BACKENDS["jax"]),
        ),
    ],
)
def test_tuned_trains_in_its_own_way_on_a_gpu(
    framework: str, on_cpu: str, on_gpu: str, precisions: tuple[str, ...]
) -> None:
    """Alone and in these precisions; else as on a CPU."""
    [ways] = ask(framework, "", "ways")
    assert ways.pop("a rank") == on_cpu
    expected = {f"auto {each}": on_gpu if each in precisions else on_cpu for each in PRECISIONS}
    assert ways == expected | {f"cpu {each}": on_cpu for each in PRECISIONS}
