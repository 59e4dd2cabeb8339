"""The ceiling of a node: its products are timed once, before the cells, on whichever node is free."""

from __future__ import annotations

import msgspec

from harness.machine.interruption import is_interrupted
from harness.processes.ceiling import Samples
from harness.processes.cluster.connection import Cluster
from harness.processes.cluster.losses import count_alive, explain
from harness.processes.cluster.messages import ProductsJob
from harness.processes.cluster.on_node import time_products_here
from harness.processes.process import POLL_INTERVAL_S
from harness.processes.selection import Selection
from harness.records.messages import encode


def sample_node(cluster: Cluster, selection: Selection) -> Samples:
    """The samples, or why there are none; after a signal there are none."""
    import ray
    from ray.exceptions import RayError

    names = [backend.name for backend in selection.backends]
    asked = ProductsJob(names, selection.precisions, selection.config, cluster.place(selection))
    on_one = {**cluster.whole_node, "max_retries": 0, "label_selector": cluster.only_its_nodes}
    task = ray.remote(**on_one)(time_products_here).remote(encode(asked))
    while not ray.wait([task], timeout=POLL_INTERVAL_S)[0]:
        if is_interrupted() or not count_alive(cluster.nodes):
            ray.cancel(task, force=True)
            return Samples()
    try:
        return msgspec.json.decode(ray.get(task), type=Samples)
    except RayError as error:
        return Samples(failures={"any framework": str(explain(error).reason)})
