"""Ranks that train together in JAX: jax.distributed, and a mesh over every rank's devices."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import numpy as np
from jax.flatten_util import ravel_pytree
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from backends.contract import Array, Group

BATCH = "batch"


@cache
def join(group: Group | None) -> Group | None:
    """Meet the other ranks, once in a process and before JAX looks for devices. Raises RuntimeError where one does not
    arrive."""
    if group is not None:
        jax.distributed.initialize(
            group.addresses[0],
            num_processes=group.size,
            process_id=group.rank,
            initialization_timeout=int(group.timeout_s),
            # Or it would ask Slurm or Kubernetes for what was not said, such as which devices are ours.
            cluster_detection_method="deactivate",
        )
    return group


def make_mesh(group: Group, n_devices: int = 1) -> Mesh:
    """The first n_devices of each rank, rank by rank, along one axis named BATCH."""
    devices = [[each for each in jax.devices() if each.process_index == rank] for rank in range(group.size)]
    return Mesh(np.array([of_rank[:n_devices] for of_rank in devices]).ravel(), (BATCH,))


def whole_sharding(group: Group | None, device: jax.Device) -> Sharding:
    """Where what every rank has whole is placed."""
    return SingleDeviceSharding(device) if group is None else NamedSharding(make_mesh(group), PartitionSpec())


def place_whole(tree: Any, sharding: Sharding) -> Any:
    """The arrays placed whole. JAX moves nothing between processes, so what is elsewhere goes through NumPy."""
    if sharding.is_fully_addressable:
        return jax.device_put(tree, sharding)

    def place(array: Any) -> jax.Array:
        if isinstance(array, jax.Array) and array.sharding == sharding:
            return array
        # device_put would have all processes compare their values, which takes longer than a training step.
        return jax.make_array_from_process_local_data(sharding, np.asarray(array))

    return jax.tree.map(place, tree)


def place_rows(rows: Array, group: Group | None, device: jax.Device) -> jax.Array:
    """This rank's rows (rows, ...) as its part of the global batch."""
    if group is None:
        return jax.device_put(rows, device)
    return jax.make_array_from_process_local_data(NamedSharding(make_mesh(group), PartitionSpec(BATCH)), rows)


def mean_over_ranks(tree: Any) -> Any:
    """Inside shard_map over BATCH: the means over all devices, as one vector, since each exchange has its latency."""
    vector, unravel = ravel_pytree(tree)
    return unravel(jax.lax.pmean(vector, BATCH))


def average(tree: Any, group: Group | None) -> Any:
    """The means over all ranks of the arrays of this one; NumPy arrays."""
    arrays = jax.tree.map(np.asarray, tree)
    if group is None:
        return arrays
    device = jax.local_devices()[0]
    stacked = jax.tree.map(lambda array: place_rows(array[None], group, device), arrays)
    return jax.tree.map(np.asarray, _mean_of_rows(whole_sharding(group, device))(stacked))


@cache
def _mean_of_rows(sharding: Sharding) -> Any:
    return jax.jit(lambda tree: jax.tree.map(lambda rows: rows.mean(axis=0), tree), out_shardings=sharding)
