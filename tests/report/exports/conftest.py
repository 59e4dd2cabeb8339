"""Synthetic runs to export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests import made_up_runs as synthetic


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
