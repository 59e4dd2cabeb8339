"""The copy network as fast as JAX goes on a CPU: a hand-written backward pass, and K steps in one dispatch.

Four things make the difference (figures in docs/tuning.md): the input projection of all time steps is one product; the
backward scan yields the pre-activations' gradients alone, and the weights' gradients are one product after it; all
factors of that scan which do not depend on it are computed before it; and a chunk's K optimiser steps are one scan in
one call, with its buffers donated.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from backends.contract import Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters, Setting
from backends.jax.device import device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.jax.optimizer import build_optimizer


class LayerTrace(NamedTuple):
    """What a layer's forward pass leaves for the backward pass, time first."""

    inputs: jax.Array
    h: jax.Array
    c: jax.Array
    gates: jax.Array


def layer_forward(inputs: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array) -> LayerTrace:
    """inputs (time, batch, in) -> h and c (time, batch, H) and the activated gates i, f, g, o (time, batch, 4H)."""
    projected = inputs @ kernel + bias

    def step(carry: tuple[jax.Array, jax.Array], z: jax.Array) -> tuple[Any, Any]:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate([i, f, g, o], axis=-1))

    zeros = jnp.zeros((inputs.shape[1], recurrent_kernel.shape[0]), inputs.dtype)
    _, (h, c, gates) = jax.lax.scan(step, (zeros, zeros), projected)
    return LayerTrace(inputs, h, c, gates)


@jax.custom_vjp
def lstm_layer(inputs: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array) -> jax.Array:
    """inputs (time, batch, in) -> h (time, batch, H), from a zero state."""
    return layer_forward(inputs, kernel, recurrent_kernel, bias).h


def lstm_layer_forward(
    inputs: jax.Array, kernel: jax.Array, recurrent_kernel: jax.Array, bias: jax.Array
) -> tuple[jax.Array, Any]:
    trace = layer_forward(inputs, kernel, recurrent_kernel, bias)
    return trace.h, (trace, kernel, recurrent_kernel)


def lstm_layer_backward(residuals: Any, dh_out: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    trace, kernel, recurrent_kernel = residuals
    hidden = recurrent_kernel.shape[0]
    i, f, g, o = jnp.split(trace.gates, 4, axis=-1)
    tanh_c = jnp.tanh(trace.c)
    of_dc = jnp.concatenate([g * i * (1 - i), _previous(trace.c) * f * (1 - f), i * (1 - g * g)], axis=-1)
    of_dh = tanh_c * o * (1 - o)
    dc_of_dh = o * (1 - tanh_c * tanh_c)
    transposed = recurrent_kernel.T

    def step(carry: tuple[jax.Array, jax.Array], factors: Any) -> tuple[Any, jax.Array]:
        dh, dc = carry
        dh_out, of_dc, of_dh, dc_of_dh, f = factors
        dh = dh + dh_out
        dc = dc + dh * dc_of_dh
        dz = jnp.concatenate([of_dc * jnp.tile(dc, 3), of_dh * dh], axis=-1)
        return (dz @ transposed, dc * f), dz

    zeros = jnp.zeros_like(trace.h[0])
    _, dz = jax.lax.scan(step, (zeros, zeros), (dh_out, of_dc, of_dh, dc_of_dh, f), reverse=True)
    flat = dz.reshape(-1, 4 * hidden)
    dkernel = trace.inputs.reshape(flat.shape[0], -1).T @ flat
    drecurrent_kernel = _previous(trace.h).reshape(-1, hidden).T @ flat
    return dz @ kernel.T, dkernel, drecurrent_kernel, flat.sum(axis=0)


lstm_layer.defvjp(lstm_layer_forward, lstm_layer_backward)


def _previous(states: jax.Array) -> jax.Array:
    """The state before each time step: a zero state, then all but the last."""
    return jnp.concatenate([jnp.zeros_like(states[:1]), states[:-1]])


def logits(parameters: Any, inputs: jax.Array) -> jax.Array:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    hidden = inputs.swapaxes(0, 1)
    for layer in range(sum(name.endswith("recurrent_kernel") for name in parameters)):
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        hidden = lstm_layer(hidden, *kernels)
    return (hidden @ parameters["output.kernel"] + parameters["output.bias"]).swapaxes(0, 1)


def mean_loss(parameters: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(logits(parameters, inputs), targets).mean()


@partial(jax.jit, static_argnums=0, donate_argnums=(1, 2))
def train_steps(
    optimizer: optax.GradientTransformationExtraArgs,
    parameters: Any,
    state: optax.OptState,
    inputs: jax.Array,
    targets: jax.Array,
    learning_rates: jax.Array,
) -> tuple[Any, optax.OptState, jax.Array]:
    """K optimiser steps on inputs (K, batch, time, in): the parameters and state after them, the K losses."""

    def step(carry: tuple[Any, optax.OptState], batch: Any) -> tuple[Any, jax.Array]:
        parameters, state = carry
        inputs, targets, learning_rate = batch
        loss, gradients = jax.value_and_grad(mean_loss)(parameters, inputs, targets)
        updates, state = optimizer.update(gradients, state, parameters, learning_rate=learning_rate)
        return (optax.apply_updates(parameters, updates), state), loss

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), (inputs, targets, learning_rates))
    return parameters, state, losses


loss_and_gradients = jax.jit(jax.value_and_grad(mean_loss))
probabilities = jax.jit(lambda parameters, inputs: jax.nn.sigmoid(logits(parameters, inputs)))


class TunedJaxTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device, self.dtype = resolve_device(device), resolve_dtype(precision)
        self.spec, self.optimizer_spec = model, optimizer
        self.optimizer = build_optimizer(optimizer)
        self.arrays = {name: self._tensor(array) for name, array in parameters.items()}
        self.state = jax.device_put(self.optimizer.init(self.arrays), self.device)

    def train(self, chunk: Chunk) -> Array:
        batches = (self._tensor(array) for array in (chunk.inputs, chunk.targets, chunk.learning_rates))
        self.arrays, self.state, losses = train_steps(self.optimizer, self.arrays, self.state, *batches)
        jax.block_until_ready((self.arrays, losses))
        return np.asarray(losses)

    def predict(self, inputs: Array) -> Array:
        return np.asarray(probabilities(self.arrays, self._tensor(inputs)))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        loss, gradients = loss_and_gradients(self.arrays, self._tensor(batch.inputs), self._tensor(batch.targets))
        return float(loss), {name: np.array(gradient) for name, gradient in gradients.items()}

    def parameters(self) -> Parameters:
        return {name: np.array(array) for name, array in self.arrays.items()}

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "jit of K steps", "lstm": "lax.scan with custom_vjp"}

    def _tensor(self, array: Array) -> jax.Array:
        return jax.device_put(np.asarray(array, self.dtype), self.device)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> TunedJaxTrainer:
    return TunedJaxTrainer(model, optimizer, parameters, device, precision)
