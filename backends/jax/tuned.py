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

from backends.contract import Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters, Setting, State
from backends.jax.device import device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.jax.optimizer import build_optimizer, find_averages, replace_averages
from backends.state import pack_state, unpack_state


class LayerTrace(NamedTuple):
    """What a layer's forward pass leaves for the backward pass, time first; start is h and c before it, (batch, H)."""

    inputs: jax.Array
    start: tuple[jax.Array, jax.Array]
    h: jax.Array
    c: jax.Array
    gates: jax.Array


def layer_forward(
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> LayerTrace:
    """inputs (time, batch, in) -> h and c (time, batch, H) and the activated gates i, f, g, o (time, batch, 4H)."""
    projected = inputs @ kernel + bias

    def step(carry: tuple[jax.Array, jax.Array], z: jax.Array) -> tuple[Any, Any]:
        h, c = carry
        i, f, g, o = jnp.split(z + h @ recurrent_kernel, 4, axis=-1)
        i, f, g, o = jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)
        c = f * c + i * g
        h = o * jnp.tanh(c)
        return (h, c), (h, c, jnp.concatenate([i, f, g, o], axis=-1))

    _, (h, c, gates) = jax.lax.scan(step, start, projected)
    return LayerTrace(inputs, start, h, c, gates)


@jax.custom_vjp
def lstm_layer(
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> jax.Array:
    """inputs (time, batch, in) -> h (time, batch, H), from h and c (batch, H) before the first time step."""
    return layer_forward(inputs, kernel, recurrent_kernel, bias, start).h


def lstm_layer_forward(
    inputs: jax.Array,
    kernel: jax.Array,
    recurrent_kernel: jax.Array,
    bias: jax.Array,
    start: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, Any]:
    trace = layer_forward(inputs, kernel, recurrent_kernel, bias, start)
    return trace.h, (trace, kernel, recurrent_kernel)


def lstm_layer_backward(residuals: Any, dh_out: jax.Array) -> tuple[Any, ...]:
    trace, kernel, recurrent_kernel = residuals
    h_start, c_start = trace.start
    hidden = recurrent_kernel.shape[0]
    i, f, g, o = jnp.split(trace.gates, 4, axis=-1)
    tanh_c = jnp.tanh(trace.c)
    of_dc = jnp.concatenate([g * i * (1 - i), _previous(trace.c, c_start) * f * (1 - f), i * (1 - g * g)], axis=-1)
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
    dstart, dz = jax.lax.scan(step, (zeros, zeros), (dh_out, of_dc, of_dh, dc_of_dh, f), reverse=True)
    flat = dz.reshape(-1, 4 * hidden)
    dkernel = trace.inputs.reshape(flat.shape[0], -1).T @ flat
    drecurrent_kernel = _previous(trace.h, h_start).reshape(-1, hidden).T @ flat
    return dz @ kernel.T, dkernel, drecurrent_kernel, flat.sum(axis=0), dstart


lstm_layer.defvjp(lstm_layer_forward, lstm_layer_backward)


def _previous(states: jax.Array, start: jax.Array) -> jax.Array:
    """The state before each time step: the first one's, then all but the last."""
    return jnp.concatenate([start[None], states[:-1]])


def initial_state(model: ModelSpec, parameters: Any, layer: int, signal: jax.Array) -> tuple[jax.Array, jax.Array]:
    """h and c (batch, H) before the first time step of a layer that reads signal (time, batch, in)."""
    shape = (signal.shape[1], model.hidden)
    if model.learned_initial_state:
        h, c = (parameters[f"lstm.{layer}.{name}"] for name in ("initial_h", "initial_c"))
        return jnp.broadcast_to(h, shape), jnp.broadcast_to(c, shape)
    zeros = jnp.zeros(shape, signal.dtype)
    return zeros, zeros


def logits(model: ModelSpec, parameters: Any, inputs: jax.Array) -> jax.Array:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    inputs = hidden = inputs.swapaxes(0, 1)
    outputs = []
    for layer in range(model.layers):
        if layer and model.input_to_every_layer:
            hidden = jnp.concatenate([hidden, inputs], axis=-1)
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        hidden = lstm_layer(hidden, *kernels, initial_state(model, parameters, layer, hidden))
        outputs.append(hidden)
    read = jnp.concatenate(outputs, axis=-1) if model.every_layer_to_output else hidden
    return (read @ parameters["output.kernel"] + parameters["output.bias"]).swapaxes(0, 1)


def mean_loss(model: ModelSpec, parameters: Any, inputs: jax.Array, targets: jax.Array) -> jax.Array:
    return optax.sigmoid_binary_cross_entropy(logits(model, parameters, inputs), targets).mean()


@partial(jax.jit, static_argnums=(0, 1), donate_argnums=(2, 3))
def train_steps(
    model: ModelSpec,
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
        loss, gradients = jax.value_and_grad(mean_loss, argnums=1)(model, parameters, inputs, targets)
        updates, state = optimizer.update(gradients, state, parameters, learning_rate=learning_rate)
        return (optax.apply_updates(parameters, updates), state), loss

    (parameters, state), losses = jax.lax.scan(step, (parameters, state), (inputs, targets, learning_rates))
    return parameters, state, losses


loss_and_gradients = jax.jit(jax.value_and_grad(mean_loss, argnums=1), static_argnums=0)


@partial(jax.jit, static_argnums=0)
def probabilities(model: ModelSpec, parameters: Any, inputs: jax.Array) -> jax.Array:
    return jax.nn.sigmoid(logits(model, parameters, inputs))


class TunedJaxTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device, self.dtype = resolve_device(device), resolve_dtype(precision)
        self.spec, self.optimizer_spec = model, optimizer
        self.optimizer = build_optimizer(optimizer)
        self.arrays = {name: self._tensor(array) for name, array in parameters.items()}
        self.averages = jax.device_put(self.optimizer.init(self.arrays), self.device)
        self.steps = 0

    def train(self, chunk: Chunk) -> Array:
        batches = (self._tensor(array) for array in (chunk.inputs, chunk.targets, chunk.learning_rates))
        self.arrays, self.averages, losses = train_steps(
            self.spec, self.optimizer, self.arrays, self.averages, *batches
        )
        jax.block_until_ready((self.arrays, losses))
        self.steps += len(losses)
        return np.asarray(losses)

    def predict(self, inputs: Array) -> Array:
        return np.asarray(probabilities(self.spec, self.arrays, self._tensor(inputs)))

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        arrays = (self._tensor(array) for array in (batch.inputs, batch.targets))
        loss, gradients = loss_and_gradients(self.spec, self.arrays, *arrays)
        return float(loss), {name: np.array(gradient) for name, gradient in gradients.items()}

    def parameters(self) -> Parameters:
        return {name: np.array(array) for name, array in self.arrays.items()}

    def state(self) -> State:
        m, v = find_averages(self.optimizer_spec, self.averages)
        # A compiled step returns dictionaries in alphabetical order.
        slots = ({name: np.array(slot[name]) for name in self.spec.shapes()} for slot in (self.arrays, m, v))
        return pack_state(*slots, self.steps)

    def restore(self, state: State) -> None:
        given = unpack_state(self.spec, state)
        self.arrays, m, v = (
            {name: self._tensor(array) for name, array in slot.items()} for slot in (given.parameters, given.m, given.v)
        )
        averages = replace_averages(self.optimizer_spec, self.averages, m, v, given.steps)
        self.averages, self.steps = jax.device_put(averages, self.device), given.steps

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
