"""The copy network as fast as TensorFlow goes: XLA, a hand-written backward pass, K steps in one dispatch.

On a CPU four things make the difference (figures in docs/tuning.md): the input projection of all time steps is one
product; the forward loop leaves the very factors that the backward loop multiplies with; that loop yields the
pre-activations' gradients alone, and the weights' gradients are products after it; and a chunk's K optimiser steps are
one loop in one compiled call.

On a GPU, in float32, each layer is a call of cuDNN's LSTM, which Keras reaches and XLA does not know, so that the K
steps are one call outside it. Never run, for want of a GPU; docs/gpu.md says what was checked without one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from backends.contract import (
    PRECISIONS,
    Array,
    Batch,
    Chunk,
    Group,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    State,
    check_precision,
)
from backends.state import pack_state, unpack_state
from backends.tensorflow.device import (
    ON_CPU,
    ON_GPU,
    choose_way,
    device_scope,
    device_settings,
    peak_memory_bytes,
    product_dtype,
    resolve_device,
    resolve_dtype,
)
from backends.tensorflow.group import average, join
from backends.tensorflow.idiomatic import TensorFlowTrainer
from backends.tensorflow.optimizer import build_optimizer, clip_gradients, read_optimizer, write_optimizer


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
    dtype: tf.DType,
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    bias: tf.Tensor,
    start: tuple[tf.Tensor, tf.Tensor],
) -> LayerTrace:
    """inputs (time, batch, in) -> the layer's trace, from h and c (batch, H) before the first time step. Its h has the
    dtype of products."""
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

    h, c = start
    _, trace = _scan(step, (tf.cast(h, dtype), c), (projected,))
    return LayerTrace(*trace)


def lstm_layer(dtype: tf.DType, *arguments: tf.Tensor) -> tf.Tensor:
    """inputs (time, batch, in), kernel, recurrent_kernel, bias, and h and c (batch, H) before the first time step
    -> h (time, batch, H)."""

    @tf.custom_gradient
    def layer(
        inputs: tf.Tensor,
        kernel: tf.Tensor,
        recurrent_kernel: tf.Tensor,
        bias: tf.Tensor,
        h_start: tf.Tensor,
        c_start: tf.Tensor,
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor, ...]]]:
        trace = layer_forward(dtype, inputs, kernel, recurrent_kernel, bias, (h_start, c_start))
        h = tf.cast(trace.h, bias.dtype)
        return h, lambda dh_out: lstm_layer_backward(dtype, trace, inputs, kernel, recurrent_kernel, h_start, dh_out)

    return layer(*arguments)


def lstm_layer_backward(
    dtype: tf.DType,
    trace: LayerTrace,
    inputs: tf.Tensor,
    kernel: tf.Tensor,
    recurrent_kernel: tf.Tensor,
    h_start: tf.Tensor,
    dh_out: tf.Tensor,
) -> tuple[tf.Tensor, ...]:
    transposed = tf.cast(tf.transpose(recurrent_kernel), dtype)

    def step(dh: tf.Tensor, dc: tf.Tensor, dh_out: tf.Tensor, *trace_t: tf.Tensor) -> tuple[tuple, tuple[tf.Tensor]]:
        trace = LayerTrace(*trace_t)
        dh = dh + dh_out
        dc = dc + dh * trace.dh_by_c
        dz = [dc * trace.dc_by_i, dc * trace.dc_by_f, dc * trace.dc_by_g, dh * trace.dh_by_o]
        dz = tf.cast(tf.concat(dz, axis=-1), dtype)
        return (product(dtype, dz, transposed), dc * trace.f), (dz,)

    zeros = tf.zeros_like(trace.f[0])
    dstart, (dz,) = _scan(step, (zeros, zeros), (dh_out, *trace), reverse=True)
    dkernel = gradient_product(dtype, inputs, dz)
    drecurrent_kernel = gradient_product(dtype, _previous(trace.h, h_start), dz)
    dinputs = product(dtype, dz, tf.transpose(kernel))
    return dinputs, dkernel, drecurrent_kernel, tf.reduce_sum(tf.cast(dz, kernel.dtype), axis=(0, 1)), *dstart


def _scan(
    step: Callable[..., tuple[tuple[tf.Tensor, ...], tuple[tf.Tensor, ...]]],
    carry: tuple[tf.Tensor, ...],
    sequences: tuple[tf.Tensor, ...],
    *,
    reverse: bool = False,
) -> tuple[tuple[tf.Tensor, ...], list[tf.Tensor]]:
    """The last carry, and what step(*carry, *slices) yields at every time step, stacked, time first."""
    time_steps = sequences[0].shape[0]
    slices = step(*carry, *(sequence[0] for sequence in sequences))[1]
    outputs = tuple(tf.TensorArray(value.dtype, time_steps, element_shape=value.shape) for value in slices)

    def body(count: tf.Tensor, carry: tuple[tf.Tensor, ...], outputs: tuple[tf.TensorArray, ...]) -> tuple:
        t = time_steps - 1 - count if reverse else count
        carry, slices = step(*carry, *(sequence[t] for sequence in sequences))
        return count + 1, carry, tuple(array.write(t, value) for array, value in zip(outputs, slices, strict=True))

    loop = tf.while_loop(lambda count, *_: count < time_steps, body, (0, carry, outputs), maximum_iterations=time_steps)
    return loop[1], [array.stack() for array in loop[2]]


def _previous(states: tf.Tensor, start: tf.Tensor) -> tf.Tensor:
    """The state before each time step: the first one's, then all but the last."""
    return tf.concat([tf.cast(start[None], states.dtype), states[:-1]], axis=0)


def initial_state(
    model: ModelSpec, parameters: dict[str, tf.Variable], layer: int, batch: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """h and c (batch, H) of a layer before the first time step."""
    shape, dtype = (batch, model.hidden), parameters["output.bias"].dtype
    if not model.learned_initial_state:
        return tf.zeros(shape, dtype), tf.zeros(shape, dtype)
    h, c = (parameters[f"lstm.{layer}.{name}"] for name in ("initial_h", "initial_c"))
    return tf.broadcast_to(h, shape), tf.broadcast_to(c, shape)


def logits(model: ModelSpec, dtype: tf.DType, parameters: dict[str, tf.Variable], inputs: tf.Tensor) -> tf.Tensor:
    """inputs (batch, time, in) -> logits (batch, time, outputs); inside, time comes first."""
    inputs = hidden = tf.transpose(inputs, (1, 0, 2))
    outputs = []
    for layer in range(model.layers):
        if layer and model.input_to_every_layer:
            hidden = tf.concat([hidden, inputs], axis=-1)
        kernels = (parameters[f"lstm.{layer}.{name}"] for name in ("kernel", "recurrent_kernel", "bias"))
        start = initial_state(model, parameters, layer, inputs.shape[1])
        hidden = lstm_layer(dtype, hidden, *(tf.convert_to_tensor(kernel) for kernel in kernels), *start)
        outputs.append(hidden)
    read = tf.concat(outputs, axis=-1) if model.every_layer_to_output else hidden
    return tf.transpose(product(dtype, read, parameters["output.kernel"]) + parameters["output.bias"], (1, 0, 2))


class TunedTensorFlowTrainer:
    def __init__(
        self,
        model: ModelSpec,
        optimizer: OptimizerSpec,
        parameters: Parameters,
        device: str,
        precision: str,
        group: Group | None,
    ) -> None:
        self.strategy = join(group)
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
            train_steps = self._train_steps if self.strategy is None else self._train_steps_together
            return train_steps(*batches).numpy()

    def predict(self, inputs: Array) -> Array:
        with device_scope(self.device):
            return self._probabilities(self._tensor(inputs)).numpy()

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        with device_scope(self.device):
            observed = self._backpropagate(self._tensor(batch.inputs), self._tensor(batch.targets))
            loss, gradients = self._average(observed)
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

    def exchange(self) -> None:
        with device_scope(self.device):
            self._average(tf.zeros(self.spec.n_parameters(), self.dtype)).numpy()

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), **ON_CPU._asdict(), "products": self.product_dtype.name}

    @tf.function(jit_compile=True)
    def _train_steps(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rates: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(self.dtype, inputs.shape[0], element_shape=())
        for k in tf.range(inputs.shape[0]):
            loss, gradients = self._backpropagate(inputs[k], targets[k])
            self._update(gradients, learning_rates[k])
            losses = losses.write(k, loss)
        return losses.stack()

    @tf.function
    def _train_steps_together(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rates: tf.Tensor) -> tf.Tensor:
        # XLA has no collective operations across processes on a CPU, so it compiles what lies between them.
        losses = tf.TensorArray(self.dtype, inputs.shape[0], element_shape=())
        for k in tf.range(inputs.shape[0]):
            loss, gradients = self._average(self._backpropagate(inputs[k], targets[k]))
            self._update(gradients, learning_rates[k])
            losses = losses.write(k, loss)
        return losses.stack()

    @tf.function
    def _average(self, values: Any) -> Any:
        return average(self.strategy, values)

    @tf.function(jit_compile=True)
    def _update(self, gradients: list[tf.Tensor], learning_rate: tf.Tensor) -> None:
        self.optimizer.learning_rate.assign(tf.cast(learning_rate, tf.float32))
        self.optimizer.apply(clip_gradients(self.optimizer_spec, gradients))

    @tf.function(jit_compile=True)
    def _backpropagate(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            z = logits(self.spec, self.product_dtype, self.variables, inputs)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, z))
        return loss, tape.gradient(loss, list(self.variables.values()))

    @tf.function(jit_compile=True)
    def _probabilities(self, inputs: tf.Tensor) -> tf.Tensor:
        return tf.sigmoid(logits(self.spec, self.product_dtype, self.variables, inputs))

    def _tensor(self, array: Array) -> tf.Tensor:
        return tf.constant(array, self.dtype)


class CudnnTensorFlowTrainer(TensorFlowTrainer):
    """The idiomatic network with cuDNN's LSTM or an error, and a chunk's K steps in one call."""

    use_cudnn = True

    def train(self, chunk: Chunk) -> Array:
        with device_scope(self.device):
            batches = (self._tensor(array) for array in (chunk.inputs, chunk.targets, chunk.learning_rates))
            return self._train_steps(*batches).numpy()

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), **ON_GPU._asdict(), "products": self.dtype.name}

    @tf.function
    def _train_steps(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rates: tf.Tensor) -> tf.Tensor:
        losses = tf.TensorArray(self.dtype, inputs.shape[0], element_shape=())
        for k in tf.range(inputs.shape[0]):
            losses = losses.write(k, self._train_step(inputs[k], targets[k], learning_rates[k]))
        return losses.stack()


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> TunedTensorFlowTrainer | CudnnTensorFlowTrainer:
    check_precision("the tuned TensorFlow implementation", precision, PRECISIONS)
    by_cudnn = choose_way(device, precision, group) == ON_GPU
    trainer = CudnnTensorFlowTrainer if by_cudnn else TunedTensorFlowTrainer
    return trainer(model, optimizer, parameters, device, precision, group)
