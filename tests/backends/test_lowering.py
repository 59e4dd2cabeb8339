"""What can be said of the GPU's programs without one: precision of products, no float64, how many loops over time.

The process that looks is tests/backends/training_steps.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backends import BACKENDS, Backend
from tests.frameworks import each_implementation, marks

PROJECT = Path(__file__).parents[2]
LAYERS = 3
# A layer multiplies by two kernels; its gradients are two kernels', the inputs' and the output's before. Nobody needs
# those of the network's inputs. The dense layer has one product and two gradients.
PRODUCTS = 2 * LAYERS + 4 * LAYERS - 1 + 3
# Each layer goes through time once forward and once backward; the tuned step goes through a chunk's steps as well.
LOOPS = {"idiomatic": 2 * LAYERS, "tuned": 2 * LAYERS + 1}


def observe(framework: str, implementation: str) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-m", "tests.backends.training_steps", framework, implementation]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert finished.returncode == 0, finished.stderr
    observed: dict[str, Any] = json.loads(finished.stdout)
    return observed


@pytest.mark.parametrize(("backend", "implementation"), each_implementation())
def test_a_step_in_float32_has_no_float64_and_no_tf32(backend: Backend, implementation: str) -> None:
    observed = observe(backend.name, implementation)
    assert observed.pop("float64") == []
    if backend.name == "jax":
        highest = ["HIGHEST, HIGHEST"]
        assert observed == {"precisions": highest, "products": PRODUCTS, "without": 0, "loops": LOOPS[implementation]}
    elif backend.name == "tensorflow":
        # The first time step is written out before each loop, and TensorFlow leaves what nobody reads to its optimiser.
        assert observed.pop("products") >= PRODUCTS
        xla = implementation == "tuned"
        assert observed == {"loops": LOOPS[implementation], "cudnn": [0, 0], "XLA": xla, "tf32": False}
    else:
        assert observed.pop("operations") > 0
        assert observed == {"fused updates": 2 if implementation == "tuned" else 0, "tf32": False}


@pytest.mark.parametrize("implementation", [pytest.param("cudnn", marks=marks(BACKENDS["tensorflow"]))])
def test_tensorflows_step_on_a_gpu_calls_cudnn_outside_xla(implementation: str) -> None:
    """Once forward and once backward a layer; the one loop goes through a chunk's steps, and none through time."""
    observed = observe("tensorflow", implementation)
    # The dense layer's product and its two gradients.
    assert observed.pop("products") == 3
    assert observed == {"loops": 1, "cudnn": [LAYERS, LAYERS], "float64": [], "XLA": False, "tf32": False}
