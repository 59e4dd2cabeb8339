"""The copy network as a TensorFlow user would write it: keras.layers.LSTM in a compiled custom training step."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from backends.contract import (
    IDIOMATIC_PRECISIONS,
    Array,
    Batch,
    Chunk,
    ModelSpec,
    OptimizerSpec,
    Parameters,
    Setting,
    check_precision,
)
from backends.tensorflow.device import device_scope, device_settings, peak_memory_bytes, resolve_device, resolve_dtype
from backends.tensorflow.optimizer import build_optimizer, clip_gradients


def build_network(model: ModelSpec, dtype: tf.DType) -> keras.Sequential:
    """Stacked LSTM layers and a dense layer; returns logits (batch, time, outputs)."""
    layers = [keras.layers.LSTM(model.hidden, return_sequences=True, dtype=dtype.name) for _ in range(model.layers)]
    output = keras.layers.Dense(model.outputs, dtype=dtype.name)
    return keras.Sequential([keras.Input((None, model.inputs), dtype=dtype.name), *layers, output])


class TensorFlowTrainer:
    def __init__(
        self, model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, device: str, precision: str
    ) -> None:
        self.device = resolve_device(device)
        self.dtype = resolve_dtype(precision, self.device)
        self.spec, self.optimizer_spec = model, optimizer
        with device_scope(self.device):
            self.network = build_network(model, self.dtype)
            write_parameters(self.network, parameters)
            self.optimizer = build_optimizer(optimizer)
            self.optimizer.build(self.network.trainable_variables)

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
            loss, gradients = self._backpropagate(self._tensor(batch.inputs), self._tensor(batch.targets))
        names = canonical_parameters(self.network)
        return float(loss), {name: gradient.numpy() for name, gradient in zip(names, gradients, strict=True)}

    def parameters(self) -> Parameters:
        return read_parameters(self.network)

    def peak_memory_bytes(self) -> int | None:
        return peak_memory_bytes(self.device)

    def settings(self) -> dict[str, Setting]:
        return {**device_settings(self.device), "execution": "tf.function", "lstm": "keras.layers.LSTM"}

    @tf.function
    def _train_step(self, inputs: tf.Tensor, targets: tf.Tensor, learning_rate: tf.Tensor) -> tf.Tensor:
        loss, gradients = self._backpropagate(inputs, targets)
        gradients = clip_gradients(self.optimizer_spec, gradients)
        self.optimizer.learning_rate.assign(learning_rate)
        self.optimizer.apply(gradients)
        return loss

    @tf.function
    def _backpropagate(self, inputs: tf.Tensor, targets: tf.Tensor) -> tuple[tf.Tensor, list[tf.Tensor]]:
        with tf.GradientTape() as tape:
            logits = self.network(inputs, training=True)
            loss = tf.reduce_mean(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits))
        return loss, tape.gradient(loss, self.network.trainable_variables)

    @tf.function
    def _logits(self, inputs: tf.Tensor) -> tf.Tensor:
        return self.network(inputs, training=False)

    def _tensor(self, array: Array) -> tf.Tensor:
        return tf.constant(array, self.dtype)


def build(
    model: ModelSpec, optimizer: OptimizerSpec, parameters: Parameters, *, device: str, precision: str
) -> TensorFlowTrainer:
    check_precision("the idiomatic TensorFlow implementation", precision, IDIOMATIC_PRECISIONS)
    return TensorFlowTrainer(model, optimizer, parameters, device, precision)


def canonical_parameters(network: keras.Sequential) -> dict[str, keras.Variable]:
    """The network's variables by canonical name. Keras' gates are i, f, c, o with c for g: the canonical layout."""
    named: dict[str, keras.Variable] = {}
    for layer, lstm in enumerate(network.layers[:-1]):
        named[f"lstm.{layer}.kernel"] = lstm.cell.kernel
        named[f"lstm.{layer}.recurrent_kernel"] = lstm.cell.recurrent_kernel
        named[f"lstm.{layer}.bias"] = lstm.cell.bias
    named["output.kernel"], named["output.bias"] = network.layers[-1].kernel, network.layers[-1].bias
    return named


def write_parameters(network: keras.Sequential, parameters: Parameters) -> None:
    for name, variable in canonical_parameters(network).items():
        variable.assign(parameters[name])


def read_parameters(network: keras.Sequential) -> Parameters:
    return {name: variable.numpy() for name, variable in canonical_parameters(network).items()}
