from __future__ import annotations

import math
from types import SimpleNamespace

import numpy as np
import pytest

from backends.contract import WIRINGS, OptimizerSpec
from harness.task.copy_task import CopyTask
from harness.task.presets import ConfigurationError, convert
from harness.task.recipe import EvaluateConfig, InferenceConfig, ModelConfig, RunConfig, TargetConfig, TrainConfig


def test_a_constant_schedule_is_the_learning_rate_at_every_step() -> None:
    rates = TrainConfig(steps=10, learning_rate=0.25).learning_rates(3, 4)
    assert rates.dtype == np.float32
    assert rates.tolist() == [0.25] * 4


def test_a_cosine_schedule_falls_from_the_rate_to_zero() -> None:
    train = TrainConfig(steps=4, learning_rate=1.0, schedule="cosine")
    expected = [0.5 * (1 + math.cos(math.pi * step / 4)) for step in range(4)]
    np.testing.assert_allclose(train.learning_rates(0, 4), expected, rtol=1e-6)


def test_warmup_rises_linearly_to_the_schedule() -> None:
    rates = TrainConfig(steps=10, learning_rate=1.0, warmup_steps=4).learning_rates(0, 6)
    np.testing.assert_allclose(rates, [0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


def test_a_learning_rate_does_not_depend_on_how_steps_are_chunked() -> None:
    train = TrainConfig(steps=9, learning_rate=1.0, schedule="cosine", warmup_steps=3)
    pieces = np.concatenate([train.learning_rates(0, 4), train.learning_rates(4, 5)])
    assert pieces.tolist() == train.learning_rates(0, 9).tolist()


def test_lengths_are_the_trained_then_the_longer_ones() -> None:
    task = CopyTask(min_length=2, max_length=5)
    assert EvaluateConfig().lengths(task) == [2, 3, 4, 5, 8, 10, 15, 30]
    assert EvaluateConfig().copy_lengths(task) == [3, 5, 10, 30]
    assert EvaluateConfig(beyond=()).lengths(task) == [2, 3, 4, 5, 10, 30]


def test_the_model_takes_its_channels_from_the_task() -> None:
    config = RunConfig(task=CopyTask(bits=5), model=ModelConfig(layers=2, hidden=7))
    spec = config.model_spec()
    assert (spec.inputs, spec.outputs, spec.hidden, spec.layers) == (7, 5, 7, 2)
    assert spec.wiring == ()


def test_idle_outputs_and_the_wiring_reach_the_model() -> None:
    wired = ModelConfig(layers=2, hidden=7, input_to_every_layer=True, learned_initial_state=True)
    spec = RunConfig(task=CopyTask(bits=5, idle_outputs=2), model=wired).model_spec()
    assert (spec.inputs, spec.outputs) == (7, 7)
    assert spec.wiring == ("input_to_every_layer", "learned_initial_state")


def test_a_configuration_from_before_the_wiring_is_a_plain_stack() -> None:
    sections = RunConfig().to_dict()
    for section, keys in {"model": WIRINGS, "task": ("idle_outputs",)}.items():
        for key in keys:
            del sections[section][key]
    assert convert(sections) == RunConfig()


def test_a_configuration_that_times_no_inference_is_as_before_there_was_any() -> None:
    assert "inference" not in RunConfig().to_dict()
    assert "inference" not in RunConfig(inference=InferenceConfig(batch=8)).to_dict()
    config = RunConfig(inference=InferenceConfig(batch=8, rounds=2))
    assert config.to_dict()["inference"] == {"batch": 8, "rounds": 2}
    assert convert(config.to_dict()) == config


@pytest.mark.parametrize("section", [{"batch": 0}, {"rounds": -1}])
def test_a_count_of_inference_out_of_range_is_refused_by_name(section: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"inference.{next(iter(section))} must be at least"):
        InferenceConfig(**section)


def test_a_dictionary_is_the_whole_configuration() -> None:
    config = RunConfig(optimizer=OptimizerSpec(kind="rmsprop"), evaluate=EvaluateConfig(beyond=(2.0,)))
    assert convert(config.to_dict()) == config


@pytest.mark.parametrize("section", [{"batch": 0}, {"steps": 0}, {"chunk": 0}, {"warmup_steps": -1}])
def test_a_size_out_of_range_is_refused_by_name(section: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=f"train.{next(iter(section))} must be at least"):
        TrainConfig(**section)


def test_a_target_is_met_where_each_of_its_bounds_is() -> None:
    measured = SimpleNamespace(original_loss=0.0080, wrong_bits_per_sequence=0.2)
    assert TargetConfig(original_loss=0.0080).is_met_by(measured)
    assert not TargetConfig(original_loss=0.0079).is_met_by(measured)
    assert not TargetConfig(original_loss=0.0080, wrong_bits_per_sequence=0.1).is_met_by(measured)
    assert not TargetConfig().is_met_by(measured)


def test_a_target_needs_evaluations_and_stopping_needs_a_target() -> None:
    with pytest.raises(ValueError, match=r"a target needs train\.evaluate_every"):
        RunConfig(target=TargetConfig(original_loss=0.1))
    with pytest.raises(ValueError, match=r"train\.stop_at_target needs a target"):
        RunConfig(train=TrainConfig(stop_at_target=True))
    with pytest.raises(ValueError, match=r"target\.original_loss must be at least 0"):
        TargetConfig(original_loss=-1.0)


@pytest.mark.parametrize(
    "train",
    [{"steps": 10_000_000, "chunk": 1}, {"steps": 3_000_000}, {"steps": 200_000, "chunk": 100, "evaluate_every": 1}],
)
def test_more_steps_than_a_record_has_room_for_are_refused_in_one_line(train: dict[str, int]) -> None:
    with pytest.raises(ConfigurationError, match=r"a record has room for 60 MiB: take fewer steps, a larger") as caught:
        convert({"train": train})
    assert "\n" not in str(caught.value)


def test_batches_that_vary_in_length_are_calls_of_their_own() -> None:
    task = {"padding": "trimmed", "lengths_per_batch": "one"}
    assert convert({"train": {"steps": 1_000_000, "chunk": 100}})
    with pytest.raises(ConfigurationError, match="a record has room for"):
        convert({"train": {"steps": 1_000_000, "chunk": 100}, "task": task})
