"""The copy network as a TensorFlow user would write it: keras.layers.LSTM in a compiled custom training step."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf

from backends.contract import (
    IDIOMATIC_PRECISIONS,
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
from backends.tensorflow.device import device_scope, device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.tensorflow.group import average, join
from backends.tensorflow.optimizer import build_optimizer, clip_gradients, read_optimizer, write_optimizer


def build_network(model: ModelSpec, dtype: tf.DType, use_cudnn: bool | str = "auto") -> keras.Model:
    """Stacked LSTM layers and a dense layer; returns logits (batch, time, outputs).

    Raises ValueError where cuDNN has to be used and is not there.
    """
    dtypes, learned = {"dtype": dtype.name}, model.learned_initial_state
    options = {"return_sequences": True, "use_cudnn": use_cudnn, **dtypes}
    inputs = hidden = keras.Input((None, model.inputs), **dtypes)
    outputs = []
    for layer in range(model.layers):
        if layer and model.input_to_every_layer:
            hidden = keras.layers.Concatenate(**dtypes)([hidden, inputs])
        lstm = keras.layers.LSTM(model.hidden, name=f"lstm_{layer}", **options)
        start = InitialState(model.hidden, name=f"initial_{layer}", **dtypes)(hidden) if learned else None
        hidden = lstm(hidden, initial_state=start)
        outputs.append(hidden)
    read = keras.layers.Concatenate(**dtypes)(outputs) if model.every_layer_to_output else hidden
    return keras.Model(inputs, keras.layers.Dense(model.outputs, name="output", **dtypes)(read))


class InitialState(keras.layers.Layer):
    """A learned h and c (hidden,), given to every sequence of a batch."""

    def __init__(self, hidden: int, **options: Any) -> None:
        super().__init__(**options)
        self.hidden = hidden

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.h, self.c = (self.add_weight((self.hidden,), "zeros", name=name) for name in ("h", "c"))

    def call(self, inputs: tf.Tensor) -> list[tf.Tensor]:
        return [keras.ops.broadcast_to(state, (keras.ops.shape(inputs)[0], self.hidden)) for state in (self.h, self.c)]


class TensorFlowTrainer:
    use_cudnn: bool | str = "auto"

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
        self.dtype = resolve_dtype(precision, self.device)
        self.spec, self.optimizer_spec = model, optimizer
        with device_scope(self.device):
            self.network = build_network(model, self.dtype, self.use_cudnn)
            write_parameters(self.network, parameters)
            self.variables = canonical_parameters(self.network)
            self.optimizer = build_optimizer(optimizer)
            self.optimizer.build(list(self.variables.values()))

    def train(self, chunk: Chunk) -> Array:
        with device_scope(self.device):
            inputs, targets = self._tensor(chunk.inputs), self._tensor(chunk.targets)
            rates = self._tensor(chunk.learning_rates)
            losses = [self._train_step(inputs[k], targets[k], rates[k]) for k in range(len(rates))]
            return np.stack([loss.numpy() for loss in losses])

    def predict(self, inputs: Array) -> Array:
        with device_scope(self.device):
            return tf.sigmoid(self._logits(self._tensor(inputs))).numpy()

    def loss_and_gradients(self, batch: Batch) -> tuple[float, Parameters]:
        with device_scope(self.device):
            loss, gradients = self._mean_gradients(self._tensor(batch.inputs), self._tensor(batch.targets))
        return float(loss), {name: array.numpy() for name, array in zip(self.variables, gradients, strict=True)}

    def parameters(self) -> Parameters:
        return read_parameters(self.network)

    def state(self) -> State:
        m, v, steps = read_optimizer(self.optimizer)
        return pack_state(self.parameters(), *(dict(zip(self.variables, slot, strict=True)) for slot in (m, v)), steps)

    def restore(self, state: State) -> None:
        parameters, m, v, steps = unpack_state(self.spec, state)
        write_parameters(self.network, parameters)
        write_optimizer(self.optimizer, *([slot[name] for name in self.variables] for slot in (m, v)), steps)

    def exchange(self) -> None:
        with device_scope(self.device):
            self._exchange(tf.zeros(self.spec.n_parameters(), self.dtype)).numpy()

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "tf.function", "lstm": "keras.layers.LSTM"}

    @tf.function
    def _train_step(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._mean_gradients(inputs, targets)
        gradients = clip_gradients(self.optimizer_spec, gradients)
        self.optimizer.learning_rate.assign(learning_rate)
        self.optimizer.apply(gradients)
        return loss

    @tf.function
    def _mean_gradients(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        return average(self.strategy, self._backpropagate(inputs, targets))

    @tf.function
    def _exchange(self, values: tf.Tensor) -> tf.Tensor:
        return average(self.strategy, values)

    @tf.function
    def _backpropagate(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = self.network(inputs, training=True)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
        return loss, tape.gradient(loss, [variable.value for variable in self.variables.values()])

    @tf.function
    def _logits(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.network(inputs, training=False)

    def _tensor(self, array: Array) -> tf.Tensor:
        return tf.constant(array, self.dtype)


def build(
    model: ModelSpec,
    optimizer: OptimizerSpec,
    parameters: Parameters,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> TensorFlowTrainer:
    check_precision("the idiomatic TensorFlow implementation", precision, IDIOMATIC_PRECISIONS)
    return TensorFlowTrainer(model, optimizer, parameters, device, precision, group)


def canonical_parameters(network: keras.Model) -> dict[str, keras.Variable]:
    """The network's variables by canonical name. Keras' gates are i, f, c, o with c for g: the canonical layout."""
    named: dict[str, keras.Variable] = {}
    layers = {layer.name: layer for layer in network.layers}
    for layer in range(sum(name.startswith("lstm_") for name in layers)):
        lstm, start = layers[f"lstm_{layer}"], layers.get(f"initial_{layer}")
        named[f"lstm.{layer}.kernel"] = lstm.cell.kernel
        named[f"lstm.{layer}.recurrent_kernel"] = lstm.cell.recurrent_kernel
        named[f"lstm.{layer}.bias"] = lstm.cell.bias
        if start is not None:
            named[f"lstm.{layer}.initial_h"], named[f"lstm.{layer}.initial_c"] = start.h, start.c
    named["output.kernel"], named["output.bias"] = layers["output"].kernel, layers["output"].bias
    return named


def write_parameters(network: keras.Model, parameters: Parameters) -> None:
    for name, variable in canonical_parameters(network).items():
        variable.assign(parameters[name])


def read_parameters(network: keras.Model) -> Parameters:
    return {name: variable.numpy() for name, variable in canonical_parameters(network).items()}
