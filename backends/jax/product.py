"""JAX's own matrix product, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from backends.contract import Array
from backends.jax.device import product_dtype, resolve_device, resolve_dtype


def build_product(left: Array, right: Array, *, device: str, precision: str) -> Callable[[], None]:
    """A call that multiplies (m, k) by (k, n) and returns when the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    a, b = (jax.device_put(np.asarray(array, dtype), place) for array in (left, right))
    compiled = jax.jit(jnp.matmul)

    def product() -> None:
        jax.block_until_ready(compiled(a, b))

    return product
