"""A backend: cuDNN's way of the tuned JAX implementation on a CPU, with JAX's reference of cuDNN's LSTM for it."""

from __future__ import annotations

from typing import Any

import jax
from jax.experimental import rnn

from backends.contract import Way, check_precision
from backends.jax import cudnn
from backends.jax.device import BY_CUDNN
from backends.jax.tuned import TunedJaxTrainer


def lstm(
    x: jax.Array, h_0: jax.Array, c_0: jax.Array, weights: jax.Array, seq_lengths: jax.Array, **sizes: Any
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """As rnn.lstm, without a GPU."""
    assert sizes.pop("precision") == jax.lax.Precision.HIGHEST
    dropout = sizes.pop("dropout")
    unpacked = rnn.unpack_lstm_weights(weights, **sizes)
    return rnn.lstm_ref(x, h_0, c_0, *unpacked, seq_lengths, dropout=dropout, **sizes)


class CudnnStandIn(TunedJaxTrainer):
    def _possible_ways(self, device: str, precision: str) -> tuple[Way, ...]:
        return (BY_CUDNN,)


def build(*arguments: Any, device: str, precision: str) -> CudnnStandIn:
    check_precision("JAX on a CPU", precision, ("float32", "float64"))
    cudnn.rnn.lstm = lstm
    return CudnnStandIn(*arguments, device, precision, None)
