"""A made-up slowdown is found, and two runs of the same thing are the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from harness.compare.runs import load_runs
from harness.compare.speeds import (
    FASTER,
    NO_DIFFERENCE,
    SLOWER,
    TOO_FEW,
    SpeedChange,
    machine_change,
    speed_changes,
)
from harness.stats import Interval


def conclusions(*folders: Path) -> dict[str, str]:
    return {change.label: change.conclusion for change in speed_changes(load_runs(list(folders)))}


@pytest.mark.parametrize("machine", range(5))
def test_a_slowdown_of_10_per_cent_is_found_where_it_is_and_nowhere_else(make_run: Any, machine: int) -> None:
    before = make_run("before", machine=machine)
    after = make_run("after", machine=100 + machine, slower={"torch": 1.10})
    found = conclusions(before, after)
    assert found == {"torch tuned": SLOWER, "torch idiomatic": SLOWER, "jax idiomatic": NO_DIFFERENCE}
    assert conclusions(after, before)["torch tuned"] == FASTER


@pytest.mark.parametrize("machine", range(5))
def test_two_runs_of_the_same_thing_show_no_difference(make_run: Any, machine: int) -> None:
    found = conclusions(make_run("before", machine=machine), make_run("after", machine=100 + machine))
    assert set(found.values()) == {NO_DIFFERENCE}


def test_the_ratio_is_of_the_later_speed_to_the_first(make_run: Any) -> None:
    runs = load_runs([make_run("before", machine=0), make_run("after", machine=1, slower={"jax": 2.0})])
    change = next(change for change in speed_changes(runs) if change.label == "jax idiomatic")
    assert change.ratio.estimate == pytest.approx(0.5, rel=0.03)
    assert change.time_increase == pytest.approx(1.0, rel=0.06)
    assert change.ratio.low < change.ratio.estimate < change.ratio.high  # type: ignore[operator]
    assert change.processes == (8, 8)


def test_three_processes_a_side_conclude_nothing_and_one_has_no_interval(make_run: Any) -> None:
    for n in (1, 3):
        before = make_run(f"before-{n}", machine=0, n=n)
        after = make_run(f"after-{n}", machine=1, n=n, slower={"torch": 1.5})
        assert set(conclusions(before, after).values()) == {TOO_FEW}
    assert speed_changes(load_runs([before, after]))[0].processes == (3, 3)


def test_a_difference_within_the_noise_of_one_implementation_against_itself_is_none() -> None:
    rate = Interval(100.0)
    known = {"key": ("torch", "tuned", "float32"), "label": "", "before": "A", "after": "B", "normalised": None}
    rank = {"p_value": 1e-4, "n_compared": 3}
    shared = {"before_rate": rate, "after_rate": rate, "processes": (8, 8), "verified": (True, True), **rank}
    ratio = Interval(0.95, 0.93, 0.97)
    assert SpeedChange(**known, **shared, ratio=ratio, noise=0.0).conclusion == SLOWER
    assert SpeedChange(**known, **shared, ratio=ratio, noise=0.06).conclusion == NO_DIFFERENCE


def test_a_slower_machine_is_told_from_slower_code_by_its_products(make_run: Any) -> None:
    before = make_run("before", machine=0)
    after = make_run("after", machine=1, slower={"torch": 1.25, "jax": 1.25}, products=160e9)
    runs = load_runs([before, after])
    machine = machine_change(*runs)
    assert machine is not None
    assert (machine.ratio, machine.products) == (pytest.approx(0.8, rel=0.03), 1)
    for change in speed_changes(runs):
        assert change.conclusion == SLOWER
        assert change.normalised is not None
        assert change.normalised.estimate == pytest.approx(1.0, abs=0.04)


def test_without_products_in_common_there_is_no_normalised_ratio(make_run: Any) -> None:
    before, after = make_run("before", machine=0), make_run("after", machine=1)
    (after / "ceiling.json").unlink()
    assert all(change.normalised is None for change in speed_changes(load_runs([before, after])))


def test_several_runs_are_each_held_against_the_first(make_run: Any) -> None:
    folders = [make_run(name, machine=place) for place, name in enumerate(("one", "two", "three"))]
    assert [(change.before, change.after) for change in speed_changes(load_runs(folders))] == [("A", "B")] * 3 + [
        ("A", "C")
    ] * 3
