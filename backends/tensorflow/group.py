"""Ranks that train together in TensorFlow: the collective operations of tf.distribute.MultiWorkerMirroredStrategy."""

from __future__ import annotations

from functools import cache
from typing import Any

import tensorflow as tf

from backends.contract import Group


@cache
def join(group: Group | None) -> tf.distribute.Strategy | None:
    """Meet the other ranks, once in a process and before TensorFlow is used; None without a group."""
    if group is None:
        return None
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        tf.train.ClusterSpec({"worker": list(group.addresses)}),
        task_type="worker",
        task_id=group.rank,
        rpc_layer="grpc",
    )
    return tf.distribute.MultiWorkerMirroredStrategy(cluster_resolver=resolver)


def average(strategy: tf.distribute.Strategy | None, values: Any) -> Any:
    """The means over all ranks of nested tensors.

    Done before the optimiser sees the gradients: what Keras does by itself in a strategy's scope is to sum what each
    replica has clipped.
    """
    if strategy is None:
        return values
    return strategy.run(_mean, args=(values,))


def _mean(values: Any) -> Any:
    # A reduction goes by the devices of its values, which those from outside the replica may lack.
    values = tf.nest.map_structure(tf.identity, values)
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.MEAN, values)
