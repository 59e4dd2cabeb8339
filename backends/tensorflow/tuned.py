"""The copy network as fast as TensorFlow goes on a CPU: XLA, a hand-written backward pass, K steps in one dispatch.

Four things make the difference (figures in docs/tuning.md): the input projection of all time steps is one product; the
forward loop leaves the very factors that the backward loop multiplies with; that loop yields the pre-activations'
gradients alone, and the weights' gradients are products after it; and a chunk's K optimiser steps are one loop in one
compiled call.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from backends.contract import (
    PRECISIONS,
    Array,
    Batch,
    Chunk,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    check_precision,
)
from backends.tensorflow.device import (
    device_scope,
    device_settings,
    peak_memory_bytes,
    product_dtype,
    resolve_device,
    resolve_dtype,
)
from backends.tensorflow.optimizer import build_optimizer, clip_gradients


class LayerTrace(NamedTuple):
    """What a layer's forward pass leaves for the backward pass, each (time, batch, H): its output h, the forget gate
    f, and the derivatives of the cell and of the output by the pre-activations i, f, g, o and of h by the cell."""

    h: tf.Tensor
    f: tf.Tensor
    dc_by_i: tf.Tensor
    dc_by_f: tf.Tensor
    dc_by_g: tf.Tensor
    dh_by_o: tf.Tensor
    dh_by_c: tf.Tensor


def product(dtype: tf.DType, left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """left (..., in) @ right (in, out) as one product of two matrices, the factors rounded to dtype, summed in at
    least float32."""
    flat = tf.reshape(tf.cast(left, dtype), (-1, left.shape[-1]))
    whole = tf.matmul(flat, tf.cast(right, dtype), output_type=sum_dtype(dtype))
    return tf.reshape(whole, (*left.shape[:-1], right.shape[-1]))


def gradient_product(dtype: tf.DType, inputs: tf.Tensor, dz: tf.Tensor) -> tf.Tensor:
    """The gradient (in, 4H) of a kernel from its inputs (time, batch, in) and dz (time, batch, 4H), both rounded."""
    columns = tf.transpose(tf.reshape(tf.cast(inputs, dtype), (-1, inputs.shape[-1])))
    return tf.matmul(columns, tf.reshape(dz, (-1, dz.shape[-1])), output_type=sum_dtype(dtype))


def sum_dtype(dtype: tf.DType) -> tf.DType:
    return tf.float32 if dtype == tf.bfloat16 else dtype


def layer_forward(
    dtype: tf.DType, inputs: tf.Tensor, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor
) -> LayerTrace:
    """inputs (time, batch, in) -> the layer's trace, from a zero state. Its h has the dtype of products."""
    projected = product(dtype, inputs, kernel)
    rounded_kernel = tf.cast(recurrent_kernel, dtype)

    def step(h: tf.Tensor, c: tf.Tensor, z: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], LayerTrace]:
        i, f, g, o = tf.split(z + bias + product(dtype, h, rounded_kernel), 4, axis=-1)
        i, f, g, o = tf.sigmoid(i), tf.sigmoid(f), tf.tanh(g), tf.sigmoid(o)
        next_c = f * c + i * g
        tanh_c = tf.tanh(next_c)
        h = tf.cast(o * tanh_c, dtype)
        of_c = (g * i * (1 - i), c * f * (1 - f), i * (1 - g * g))
        return (h, next_c), LayerTrace(h, f, *of_c, tanh_c * o * (1 - o), o * (1 - tanh_c * tanh_c))

    shape = inputs.shape[1], recurrent_kernel.shape[0]
    return LayerTrace(*_scan(step, (tf.zeros(shape, dtype), tf.zeros(shape, bias.dtype)), (projected,)))


def lstm_layer(dtype: tf.DType, *arguments: tf.Tensor) -> tf.Tensor:
    """inputs (time, batch, in), kernel, recurrent_kernel, bias -> h (time, batch, H), from a zero state."""

    @tf.custom_gradient
    def layer(
        inputs: tf.Tensor, kernel: tf.Tensor, recurrent_kernel: tf.Tensor, bias: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        trace = layer_forward(dtype, inputs, kernel, recurrent_kernel, bias)
        h = tf.cast(trace.h, bias.dtype)
        return h, lambda dh_out: lstm_layer_backward(dtype, trace, inputs, kernel, recurrent_kernel, dh_out)

    return layer(*arguments)


def lstm_layer_backward(
    dtype: tf.DType,
    trace: LayerTrace,
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    dh_out: tf.Tensor,
) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor, tf.Tensor]:
    transposed = tf.cast(tf.transpose(recurrent_kernel), dtype)

    def step(dh: tf.Tensor, dc: tf.Tensor, dh_out: tf.Tensor, *trace_t: tf.Tensor) -> tuple[tuple, tuple[tf.Tensor]]:
        trace = LayerTrace(*trace_t)
        dh = dh + dh_out
        dc = dc + dh * trace.dh_by_c
        dz = [dc * trace.dc_by_i, dc * trace.dc_by_f, dc * trace.dc_by_g, dh * trace.dh_by_o]
        dz = tf.cast(tf.concat(dz, axis=-1), dtype)
        return (product(dtype, dz, transposed), dc * trace.f), (dz,)

    zeros = tf.zeros_like(trace.f[0])
    (dz,) = _scan(step, (zeros, zeros), (dh_out, *trace), reverse=True)
    dkernel = gradient_product(dtype, inputs, dz)
    drecurrent_kernel = gradient_product(dtype, _previous(trace.h), dz)
    dinputs = product(dtype, dz, tf.transpose(kernel))
    return dinputs, dkernel, drecurrent_kernel, tf.reduce_sum(tf.cast(dz, kernel.dtype), axis=(0, 1))


def _scan(
    step: Callable[..., tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]],
    carry: tuple[tf.Tensor, ...],
    sequences: tuple[tf.Tensor, ...],
    *,
    reverse: bool = False,
) -> list[tf.Tensor]:
    """What step(*carry, *slices) yields at every time step, stacked, time first."""
    time_steps = sequences[0].shape[0]
    slices = step(*carry, *(sequence[0] for sequence in sequences))[1]
    outputs = tuple(tf.TensorArray(value.dtype, time_steps, element_shape=value.shape) for value in slices)

    def body(count: tf.Tensor, carry: tuple[tf.Tensor, ...], outputs: tuple[tf.TensorArray, ...]) -> tuple:
        t = time_steps - 1 - count if reverse else count
        carry, slices = step(*carry, *(sequence[t] for sequence in sequences))
        return count + 1, carry, tuple(array.write(t, value) for array, value in zip(outputs, slices, strict=True))

    loop = tf.while_loop(lambda count, *_: count < time_steps, body, (0, carry, outputs), maximum_iterations=time_steps)
    return [array.stack() for array in loop[2]]


def _previous(states: tf.Tensor) -> tf.Tensor:
    """The state before each time step: a zero state, then all but the last."""
    return tf.concat([tf.zeros_like(states[:1]), states[:-1]], axis=0)


def logits(dtype: tf.DType, parameters: dict[str, tf.Variable], inputs: tf.Tensor) -> tf.Tensor:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    hidden = tf.transpose(inputs, (1, 0, 2))
    for layer in range(sum(name.endswith("recurrent_kernel") for name in parameters)):
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        hidden = lstm_layer(dtype, hidden, *(tf.convert_to_tensor(kernel) for kernel in kernels))
    return tf.transpose(product(dtype, hidden, parameters["output.kernel"]) + parameters["output.bias"], (1, 0, 2))


class TunedTensorFlowTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device = resolve_device(device)
        self.dtype, self.product_dtype = resolve_dtype(precision, self.device), product_dtype(precision)
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

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {
            **device_settings(self.device),
            "execution": "XLA of K steps",
            "lstm": "tf.while_loop with custom_gradient",
            "products": self.product_dtype.name,
        }

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
            z = logits(self.product_dtype, self.variables, inputs)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, z))
        return loss, tape.gradient(loss, list(self.variables.values()))

    @tf.function(jit_compile=True)
    def _probabilities(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(logits(self.product_dtype, self.variables, inputs))

    def _tensor(self, array: Array) -> tf.Tensor:
        return tf.constant(array, self.dtype)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> TunedTensorFlowTrainer:
    check_precision("the tuned TensorFlow implementation", precision, PRECISIONS)
    return TunedTensorFlowTrainer(model, optimizer, parameters, device, precision)
