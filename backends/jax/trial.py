"""A short trial of the ways to compute one thing, to go the fastest."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple

from backends.contract import Way

CALLS = 5


class Trial(NamedTuple):
    """The fastest way, and for a record's settings what each took; None where there was nothing to choose."""

    way: Way
    said: str | None = None


def find_fastest(ways: Mapping[Way, Callable[[], object]]) -> Trial:
    """Of calls that return when the device is done; each way's first call, which compiles, is not timed. The first way
    must work; another that fails is not chosen."""
    first, *others = ways
    if not others:
        return Trial(first)
    seconds = {first: _time(ways[first])}
    failures = {}
    for way in others:
        try:
            seconds[way] = _time(ways[way])
        # JAX's own errors are RuntimeErrors; where its plugin for CUDA lacks a part, it misses an attribute.
        except (AttributeError, RuntimeError) as error:
            failures[way] = f"{type(error).__name__}: {error}".partition("\n")[0]
    told = {way: f"{1e3 * each:.2g} ms" for way, each in seconds.items()} | failures
    return Trial(min(seconds, key=seconds.__getitem__), "; ".join(f"{way.lstm}: {told[way]}" for way in ways))


def _time(call: Callable[[], object]) -> float:
    """The least seconds that a call takes."""
    call()
    seconds = []
    for _ in range(CALLS):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return min(seconds)
