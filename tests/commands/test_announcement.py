"""What is said before a run and between its cells."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from backends import Backend
from harness.commands.announcement import describe_plan, describe_processors
from harness.processes.plan import plan_cells
from harness.processes.process import Resources
from harness.processes.schedule import Schedule, say_duration
from harness.processes.selection import Selection, check_gpus
from harness.records.identity import PlannedCell
from harness.task.presets import ConfigurationError
from harness.task.recipe import RunConfig

INSTALLED = [Backend(name, {"idiomatic": "m", "tuned": "m"}, ("numpy",)) for name in ("one", "two")]
ABSENT = Backend("absent", {"idiomatic": "m"}, ("no_such_package",))


def make_selection(*backends: Backend) -> Selection:
    return Selection(
        backends=list(backends),
        everything=False,
        implementations=["idiomatic", "tuned"],
        preset="quick",
        config=RunConfig(),
        precisions=["float32"],
        resources=Resources("auto", 1),
    )


def make_cells(*backends: Backend, repeats: int = 1) -> list[PlannedCell]:
    return plan_cells(list(backends), ["idiomatic", "tuned"], ["float32"], [0], repeats).cells


def test_the_plan_names_what_is_trained_how_and_what_is_missing() -> None:
    text = " ".join(describe_plan(make_selection(*INSTALLED, ABSENT), make_cells(*INSTALLED, ABSENT, repeats=2)))
    for part in (
        *("one idiomatic", "two tuned", "float32, seed 0: 12 cells in turn, each in a fresh process"),
        *("repeats interleaved", "patterns of 1 to 20 vectors", "3 x 256 units", "1,000 steps of 100 sequences"),
        *("1 CPU thread.", "Not installed, so only a row with the reason: absent."),
    ):
        assert part in text


def test_one_cell_is_one_cell() -> None:
    cells = make_cells(INSTALLED[0])[:1]
    assert "one cell, in a fresh process." in " ".join(describe_plan(make_selection(INSTALLED[0]), cells))


def test_ranks_are_told_with_what_each_has() -> None:
    selection = dataclasses.replace(make_selection(INSTALLED[0]), resources=Resources("cpu", 1, ranks=2))
    text = " ".join(describe_plan(selection, make_cells(INSTALLED[0])[:1]))
    assert "one cell, in 2 fresh processes that train it together." in text
    assert "1 CPU thread a rank." in text


def test_like_takes_as_long_as_like_and_the_unseen_as_the_others_on_average() -> None:
    cells = [
        PlannedCell(INSTALLED[place], "idiomatic", "float32", 0, repeat)
        for repeat, place in ((0, 0), (0, 1), (1, 0), (1, 1))
    ]
    schedule = Schedule([*cells, PlannedCell(ABSENT, "idiomatic", "float32", 0, 0)])
    assert schedule.left_s() is None
    assert str(schedule) == "0 of 5"
    schedule.finish(cells[0], 100.0)
    assert schedule.left_s() == pytest.approx(300.0)
    assert str(schedule) == "1 of 5, about 5 min left"
    schedule.finish(cells[1], 40.0)
    assert schedule.left_s() == pytest.approx(140.0)
    for cell in cells[2:]:
        schedule.finish(cell, 100.0)
    assert schedule.left_s() == 0
    schedule.finish(schedule.cells[-1], None)
    assert str(schedule) == "5 of 5"


def test_nodes_share_what_is_left() -> None:
    schedule = Schedule(
        [PlannedCell(INSTALLED[0], "idiomatic", "float32", 0, repeat) for repeat in range(6)], n_at_once=3
    )
    schedule.finish(schedule.cells[0], 100.0)
    assert schedule.left_s() == pytest.approx(500.0 / 3)
    for cell in schedule.cells[1:5]:
        schedule.finish(cell, 100.0)
    assert schedule.left_s() == pytest.approx(100.0)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "1 s"),
        (89, "89 s"),
        (170, "3 min"),
        (3_600, "1 h"),
        (4_900, "1 h 22 min"),
        (86_400, "1 day"),
        (190_000, "2 days 4 h"),
    ],
)
def test_durations_have_two_units_at_most(seconds: float, text: str) -> None:
    assert say_duration(seconds) == text


@pytest.mark.parametrize(("visible", "n_visible"), [("", 0), ("-1", 0), ("3", 1), ("0,-1,2", 1), ("0,1,2,3", 4)])
def test_hidden_gpus_are_told_and_no_two_ranks_share_one(
    visible: str, n_visible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    for module in ("harness.commands.announcement", "harness.processes.selection"):
        monkeypatch.setattr(f"{module}.gpu_devices", lambda: [{"name": "made up"}] * 4)
    text = describe_processors(Resources("auto", 1))
    assert (f"CUDA_VISIBLE_DEVICES shows {n_visible} of 4 GPUs." in text) == (n_visible < 4)
    assert "GPU" not in describe_processors(Resources("cpu", 1))
    # Where none is seen, the ranks take processors.
    refused = pytest.raises(ConfigurationError, match="there are 4, of which CUDA_VISIBLE_DEVICES shows 1; allowed: ")
    with refused if n_visible == 1 else contextlib.nullcontext():
        check_gpus(Resources("auto", 1, ranks=2))
