from __future__ import annotations

from backends import BACKENDS
from harness.plan import plan_cells


def test_backends_take_turns_within_each_seed_and_repeat() -> None:
    backends = [BACKENDS["torch"], BACKENDS["jax"]]
    cells = plan_cells(backends, ["idiomatic"], "float32", [0, 5], 2)
    assert [cell.name for cell in cells] == [
        f"{backend}-idiomatic-float32-seed{seed}-r{repeat}"
        for repeat in (0, 1)
        for seed in (0, 5)
        for backend in ("torch", "jax")
    ]


def test_an_implementation_a_backend_lacks_is_left_out() -> None:
    assert plan_cells([BACKENDS["reference"]], ["tuned"], "float32", [0], 1) == []
