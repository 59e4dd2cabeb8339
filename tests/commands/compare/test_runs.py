"""What can be compared, and what is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from harness.analysis.compare.quality import find_absences
from harness.analysis.compare.runs import load_runs, recipe_differences, same_learning
from harness.analysis.compare.surroundings import surrounding_differences
from harness.machine import describe_environment
from harness.task.presets import ConfigurationError


@pytest.mark.parametrize(
    ("section", "key", "value", "named"),
    [
        ("task", "max_length", 6, "task.max_length (A: 5, B: 6)"),
        ("model", "hidden", 64, "model.hidden (A: 128, B: 64)"),
        ("optimizer", "kind", "rmsprop", "optimizer.kind (A: adam, B: rmsprop)"),
        ("train", "batch", 32, "train.batch (A: 16, B: 32)"),
    ],
)
def test_other_work_is_refused_with_what_differs(
    make_run: Any, edit: Any, section: str, key: str, value: object, named: str
) -> None:
    before, after = make_run("before", machine=0, n=1), make_run("after", machine=1, n=1)
    edit(after, lambda run: run["configuration"][section].update({key: value}))
    with pytest.raises(ConfigurationError, match="did not train the same thing") as refusal:
        load_runs([before, after])
    assert named in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_another_precision_only_is_refused(make_run: Any) -> None:
    def in_bfloat16(record: dict[str, Any]) -> None:
        record.update(precision="bfloat16", cell=record["cell"].replace("float32", "bfloat16"))

    before = make_run("before", machine=0, n=1)
    after = make_run("after", machine=1, n=1, change=in_bfloat16)
    with pytest.raises(ConfigurationError, match=r"nothing to compare.*float32.*bfloat16"):
        load_runs([before, after])


def test_more_steps_leave_speeds_comparable_but_not_what_was_learned(make_run: Any, edit: Any) -> None:
    before, after = make_run("before", machine=0, n=1), make_run("after", machine=1, n=1)
    assert same_learning(load_runs([before, after]))
    edit(after, lambda run: run["configuration"]["train"].update(chunk=5))
    assert same_learning(load_runs([before, after]))
    edit(after, lambda run: run["configuration"]["train"].update(steps=82))
    runs = load_runs([before, after])
    assert not same_learning(runs)
    assert [item.text for item in recipe_differences(runs)] == [
        "train.steps (A: 41, B: 82)",
        "train.chunk (A: 10, B: 5)",
    ]


def test_a_key_that_an_older_run_does_not_know_is_the_default(make_run: Any, edit: Any) -> None:
    before, after = make_run("before", machine=0, n=1), make_run("after", machine=1, n=1)
    edit(after, lambda run: run["configuration"]["model"].update(forget_bias=1.0))
    assert recipe_differences(load_runs([before, after])) == []
    edit(after, lambda run: run["configuration"]["model"].update(forget_bias=0.0))
    with pytest.raises(ConfigurationError, match=r"model\.forget_bias"):
        load_runs([before, after])


def test_a_folder_that_holds_no_run_is_refused_by_name(make_run: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no-such-run.*no run.json"):
        load_runs([make_run("before", machine=0, n=1), tmp_path / "no-such-run"])


def test_one_run_alone_is_refused(make_run: Any) -> None:
    with pytest.raises(ConfigurationError, match="takes 2 to 26 runs"):
        load_runs([make_run("before", machine=0, n=1)])


def test_what_differs_around_the_runs_is_found_and_what_passes_is_not(make_run: Any, edit: Any) -> None:
    before, after = make_run("before", machine=0, n=1), make_run("after", machine=1, n=1, settings={"threads": 4})

    def alter(run: dict[str, Any]) -> None:
        run["environment"].update(load_average=[9.0], kernel={"release": "7.0"})
        run["environment"]["packages"]["numpy"] = "3.0"
        run["resources"] = {"threads": 4}

    edit(after, alter)
    found = {item.name: item.values for item in surrounding_differences(load_runs([before, after]))}
    assert found == {
        "environment.packages.numpy": {"A": "2.4.6", "B": "3.0"},
        "environment.kernel.release": {"A": None, "B": "7.0"},
        "resources.threads": {"A": None, "B": 4},
        "torch tuned.threads": {"A": 2, "B": 4},
        "torch idiomatic.threads": {"A": 2, "B": 4},
        "jax idiomatic.threads": {"A": 2, "B": 4},
    }


def test_between_two_moments_of_one_machine_nothing_differs(make_run: Any) -> None:
    before = make_run("before", machine=0, n=1, environment=describe_environment())
    filling = np.ones(2**26, np.uint8)
    after = make_run("after", machine=1, n=1, environment=describe_environment() | {"load_average": [9.0, 9.0, 9.0]})
    assert filling.all()
    assert surrounding_differences(load_runs([before, after])) == []


def test_runs_on_two_devices_are_compared(make_run: Any) -> None:
    runs = load_runs([make_run("cpu", machine=0, n=1), make_run("gpu", machine=1, n=1, device="cuda:0")])
    assert list(runs[0].variants) == list(runs[1].variants)


def test_what_one_run_lacks_has_the_reason_of_its_record(make_run: Any) -> None:
    before, after = make_run("before", machine=0, n=1), make_run("after", machine=1, n=1)
    for path in (after / "cells").glob("jax-*.json"):
        record = json.loads(path.read_text())
        path.write_text(json.dumps(record | {"status": "failed", "reason": "out of luck"}))
    [absence] = find_absences(load_runs([before, after]))
    assert (absence.label, absence.letter, absence.reason) == ("jax idiomatic", "B", "failed: out of luck")
