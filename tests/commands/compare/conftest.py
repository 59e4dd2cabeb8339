"""Pairs of synthetic runs: the same work on a noisy machine, before and after a change that made some of it slower."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import made_up_runs as synthetic

VARIANTS = (("torch", "tuned", 0.010), ("torch", "idiomatic", 0.013), ("jax", "idiomatic", 0.016))
NOISE = 0.02


MakeRun = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """A run whose processes differ by NOISE, with `slower` a factor on the steps of the backends it names. Where there
    are repeats, the first variant runs twice as often, as `run` has it."""

    def make(
        name: str,
        *,
        machine: int,
        n: int = 8,
        slower: dict[str, float] | None = None,
        products: float = 200e9,
        change: Callable[[dict[str, Any]], None] | None = None,
        environment: dict[str, Any] | None = None,
        **changes: Any,
    ) -> Path:
        generator = np.random.default_rng(machine)
        records = []
        a_a = dict(zip(("backend", "implementation"), VARIANTS[0], strict=False))
        for place, (backend, implementation, step_s) in enumerate(VARIANTS):
            for repeat in range(2 * n if place == 0 and n > 1 else n):
                factor = (slower or {}).get(backend, 1.0) * generator.lognormal(0, NOISE)
                chunks = synthetic.make_chunks((step_s * factor * generator.uniform(0.98, 1.02, 12)).tolist())
                record = synthetic.make_record(
                    backend, implementation=implementation, repeat=repeat, chunks=chunks, **changes
                )
                if change:
                    change(record)
                records.append(record)
        samples = [synthetic.make_product(2 * 16 * 128 * 512 / (products * generator.lognormal(0, 0.01)))] * 3
        about = {"environment": environment} if environment else {}
        pair = {**a_a, "precision": "float32", "first_repeat": n} if n > 1 else None
        return Path(synthetic.write_run(tmp_path / name, records, products=samples, a_a=pair, **about))

    return make


@pytest.fixture
def edit() -> Callable[..., None]:
    """A function that changes a run's run.json in place."""

    def change(folder: Path, alter: Callable[[dict[str, Any]], None]) -> None:
        path = folder / "run.json"
        content = json.loads(path.read_text())
        alter(content)
        path.write_text(json.dumps(content))

    return change
