"""PyTorch's step in a graph takes the steps that the eager one takes; a CPU stands in for the graph.

The process that looks is tests/backends/captured_steps.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backends import BACKENDS
from backends.contract import OPTIMIZERS
from tests.frameworks import marks

PROJECT = Path(__file__).parents[2]

pytestmark = marks(BACKENDS["torch"])


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_a_captured_step_is_the_eager_step(kind: str) -> None:
    """Of two shapes, with changing learning rates, before and after a state is restored, in place."""
    command = [sys.executable, "-m", "tests.backends.captured_steps", kind]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "CUDA_VISIBLE_DEVICES": ""}
    finished = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert finished.returncode == 0, finished.stderr
    observed = json.loads(finished.stdout)
    assert observed.pop("losses") < 1e-6
    assert observed.pop("state") < 1e-6
    assert observed == {"same places": True, "graphs": 2, "execution": ["eager", "CUDA graph of a step"]}


def test_bfloat16_is_refused_where_autocast_rounds_to_something_else() -> None:
    """As cuDNN's LSTM is handed float16; here nothing is rounded."""
    ask = """
import contextlib, torch
from unittest import mock
from backends.torch.tuned import check_bfloat16_lstm
with mock.patch("torch.autocast", lambda *_: contextlib.nullcontext()):
    check_bfloat16_lstm(torch.device("cpu"))
"""
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    finished = subprocess.run([sys.executable, "-c", ask], capture_output=True, text=True, env=environment, timeout=300)
    assert finished.stderr.strip().endswith("rounds an LSTM's products to float32 on this device, not to bfloat16")
