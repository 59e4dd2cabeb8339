"""TensorFlow's ways to multiply two matrices, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from backends.contract import Array
from backends.tensorflow.device import device_scope, product_dtype, resolve_device, resolve_dtype


def name_device(device: str) -> str:
    """The device that "auto" or "cuda" stands for here. Raises Unsupported for one that is not there."""
    return resolve_device(device)


def build_products(left: Array, right: Array, *, device: str, precision: str) -> dict[str, Callable[[], tf.Tensor]]:
    """By name, each way to multiply (m, k) by (k, n); a call returns the product once the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    with device_scope(place):
        a, b = (tf.constant(array, dtype) for array in (left, right))

    def build(*, jit_compile: bool) -> Callable[[], tf.Tensor]:
        with device_scope(place):
            compiled = tf.function(tf.matmul, jit_compile=jit_compile).get_concrete_function(a, b)

        def multiply() -> tf.Tensor:
            with device_scope(place):
                result = compiled(a, b)
            if place != "cpu":
                tf.test.experimental.sync_devices()
            return result

        return multiply

    return {"tf.matmul": build(jit_compile=False), "tf.matmul by XLA": build(jit_compile=True)}
