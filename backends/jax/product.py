"""JAX's ways to multiply two matrices, for the machine's ceiling."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from backends.contract import Array
from backends.jax.device import device_settings, product_dtype, resolve_device, resolve_dtype
from backends.jax.group import BATCH
from backends.jax.processors import count_shares


def name_device(device: str) -> str:
    """The device that "auto" or "cuda" stands for here. Raises Unsupported for one that is not there."""
    return str(device_settings(resolve_device(device))["device"])


def build_products(left: Array, right: Array, *, device: str, precision: str) -> dict[str, Callable[[], jax.Array]]:
    """By name, each way to multiply (m, k) by (k, n); a call returns the product once the device has finished."""
    place = resolve_device(device)
    resolve_dtype(precision, place)
    dtype = product_dtype(precision)
    # Summed in at least float32, for which XLA has faster kernels than for sums in bfloat16.
    matmul = partial(jnp.matmul, preferred_element_type=jnp.promote_types(dtype, jnp.float32))

    def build(rows: Sharding, whole: Sharding) -> Callable[[], jax.Array]:
        a, b = jax.device_put(np.asarray(left, dtype), rows), jax.device_put(np.asarray(right, dtype), whole)
        compiled = jax.jit(matmul)
        return lambda: jax.block_until_ready(compiled(a, b))

    products = {"jnp.matmul": build(SingleDeviceSharding(place), SingleDeviceSharding(place))}
    n_shares = count_shares(len(left), place)
    if n_shares > 1:
        # As the tuned implementation splits a batch.
        mesh = Mesh(np.array(jax.devices("cpu")[:n_shares]), (BATCH,))
        split, whole = NamedSharding(mesh, PartitionSpec(BATCH)), NamedSharding(mesh, PartitionSpec())
        products["jnp.matmul, rows split over processors"] = build(split, whole)
    return products
