from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import pytest

from harness.cells import ceiling
from harness.machine import available_cpus
from harness.task.recipe import RunConfig
from tests.frameworks import each_framework

PROJECT = Path(__file__).parents[2]
# Factors of bfloat16 have 8 bits, and so has PyTorch's result.
TOLERANCES = {"float32": 1e-6, "bfloat16": 1e-2, "float64": 1e-13}
WAYS = {
    "torch": {"torch.mm", "oneDNN linear"},
    "tensorflow": {"tf.matmul", "tf.matmul by XLA"},
    "jax": {"jnp.matmul", "jnp.matmul, rows split over processors"},
}
MULTIPLY = """
import importlib, json, sys
import numpy as np
name, *precisions = sys.argv[1:]
module = importlib.import_module(f"backends.{name}.product")
left, right = (np.random.default_rng(0).random(shape, np.float32) for shape in ((64, 24), (24, 40)))
read = {"torch": lambda product: product.double().numpy(), "jax": lambda product: np.asarray(product, np.float64)}
read["tensorflow"] = lambda product: np.asarray(product.numpy(), np.float64)
expected = left.astype(np.float64) @ right
def errors(precision):
    products = module.build_products(left, right, device="cpu", precision=precision)
    errors = {way: np.linalg.norm(read[name](multiply()) - expected) for way, multiply in products.items()}
    return {way: error / np.linalg.norm(expected) for way, error in errors.items()}
print(json.dumps({precision: errors(precision) for precision in precisions}))
"""


def test_the_products_are_those_of_a_layer_forward_and_backward() -> None:
    rows = 100 * 42
    forward = [(100, 256, 1024), (rows, 256, 1024)]
    assert ceiling.product_shapes(RunConfig()) == [*forward, (256, rows, 1024), (rows, 1024, 256)]


def test_calls_are_timed_until_there_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    assert len(ceiling.time_calls(lambda: calls.append(1))) == ceiling.N_CALLS
    assert len(calls) == ceiling.N_CALLS + ceiling.WARMUP_CALLS
    monkeypatch.setattr(ceiling, "TIME_LIMIT_S", 0.02)
    assert 1 <= len(ceiling.time_calls(lambda: time.sleep(0.005))) <= 5


@cache
def product_errors(name: str) -> dict[str, dict[str, float]]:
    """By precision and way, how far a framework's product is from the right one; of one process."""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": "", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, "-c", MULTIPLY, name, *TOLERANCES]
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert finished.returncode == 0, finished.stderr
    errors: dict[str, dict[str, float]] = json.loads(finished.stdout)
    return errors


@pytest.mark.parametrize("precision", TOLERANCES)
@pytest.mark.parametrize("name", each_framework())
def test_each_way_of_a_framework_computes_the_product(name: str, precision: str) -> None:
    errors = product_errors(name)[precision]
    left_out = {"oneDNN linear"} if precision != "float32" else set()
    left_out |= {"jnp.matmul, rows split over processors"} if len(available_cpus() or []) < 2 else set()
    assert WAYS[name] - left_out <= {*errors} <= WAYS[name]
    assert {way: error for way, error in errors.items() if not error <= TOLERANCES[precision]} == {}
