"""The faster of two ways is gone, and one that fails is not."""

from __future__ import annotations

import re
import time

import pytest

from backends import BACKENDS
from tests.frameworks import marks

pytestmark = marks(BACKENDS["jax"])


def test_the_faster_way_is_chosen_and_both_times_are_told() -> None:
    from backends.jax.device import BY_CUDNN, BY_SCAN
    from backends.jax.trial import find_fastest

    def at_once() -> None:
        pass

    for slow, fast in ((BY_SCAN, BY_CUDNN), (BY_CUDNN, BY_SCAN)):
        trial = find_fastest({BY_SCAN: at_once, BY_CUDNN: at_once} | {slow: lambda: time.sleep(0.02)})
        assert trial.way == fast
        both = r"lax.scan with custom_vjp: \S+ ms; jax.experimental.rnn with cuDNN: \S+ ms"
        assert re.fullmatch(both, str(trial.said))


def test_a_way_that_fails_is_not_chosen_and_its_error_is_told() -> None:
    from backends.jax.device import BY_CUDNN, BY_SCAN
    from backends.jax.trial import find_fastest

    def fail() -> None:
        raise RuntimeError("no kernel\nand a trace")

    trial = find_fastest({BY_SCAN: lambda: time.sleep(0.001), BY_CUDNN: fail})
    assert trial.way == BY_SCAN
    assert str(trial.said).endswith("; jax.experimental.rnn with cuDNN: RuntimeError: no kernel")
    with pytest.raises(RuntimeError, match="no kernel"):
        find_fastest({BY_SCAN: fail, BY_CUDNN: lambda: None})


def test_where_there_is_one_way_it_is_not_tried() -> None:
    from backends.jax.device import BY_SCAN
    from backends.jax.trial import Trial, find_fastest

    def fail() -> None:
        raise AssertionError("tried")

    assert find_fastest({BY_SCAN: fail}) == Trial(BY_SCAN)


def test_cudnns_lstm_fails_without_a_gpu_and_leaves_the_scan() -> None:
    """The real thing, as far as it goes: JAX cannot even trace it here."""
    import jax

    from backends.contract import ModelSpec
    from backends.jax.device import BY_CUDNN, BY_SCAN
    from backends.jax.tuned import choose_network, logits

    model = ModelSpec(inputs=3, outputs=2, hidden=4, layers=2)
    network, trial = choose_network((BY_SCAN, BY_CUDNN), model, jax.numpy.float32, jax.local_devices()[0])
    assert network.logits is logits
    assert "jax.experimental.rnn with cuDNN: " in str(trial.said)
