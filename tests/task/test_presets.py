from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backends.contract import WIRINGS, OptimizerSpec
from harness.task.copy_task import CopyTask
from harness.task.presets import ConfigurationError, convert, load_preset, preset_names
from harness.task.recipe import ModelConfig


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_loads_and_survives_its_dictionary(name: str) -> None:
    config = load_preset(name)
    assert convert(config.to_dict()) == config


def test_the_seed_preset_is_the_seeds_recipe() -> None:
    config = load_preset("original")
    assert config.task == CopyTask(bits=8, min_length=1, max_length=20)
    assert config.model == ModelConfig(layers=3, hidden=256, forget_bias=1.0, input_scale=1.0)
    assert config.model_spec().n_parameters() == 1_326_088
    assert (config.train.batch, config.train.steps) == (100, 40 * 1_000)
    assert (config.train.learning_rate, config.train.schedule, config.train.warmup_steps) == (3e-5, "constant", 0)
    assert config.optimizer == OptimizerSpec(
        kind="rmsprop",
        decay=0.9,
        momentum=0.9,
        epsilon=1e-10,
        epsilon_inside_root=True,
        initial_v=1.0,
        clip="element",
        clip_value=10.0,
    )
    assert (config.evaluate.test_batches, config.evaluate.test_batch) == (100, 100)


def test_the_paper_preset_is_what_the_paper_states_with_the_inferred_wiring() -> None:
    config = load_preset("paper")
    assert (config.task.min_length, config.task.max_length, config.task.bits) == (1, 20, 8)
    assert (config.model.layers, config.model.hidden) == (3, 256)
    assert config.model_spec().wiring == WIRINGS
    assert config.model_spec().n_parameters() == 1_352_969
    optimizer = config.optimizer
    assert (optimizer.kind, optimizer.momentum, config.train.learning_rate) == ("rmsprop", 0.9, 3e-5)
    assert (optimizer.clip, optimizer.clip_value) == ("element", 10.0)
    assert config.train.batch * config.train.steps == 1_000_000


def test_the_preset_for_speed_alone_is_not_about_learning() -> None:
    assert [name for name in preset_names() if not load_preset(name).evaluate.learning] == ["throughput"]


def test_set_overrides_one_key_and_leaves_the_others() -> None:
    config = load_preset("quick", ["model.hidden=64", "train.schedule=constant", "evaluate.beyond=[2, 4.5]"])
    assert (config.model.hidden, config.model.layers) == (64, 3)
    assert config.train.schedule == "constant"
    assert config.evaluate.beyond == (2.0, 4.5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.hiden=64", "unknown key model.hiden; did you mean model.hidden? allowed: layers, hidden"),
        ("modle.hidden=64", "unknown section modle; did you mean model? allowed: task, model"),
        ("model.hidden=0", "model.hidden must be at least 1, not 0"),
        ("model.hidden=many", "model.hidden: expected `int`, got `str`"),
        ("model.hidden=1.5", "model.hidden: expected `int`, got `float`"),
        ("train.learning_rate=nan", "train.learning_rate must be at least 0, not nan"),
        ("train.stop_at_loss=0.01", "unknown key train.stop_at_loss"),
        ("train.schedule=linear", "train.schedule must be one of constant, cosine, not 'linear'"),
        ("optimizer.beta2=1", "optimizer.beta2 must be at least 0 and below 1, not 1"),
        ("optimizer.kind=sgd", "optimizer.kind must be one of adam, rmsprop, not 'sgd'"),
        ("task.idle_outputs=-1", "task.idle_outputs must be at least 0, not -1"),
        ("model.learned_initial_state=1", "model.learned_initial_state: expected `bool`, got `int`"),
        ("task.max_length=0", "task.max_length must be at least 1, not 0"),
        ("hidden=3", "--set 'hidden=3' is not of the form section.key=value"),
        ("model.hidden", "--set 'model.hidden' is not of the form section.key=value"),
    ],
)
def test_a_wrong_override_is_one_clear_line(override: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_preset("quick", [override])
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_preset_names_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match=r"unknown preset 'quik'; did you mean quick\? allowed: .*quick"):
        load_preset("quik")


def test_a_file_is_a_preset(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[model]\nhidden = 7\n")
    assert load_preset(str(path)).model.hidden == 7


def test_a_file_that_is_not_toml_is_named_with_line_and_column(tmp_path: Path) -> None:
    path = tmp_path / "broken.toml"
    path.write_text("[model]\nhidden = = 7\n")
    with pytest.raises(ConfigurationError, match=r"broken\.toml is not TOML: .*line 2, column 10"):
        load_preset(str(path))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"absent\.toml: No such file"):
        load_preset(str(tmp_path / "absent.toml"))


@given(st.text(max_size=40))
def test_any_override_gives_a_configuration_or_one_line(text: str) -> None:
    try:
        load_preset("quick", [text])
    except ConfigurationError as error:
        assert str(error)


def test_a_preset_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text("[train]\nsteps = 7\n", encoding="utf-8-sig")
    assert load_preset(str(path)).train.steps == 7
