from __future__ import annotations

from backends import Backend
from harness.processes.plan import plan_cells
from harness.records.structs import AAPair

LEFT = Backend("left", {"idiomatic": "left.idiomatic", "tuned": "left.tuned"}, packages=("numpy",))
RIGHT = Backend("right", {"idiomatic": "right.idiomatic"}, packages=("numpy",))
ABSENT = Backend("absent", {"tuned": "no_such_package.tuned"}, packages=("no_such_package",))


def test_every_round_has_every_variant_once_and_one_of_them_twice() -> None:
    plan = plan_cells([LEFT, RIGHT], ["idiomatic", "tuned"], ["float32"], [0, 5], 3)
    names = [cell.name for cell in plan.cells]
    for number in range(6):
        repeat, seed = divmod(number, 2)
        seed = (0, 5)[seed]
        expected = {
            f"{kind}-float32-seed{seed}-r{repeat}" for kind in ("left-idiomatic", "left-tuned", "right-idiomatic")
        }
        expected.add(f"left-tuned-float32-seed{seed}-r{3 + repeat}")
        assert set(names[4 * number : 4 * number + 4]) == expected
    assert len(set(names)) == len(names) == 24
    assert plan.a_a == AAPair("left", "tuned", "float32", first_repeat=3)


def test_the_order_changes_from_round_to_round_and_is_the_same_each_time() -> None:
    plan = plan_cells([LEFT, RIGHT], ["idiomatic", "tuned"], ["float32"], [0], 8)
    rounds = [[cell.backend.name + cell.implementation for cell in plan.cells[n : n + 4]] for n in range(0, 32, 4)]
    assert len({tuple(round_) for round_ in rounds}) > 1
    assert plan == plan_cells([LEFT, RIGHT], ["idiomatic", "tuned"], ["float32"], [0], 8)


def test_one_process_each_is_not_compared_with_itself() -> None:
    plan = plan_cells([LEFT], ["idiomatic", "tuned"], ["float32"], [0], 1)
    assert plan.a_a is None
    assert len(plan.cells) == 2


def test_an_implementation_a_backend_lacks_is_left_out() -> None:
    assert plan_cells([RIGHT], ["tuned"], ["float32"], [0], 1).cells == []


def test_what_is_not_installed_is_never_the_one_compared_with_itself() -> None:
    plan = plan_cells([ABSENT, RIGHT], ["idiomatic", "tuned"], ["float32"], [0], 2)
    assert plan.a_a is not None
    assert plan.a_a.backend == "right"


def test_every_precision_is_a_variant_of_its_own() -> None:
    plan = plan_cells([LEFT], ["tuned"], ["float32", "bfloat16"], [0], 2)
    assert {cell.variant for cell in plan.cells} == {("left", "tuned", "float32"), ("left", "tuned", "bfloat16")}
    assert plan.a_a is not None
    assert plan.a_a.precision == "float32"
