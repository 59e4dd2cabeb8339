"""The times of training taken apart: steady steps, first calls of each shape, pauses, and several processes."""

from __future__ import annotations

import pytest
from msgspec import convert, json
from msgspec.structs import replace

from harness.cells.history import History
from harness.records.messages import HistoryState


def append(history: History, *calls: tuple[int, int, float]) -> None:
    """Calls of (steps, time steps, seconds)."""
    for n_steps, time_steps, train_s in calls:
        history.append([0.5] * n_steps, time_steps=time_steps, data_s=0.25, train_s=train_s, cpu_s=2 * train_s)


def test_a_shape_is_its_steps_and_its_time_steps() -> None:
    history = History()
    append(history, (5, 8, 1.0), (5, 16, 1.0), (5, 8, 1.0), (5, 8, 1.0), (3, 8, 1.0), (5, 16, 1.0), (5, 16, 1.0))
    assert history.chunks.warmup == [True, True, True, False, True, True, False]
    assert history.chunks.first == [True, True, False, False, True, False, False]
    assert history.chunks.time_steps == [8, 16, 8, 8, 8, 16, 16]


def test_what_further_shapes_cost_is_taken_apart_at_the_pace_of_their_own() -> None:
    history = History()
    for n_steps, time_steps, first_s, steady_s in ((1, 8, 10.0, 1.0), (1, 16, 20.0, 3.0), (2, 8, 5.0, 2.0)):
        append(history, (n_steps, time_steps, first_s), *[(n_steps, time_steps, steady_s)] * 3)
    times = history.times()
    assert times["first_step_s"] == 10.0
    assert times["recompile_s"] == (20.0 - 3.0) + (5.0 - 2.0)
    assert sum(times[part] for part in ("first_step_s", "recompile_s", "steady_s")) == sum(history.chunks.train_s)


def test_a_shape_without_a_steady_call_goes_at_the_pace_of_the_others_for_as_many_time_steps() -> None:
    history = History()
    append(history, (1, 8, 4.0), *[(1, 8, 1.0)] * 3, (1, 16, 7.0))
    assert history.times()["recompile_s"] == 7.0 - 2.0


def test_one_shape_recompiles_nothing() -> None:
    history = History()
    append(history, *[(2, 8, 1.0)] * 4)
    assert "recompile_s" not in history.times()


def test_pauses_are_no_part_of_a_chunk_and_stand_before_the_next() -> None:
    history = History()
    append(history, (1, 8, 1.0))
    history.pause("validation", 2.0)
    history.pause("checkpoint", 0.5)
    append(history, (1, 8, 1.0), (1, 8, 1.0))
    assert history.chunks.pause_s == [0.0, 2.5, 0.0]
    times = history.times()
    assert (times["validation_s"], times["checkpoint_s"]) == (2.0, 0.5)


def test_a_history_goes_on_with_another_clock_and_warms_up_again() -> None:
    history = History()
    append(history, *[(1, 8, 1.0)] * 3)
    history.pause("checkpoint", 0.5)
    history.data_cpu_s = 0.75
    told = json.decode(json.encode(replace(history.state(), elapsed_s=1000.0)), type=HistoryState)
    later = History(told)
    assert later.elapsed_s() >= 1000.0
    append(later, *[(1, 8, 3.0)] * 3)
    assert later.resumed_at_steps == [3]
    assert later.data_cpu_s == 0.75
    assert later.chunks.warmup == [True, True, False, True, True, False]
    assert later.chunks.cpu_s == [2.0] * 3 + [6.0] * 3
    assert later.chunks.pause_s == [0.0, 0.0, 0.0, 0.5, 0.0, 0.0]
    assert later.chunks.elapsed_s[3] >= 1000.0
    assert later.times()["recompile_s"] == pytest.approx(3.0 - 2.0)
    assert history.losses == [0.5] * 3


def test_a_history_that_goes_on_from_one_without_cpu_times_has_none() -> None:
    history = History()
    append(history, (1, 8, 1.0))
    told = json.decode(json.encode(history.state()), type=dict)
    del told["chunks"]["cpu_s"]
    later = History(convert(told, HistoryState))
    append(later, (1, 8, 1.0))
    assert later.chunks.steps == [1, 1]
    assert later.chunks.cpu_s == []
