"""Where a worker runs: what it has to know before it imports anything that starts threads."""

from __future__ import annotations

from msgspec import Struct


class Placement(Struct, frozen=True):
    """The device, the processors (None where the system has no affinity), and when its process was started, by
    time.monotonic, which is one for all processes of a machine."""

    device: str
    cpus: list[int] | None
    spawned_at_s: float


class Envelope(Struct, frozen=True):
    """The part of a request that is read first: where the worker runs, and how many bytes of arrays follow."""

    placement: Placement
    arrays_bytes: int
