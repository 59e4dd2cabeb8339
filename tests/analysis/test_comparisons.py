from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from harness.analysis.analysis import analyse
from harness.analysis.comparisons import Comparison
from harness.records.reading import read_run

Make = Callable[..., dict[str, Any]]
MakeAll = Callable[..., list[dict[str, Any]]]


def comparisons_of(folder: Path) -> list[Comparison]:
    return analyse(read_run(folder)).comparisons


def test_every_pair_is_compared_and_the_pair_of_one_with_itself_comes_last(repeated_run: Path) -> None:
    *pairs, floor = comparisons_of(repeated_run)
    assert len(pairs) == 3
    against_idiomatic = [pair.conclusion for pair in pairs if "torch idiomatic" in (pair.left, pair.right)]
    assert against_idiomatic == ["left faster", "left faster"]
    assert (floor.left, floor.right, floor.repeats, floor.is_a_a) == ("torch tuned", "torch tuned again", 8, True)
    assert floor.conclusion == "no difference shown"


def test_drift_that_falls_on_both_does_not_widen_the_ratio(repeated_run: Path) -> None:
    run = read_run(repeated_run)
    speed = analyse(run).variants[0].speed
    ratio = comparisons_of(repeated_run)[0].ratio
    assert speed is not None
    assert (ratio.relative_width or 1) < (speed.sequences_per_s.relative_width or 0) / 2


def test_what_is_not_verified_or_elsewhere_is_not_compared(run_folder: Callable[..., Path], record: Make) -> None:
    folder = run_folder(
        record("torch"), record("jax", verified=False), record("tensorflow", device="cuda:0"), record("mxnet")
    )
    assert [{item.left, item.right} for item in comparisons_of(folder)] == [
        {"torch idiomatic cpu", "mxnet idiomatic cpu"}
    ]


def test_a_process_without_a_partner_is_left_out(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    folder = run_folder(*repeats("torch", step_s=0.01, n=7), *repeats("jax", step_s=0.02, n=9))
    assert [item.repeats for item in comparisons_of(folder)] == [7]


def test_where_all_share_no_round_all_processes_are_compared_unpaired(
    run_folder: Callable[..., Path], repeats: MakeAll
) -> None:
    folder = run_folder(*repeats("torch", step_s=0.01, n=6), *repeats("jax", step_s=0.02, n=8, first=6))
    (item,) = comparisons_of(folder)
    assert (item.repeats, item.n_least, item.conclusion) == (None, 6, "left faster")


def test_one_pair_of_processes_allows_no_conclusion(run_folder: Callable[..., Path], record: Make) -> None:
    (item,) = comparisons_of(run_folder(record("torch"), record("jax", step_s=0.02)))
    assert item.ratio.estimate > 1.5
    assert (item.ratio.low, item.conclusion) == (None, None)


def test_a_pair_whose_second_set_failed_is_no_comparison(
    run_folder: Callable[..., Path], record: Make, failure: Make
) -> None:
    pair = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 1}
    folder = run_folder(record("torch"), failure("torch", "failed", "broken", repeat=1), a_a=pair)
    assert analyse(read_run(folder)).a_a is None


@pytest.mark.parametrize(("again_s", "conclusion"), [(0.0101, "left faster"), (0.0125, "no difference shown")])
def test_a_lead_within_the_noise_floor_is_none(
    run_folder: Callable[..., Path], repeats: MakeAll, again_s: float, conclusion: str
) -> None:
    """The lead is 1.2, with an interval above 1 in both runs; the A/A pair reaches 1.01 and 1.25."""
    again = repeats("torch", step_s=again_s, first=8)
    pair = {"backend": "torch", "implementation": "idiomatic", "precision": "float32", "first_repeat": 8}
    cells = [*repeats("torch", step_s=0.010), *repeats("jax", step_s=0.012), *again]
    lead, a_a = comparisons_of(run_folder(*cells, a_a=pair))
    assert lead.ratio.low is not None
    assert lead.ratio.low > 1.1
    assert lead.conclusion == conclusion
    assert a_a.conclusion == "no difference shown"


def test_beside_other_work_nothing_is_faster(run_folder: Callable[..., Path], repeats: MakeAll) -> None:
    cells = [*repeats("torch", step_s=0.010), *repeats("jax", step_s=0.14), *repeats("mxnet", step_s=0.5)]
    cells[8]["other_cpu_share"] = 0.48
    found = {
        (item.left.split()[0], item.right.split()[0]): item.conclusion for item in comparisons_of(run_folder(*cells))
    }
    busy = "machine busy"
    assert found == {("torch", "jax"): busy, ("torch", "mxnet"): "left faster", ("jax", "mxnet"): busy}
