from __future__ import annotations

import threading

import numpy as np

from harness.cells.chunks import Chunks, make_chunk
from harness.task.copy_task import CopyTask
from harness.task.recipe import RunConfig, TrainConfig

CONFIG = RunConfig(task=CopyTask(max_length=3), train=TrainConfig(batch=2, steps=7, chunk=3))


def test_chunks_made_ahead_are_those_made_when_needed() -> None:
    with Chunks(CONFIG, 5, 0) as chunks:
        for first_step in (0, 3, 6):
            (taken, _), made = chunks.take(), make_chunk(CONFIG, 5, first_step)
            for name in ("inputs", "targets", "learning_rates"):
                np.testing.assert_array_equal(getattr(taken, name), getattr(made, name))


def test_a_cell_goes_on_in_the_middle_of_its_data() -> None:
    with Chunks(CONFIG, 5, 3) as chunks:
        taken, _ = chunks.take()
    np.testing.assert_array_equal(taken.inputs, make_chunk(CONFIG, 5, 3).inputs)


def test_nothing_is_made_after_the_last_step() -> None:
    with Chunks(CONFIG, 0, 6) as chunks:
        chunks.take()
        assert chunks.ahead is None


def test_no_thread_is_left_behind() -> None:
    with Chunks(CONFIG, 0, 0) as chunks:
        chunks.take()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("chunks")]
