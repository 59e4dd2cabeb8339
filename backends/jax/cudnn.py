"""The copy network by cuDNN's LSTM, which JAX has for float32 on NVIDIA's GPUs alone.

Never run, for want of a GPU; docs/gpu.md says what was checked without one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import rnn

from backends.contract import ModelSpec


def logits(model: ModelSpec, dtype: Any, parameters: Any, inputs: jax.Array) -> jax.Array:
    """inputs (batch, time, in) -> logits (batch, time, outputs), all of dtype."""
    hidden, outputs = inputs, []
    for layers in split_stack(model):
        if layers[0] and model.input_to_every_layer:
            hidden = jnp.concatenate([hidden, inputs], axis=-1)
        hidden = stacked_layers(model, parameters, layers, hidden)
        outputs.append(hidden)
    read = jnp.concatenate(outputs, axis=-1) if model.every_layer_to_output else hidden
    return jnp.matmul(read.astype(dtype), parameters["output.kernel"]) + parameters["output.bias"]


def split_stack(model: ModelSpec) -> list[range]:
    """The layers of each call. One call may have layers at work at once, but knows them only one upon the other."""
    if model.input_to_every_layer or model.every_layer_to_output:
        return [range(layer, layer + 1) for layer in range(model.layers)]
    return [range(model.layers)]


def stacked_layers(model: ModelSpec, parameters: Any, layers: range, inputs: jax.Array) -> jax.Array:
    """inputs (batch, time, in) of the first of these layers -> h (batch, time, H) of the last."""
    rows, time_steps, n_inputs = inputs.shape
    h, c = (initial_states(model, parameters, name, layers, inputs) for name in ("initial_h", "initial_c"))
    h_of_last, _, _ = rnn.lstm(
        inputs,
        h,
        c,
        pack_weights(parameters, layers),
        jnp.full(rows, time_steps, jnp.int32),
        input_size=n_inputs,
        hidden_size=model.hidden,
        num_layers=len(layers),
        dropout=0.0,
        bidirectional=False,
        precision=product_precision(),
    )
    return h_of_last


def pack_weights(parameters: Any, layers: Sequence[int]) -> jax.Array:
    """The one vector that cuDNN takes: the layers' transposed kernels, then their biases. Its gates are i, f, g, o; of
    its two biases the second is a constant zero."""
    kernels = (parameters[f"lstm.{layer}.{name}"].T for layer in layers for name in ("kernel", "recurrent_kernel"))
    biases = (parameters[f"lstm.{layer}.bias"] for layer in layers)
    pairs = (array for bias in biases for array in (bias, jnp.zeros_like(bias)))
    return jnp.concatenate([array.ravel() for array in (*kernels, *pairs)])


def initial_states(model: ModelSpec, parameters: Any, name: str, layers: Iterable[int], inputs: jax.Array) -> jax.Array:
    """h or c of each layer and sequence before the first time step (layers, batch, H)."""
    shape = (len(inputs), model.hidden)
    if not model.learned_initial_state:
        return jnp.stack([jnp.zeros(shape, inputs.dtype) for _ in layers])
    return jnp.stack([jnp.broadcast_to(parameters[f"lstm.{layer}.{name}"], shape) for layer in layers])


def product_precision() -> jax.lax.Precision:
    """As resolve_dtype has set it for all products; without it cuDNN may use TF32."""
    exact = jax.config.jax_default_matmul_precision == "highest"
    return jax.lax.Precision.HIGHEST if exact else jax.lax.Precision.HIGH
