"""The copy network as fast as TensorFlow goes on a CPU: XLA, a hand-written backward pass, K steps in one dispatch.

Four things make the difference (figures in docs/tuning.md): the input projection of all time steps is one product; the
backward loop yields the pre-activations' gradients alone, and the weights' gradients are one product after it; all
factors of that loop which do not depend on it are computed before it; and a chunk's K optimiser steps are one loop in
one compiled call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from backends.contract import Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters, Setting, State
from backends.state import pack_state, unpack_state
from backends.tensorflow.device import device_scope, device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.tensorflow.optimizer import build_optimizer, clip_gradients, read_optimizer, write_optimizer


class LayerTrace(NamedTuple):
    """What a layer's forward pass leaves for the backward pass, time first; start is h and c before it, (batch, H)."""

    inputs: tf.Tensor
    start: tuple[tf.Tensor, tf.Tensor]
    h: tf.Tensor
    c: tf.Tensor
    gates: tf.Tensor


def layer_forward(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    start: tuple[tf.Tensor, tf.Tensor],
) -> LayerTrace:
    """inputs (time, batch, in) -> h and c (time, batch, H) and the activated gates i, f, g, o (time, batch, 4H)."""
    projected = _product(inputs, kernel) + bias

    def step(h: tf.Tensor, c: tf.Tensor, z: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]:
        i, f, g, o = tf.split(z + h @ recurrent_kernel, 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        c = f * c + i * g
        h = o * tf.tanh(c)
        return (h, c), (h, c, tf.concat([i, f, g, o], axis=-1))

    _, (h, c, gates) = _scan(step, start, (projected,))
    return LayerTrace(inputs, start, h, c, gates)


@tf.custom_gradient
def lstm_layer(
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    h_start: tf.Tensor,
    c_start: tf.Tensor,
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
    """inputs (time, batch, in) -> h (time, batch, H), from h and c (batch, H) before the first time step."""
    trace = layer_forward(inputs, kernel, recurrent_kernel, bias, (h_start, c_start))
    return trace.h, lambda dh_out: lstm_layer_backward(trace, kernel, recurrent_kernel, dh_out)


def lstm_layer_backward(
    trace: LayerTrace, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, dh_out: tf.Tensor
) -> tuple[tf.Tensor, ...]:
    h_start, c_start = trace.start
    hidden = recurrent_kernel.shape[0]
    i, f, g, o = tf.split(trace.gates, 4, axis=-1)
    tanh_c = tf.tanh(trace.c)
    of_dc = tf.concat([g * i * (1 - i), _previous(trace.c, c_start) * f * (1 - f), i * (1 - g * g)], axis=-1)
    of_dh = tanh_c * o * (1 - o)
    dc_of_dh = o * (1 - tanh_c * tanh_c)
    transposed = tf.transpose(recurrent_kernel)

    def step(dh: tf.Tensor, dc: tf.Tensor, *factors: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor]]:
        dh_out, of_dc, of_dh, dc_of_dh, f = factors
        dh = dh + dh_out
        dc = dc + dh * dc_of_dh
        dz = tf.concat([of_dc * tf.tile(dc, (1, 3)), of_dh * dh], axis=-1)
        return (dz @ transposed, dc * f), (dz,)

    zeros = tf.zeros_like(trace.h[0])
    dstart, (dz,) = _scan(step, (zeros, zeros), (dh_out, of_dc, of_dh, dc_of_dh, f), reverse=True)
    flat = tf.reshape(dz, (-1, 4 * hidden))
    dkernel = tf.matmul(tf.reshape(trace.inputs, (flat.shape[0], -1)), flat, transpose_a=True)
    drecurrent_kernel = tf.matmul(tf.reshape(_previous(trace.h, h_start), (-1, hidden)), flat, transpose_a=True)
    return _product(dz, tf.transpose(kernel)), dkernel, drecurrent_kernel, tf.reduce_sum(flat, axis=0), *dstart


def _scan(
    step: Callable[..., tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]],
    carry: tuple[tf.Tensor, ...],
    sequences: tuple[tf.Tensor, ...],
    *,
    reverse: bool = False,
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """The last carry, and what step(*carry, *slices) yields at every time step, stacked, time first."""
    time_steps = sequences[0].shape[0]
    shapes = [output.shape for output in step(*carry, *(sequence[0] for sequence in sequences))[1]]
    outputs = tuple(tf.TensorArray(carry[0].dtype, time_steps, element_shape=shape) for shape in shapes)

    def body(count: tf.Tensor, carry: tuple[tf.Tensor, ...], outputs: tuple[tf.TensorArray, ...]) -> tuple:
        t = time_steps - 1 - count if reverse else count
        carry, slices = step(*carry, *(sequence[t] for sequence in sequences))
        return count + 1, carry, tuple(array.write(t, value) for array, value in zip(outputs, slices, strict=True))

    loop = tf.while_loop(lambda count, *_: count < time_steps, body, (0, carry, outputs), maximum_iterations=time_steps)
    return loop[1], [array.stack() for array in loop[2]]


def _product(sequence: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    """(time, batch, in) times (in, out) as one product of two matrices."""
    time_steps, batch, inputs = sequence.shape
    flat = tf.reshape(sequence, (time_steps * batch, inputs)) @ kernel
    return tf.reshape(flat, (time_steps, batch, kernel.shape[1]))


def _previous(states: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The state before each time step: the first one's, then all but the last."""
    return tf.concat([start[None], states[:-1]], axis=0)


def initial_state(
    model: ModelSpec, parameters: dict[str, tf.Variable], layer: int, signal: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """h and c (batch, H) before the first time step of a layer that reads signal (time, batch, in)."""
    shape = (signal.shape[1], model.hidden)
    if model.learned_initial_state:
        h, c = (parameters[f"lstm.{layer}.{name}"] for name in ("initial_h", "initial_c"))
        return tf.broadcast_to(h, shape), tf.broadcast_to(c, shape)
    zeros = tf.zeros(shape, signal.dtype)
    return zeros, zeros


def logits(model: ModelSpec, parameters: dict[str, tf.Variable], inputs: tf.Tensor) -> tf.Tensor:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    inputs = hidden = tf.transpose(inputs, (1, 0, 2))
    outputs = []
    for layer in range(model.layers):
        if layer and model.input_to_every_layer:
            hidden = tf.concat([hidden, inputs], axis=-1)
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        start = initial_state(model, parameters, layer, hidden)
        hidden = lstm_layer(hidden, *(tf.convert_to_tensor(kernel) for kernel in kernels), *start)
        outputs.append(hidden)
    read = tf.concat(outputs, axis=-1) if model.every_layer_to_output else hidden
    return tf.transpose(_product(read, parameters["output.kernel"]) + parameters["output.bias"], (1, 0, 2))


class TunedTensorFlowTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device, self.dtype = resolve_device(device), resolve_dtype(precision)
        self.spec, self.optimizer_spec = model, optimizer
        with device_scope(self.device):
            self.variables = {name: tf.Variable(array, dtype=self.dtype) for name, array in parameters.items()}
            self.optimizer = build_optimizer(optimizer)
            self.optimizer.build(list(self.variables.values()))

    def train(self, chunk: Chunk) -> Array:
        with device_scope(self.device):
            batches = (self._tensor(array) for array in (chunk.inputs, chunk.targets, chunk.learning_rates))
            return self._train_steps(*batches).numpy()

    def predict(self, inputs: Array) -> Array:
        with device_scope(self.device):
            return self._probabilities(self._tensor(inputs)).numpy()

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        with device_scope(self.device):
            loss, gradients = self._backpropagate(self._tensor(batch.inputs), self._tensor(batch.targets))
        return float(loss), {name: array.numpy() for name, array in zip(self.variables, gradients, strict=True)}

    def parameters(self) -> Parameters:
        return {name: variable.numpy() for name, variable in self.variables.items()}

    def state(self) -> State:
        m, v, steps = read_optimizer(self.optimizer)
        return pack_state(self.parameters(), *(dict(zip(self.variables, slot, strict=True)) for slot in (m, v)), steps)

    def restore(self, state: State) -> None:
        parameters, m, v, steps = unpack_state(self.spec, state)
        for name, variable in self.variables.items():
            variable.assign(parameters[name])
        write_optimizer(self.optimizer, *([slot[name] for name in self.variables] for slot in (m, v)), steps)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        lstm = "tf.while_loop with custom_gradient"
        return {**device_settings(self.device), "execution": "XLA of K steps", "lstm": lstm}

    @tf.function(jit_compile=True)
    def _train_steps(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rates: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(self.dtype, inputs.shape[0], element_shape=())
        for k in tf.range(inputs.shape[0]):
            loss, gradients = self._backpropagate(inputs[k], targets[k])
            self.optimizer.learning_rate.assign(tf.cast(learning_rates[k], tf.float32))
            self.optimizer.apply(clip_gradients(self.optimizer_spec, gradients))
            losses = losses.write(k, loss)
        return losses.stack()

    @tf.function(jit_compile=True)
    def _backpropagate(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            losses = tf.nn.sigmoid_cross_entropy_with_logits(targets, logits(self.spec, self.variables, inputs))
            loss = tf.reduce_mean(losses)
        return loss, tape.gradient(loss, list(self.variables.values()))

    @tf.function(jit_compile=True)
    def _probabilities(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(logits(self.spec, self.variables, inputs))

    def _tensor(self, array: Array) -> tf.Tensor:
        return tf.constant(array, self.dtype)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> TunedTensorFlowTrainer:
    return TunedTensorFlowTrainer(model, optimizer, parameters, device, precision)
