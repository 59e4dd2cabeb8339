"""The nodes of a cell: a placement group with an actor on a node for each rank, and where the ranks may listen."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from harness.machine.privacy import COMMON_NAMES, SHORTEST_NAME
from harness.processes.cluster.connection import Cluster
from harness.processes.cluster.losses import NO_NODE, count_alive, explain
from harness.processes.cluster.messages import Offer
from harness.processes.cluster.nodes import SHORT_ID
from harness.processes.cluster.on_node import RankOnNode
from harness.processes.process import INTERRUPTED, POLL_INTERVAL_S, Outcome
from harness.processes.ranks import name_rank

# Ray starts a process on each node for it.
OFFER_TIMEOUT_S = 120.0
# How often we see whether enough nodes are left for what waits.
NODES_INTERVAL_S = 2.0

IsStopped = Callable[[], bool]


@dataclass(frozen=True)
class Rank:
    """A rank: its actor, the node that is on, the address and the name of that, which are written nowhere, and what the
    backend lacks there, in words."""

    actor: Any
    node: str
    address: str
    host: str
    missing: str | None = None

    def hide(self, text: bytes) -> bytes:
        """The text without them: frameworks say whom they could not reach."""
        address = self.address.rpartition(":")[0]
        text = re.sub(rf"(?<![\d.]){re.escape(address)}(:\d+|(?!\d))".encode(), b"<ADDRESS>", text)
        if len(self.host) < SHORTEST_NAME or self.host.lower() in COMMON_NAMES:
            return text
        return re.sub(rf"(?<![\w.-]){re.escape(self.host)}(?![\w-])".encode(), b"<HOST>", text)


class NotGathered(Exception):
    """The nodes could not be had; the cell ends so."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


@contextlib.contextmanager
def gather(cluster: Cluster, backend: str, is_stopped: IsStopped) -> Iterator[list[Rank]]:
    """The ranks, on a whole node each, for as long as the context lasts; then their processes are ended and the nodes
    free. Waits until so many are. Ray starts nothing again, and on no node that joined after we began, since that is
    neither described nor placed. Raises NotGathered."""
    import ray
    from ray.util.placement_group import placement_group, remove_placement_group
    from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

    resources = cluster.whole_node
    bundle = {"CPU": resources["num_cpus"]} | ({"GPU": 1} if cluster.takes_gpu else {})
    everywhere = {"bundle_label_selector": [cluster.only_its_nodes] * cluster.ranks}
    group = placement_group([bundle] * cluster.ranks, "STRICT_SPREAD", **everywhere)
    remote = ray.remote(**resources, max_restarts=0, max_task_retries=0, max_concurrency=2)(RankOnNode)
    actors: list[Any] = []
    try:
        _wait(group, cluster, is_stopped)
        for rank in range(cluster.ranks):
            there = PlacementGroupSchedulingStrategy(group, placement_group_bundle_index=rank)
            actors.append(remote.options(scheduling_strategy=there).remote())
        yield _ask(actors, backend, is_stopped)
    finally:
        for actor in actors:
            # With the process of Ray's goes, by its guard, a worker that is still there.
            ray.kill(actor)
        remove_placement_group(group)


def _wait(group: Any, cluster: Cluster, is_stopped: IsStopped) -> None:
    looked_s = time.monotonic()
    while not group.wait(timeout_seconds=1):
        if is_stopped():
            raise NotGathered(Outcome(INTERRUPTED, None))
        if time.monotonic() - looked_s > NODES_INTERVAL_S:
            looked_s = time.monotonic()
            n_left = count_alive(cluster.nodes)
            if n_left < cluster.ranks:
                too_few = f"too few nodes of the cluster were left for its {cluster.ranks} ranks: {n_left}"
                raise NotGathered(Outcome("failed", too_few if n_left else NO_NODE))


def _ask(actors: Sequence[Any], backend: str, is_stopped: IsStopped) -> list[Rank]:
    import ray
    from ray.exceptions import RayError

    asked = [actor.offer.remote(backend) for actor in actors]
    deadline_s = time.monotonic() + OFFER_TIMEOUT_S
    ranks = []
    for rank, (actor, answer) in enumerate(zip(actors, asked, strict=True)):
        while not ray.wait([answer], timeout=POLL_INTERVAL_S)[0]:
            if is_stopped():
                raise NotGathered(Outcome(INTERRUPTED, None))
            if time.monotonic() > deadline_s:
                reason = f"its node did not say within {OFFER_TIMEOUT_S:g} s where it may listen"
                raise NotGathered(name_rank(Outcome("timeout", reason), rank, len(actors)))
        try:
            told = msgspec.json.decode(ray.get(answer), type=Offer)
        except RayError as error:
            raise NotGathered(name_rank(explain(error), rank, len(actors))) from None
        ranks.append(Rank(actor, told.node[:SHORT_ID], told.address, told.host, told.missing))
    return ranks
