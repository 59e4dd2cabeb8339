"""TensorFlow's own matrix product, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable

import tensorflow as tf

from backends.contract import Array
from backends.tensorflow.device import device_scope, product_dtype, resolve_device, resolve_dtype


def build_product(left: Array, right: Array, *, device: str, precision: str) -> Callable[[], None]:
    """A call that multiplies (m, k) by (k, n) and returns when the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    with device_scope(place):
        a, b = (tf.constant(array, dtype) for array in (left, right))
        compiled = tf.function(tf.matmul).get_concrete_function(a, b)

    def product() -> None:
        with device_scope(place):
            compiled(a, b)
        if place != "cpu":
            tf.test.experimental.sync_devices()

    return product
