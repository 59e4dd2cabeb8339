"""The cells of a run on the nodes of a Ray cluster: Ray decides which cell goes where, the runner does the rest.

A cell takes all processors of a node, so no two are measured on one at a time. Ray is an extra, imported only here and
only inside the functions that need it.
"""

from harness.processes.cluster.connection import Cluster, connect, hide_address
from harness.processes.cluster.run import run_on_cluster
from harness.processes.cluster.verify import verify_on_cluster

__all__ = ["Cluster", "connect", "hide_address", "run_on_cluster", "verify_on_cluster"]
