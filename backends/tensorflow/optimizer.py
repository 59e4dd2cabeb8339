"""The optimisers of OptimizerSpec in TensorFlow.

Keras' own will not do: its Adam adds epsilon before the bias correction, and its RMSprop has epsilon only inside
the root and an average that starts only at 0.
"""

from __future__ import annotations

import keras
import tensorflow as tf

from backends.contract import Array, OptimizerSpec


def build_optimizer(spec: OptimizerSpec) -> Adam | RMSProp:
    return Adam(spec) if spec.kind == "adam" else RMSProp(spec)


class Adam(keras.optimizers.Optimizer):
    """m and v as averages of g and g^2; w -= lr * m_hat / (sqrt(v_hat) + epsilon)."""

    def __init__(self, spec: OptimizerSpec) -> None:
        super().__init__(learning_rate=0.0, name="adam")
        self.spec = spec

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        self.m, self.v = self.add_optimizer_variables(variables, ["m", "v"])

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        spec, index = self.spec, self._get_variable_index(variable)
        t = tf.cast(self.iterations.value + 1, gradient.dtype)
        m = spec.beta1 * self.m[index].value + (1 - spec.beta1) * gradient
        v = spec.beta2 * self.v[index].value + (1 - spec.beta2) * tf.square(gradient)
        m_hat, v_hat = m / (1 - spec.beta1**t), v / (1 - spec.beta2**t)
        self.assign(self.m[index], m)
        self.assign(self.v[index], v)
        self.assign_sub(variable, tf.cast(learning_rate, gradient.dtype) * m_hat / (tf.sqrt(v_hat) + spec.epsilon))


class RMSProp(keras.optimizers.Optimizer):
    """v = decay v + (1 - decay) g^2; m = momentum m + lr g / root(v); w -= m."""

    def __init__(self, spec: OptimizerSpec) -> None:
        super().__init__(learning_rate=0.0, name="rmsprop")
        self.spec = spec

    def build(self, variables: list[keras.Variable]) -> None:
        super().build(variables)
        starts = [keras.initializers.Constant(self.spec.initial_v), keras.initializers.Zeros()]
        self.v, self.m = self.add_optimizer_variables(variables, ["v", "m"], initializer=starts)

    def update_step(self, gradient: tf.Tensor, variable: keras.Variable, learning_rate: tf.Tensor) -> None:
        spec, index = self.spec, self._get_variable_index(variable)
        v = spec.decay * self.v[index].value + (1 - spec.decay) * tf.square(gradient)
        root = tf.sqrt(v + spec.epsilon) if spec.epsilon_inside_root else tf.sqrt(v) + spec.epsilon
        m = spec.momentum * self.m[index].value + tf.cast(learning_rate, gradient.dtype) * gradient / root
        self.assign(self.v[index], v)
        self.assign(self.m[index], m)
        self.assign_sub(variable, m)


def read_optimizer(optimizer: Adam | RMSProp) -> tuple[list[Array], list[Array], int]:
    """m and v of each variable the optimiser was built with, and the steps taken so far."""
    m, v = ([variable.numpy() for variable in slot] for slot in (optimizer.m, optimizer.v))
    return m, v, int(optimizer.iterations.numpy())


def write_optimizer(optimizer: Adam | RMSProp, m: list[Array], v: list[Array], steps: int) -> None:
    """The inverse of read_optimizer."""
    for variable, array in zip([*optimizer.m, *optimizer.v], [*m, *v], strict=True):
        variable.assign(array)
    optimizer.iterations.assign(steps)


def clip_gradients(spec: OptimizerSpec, gradients: list[tf.Tensor]) -> list[tf.Tensor]:
    if spec.clip == "element":
        return [tf.clip_by_value(gradient, -spec.clip_value, spec.clip_value) for gradient in gradients]
    if spec.clip == "norm":
        clipped, _ = tf.clip_by_global_norm(gradients, spec.clip_value)
        return list(clipped)
    return gradients
