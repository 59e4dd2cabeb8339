"""Synthetic runs to export."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


def _load_synthetic() -> Any:
    path = Path(__file__).parents[1] / "report" / "conftest.py"
    spec = importlib.util.spec_from_file_location("synthetic_runs", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


synthetic = _load_synthetic()


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """A run of torch and jax in n processes each, torch taking step_s a step, beside one that failed."""

    def make(name: str, *, step_s: float = 0.010, n: int = 4, verified: bool = True) -> Path:
        records = [
            *synthetic.make_repeats("torch", step_s=step_s, n=n, verified=verified),
            *synthetic.make_repeats("jax", step_s=0.020, n=n),
            synthetic.make_failure("mxnet", "not_installed", "install the extra mxnet"),
        ]
        return Path(synthetic.write_run(tmp_path / name, records))

    return make
