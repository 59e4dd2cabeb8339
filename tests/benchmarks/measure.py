"""The process of one sample: prepares a contender, warms it up, times it, and answers on a pipe of its own.

python measure.py DESCRIPTOR reads the request as JSON on standard input: "module" and "is_peer" name the contender,
"configuration" is a RunConfig, "steps" are timed in one call, "cpus" are those to run on. The answer is JSON too:
"step_ms", the mean of the timed steps, and "losses", one in nats for every call.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from harness.machine.affinity import set_affinity


def main() -> None:
    request = json.load(sys.stdin)
    set_affinity(request["cpus"])
    with os.fdopen(int(sys.argv[1]), "w") as answers:
        json.dump(measure(request), answers)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    # Libraries size their thread pools at import, so nothing that imports one may come before the affinity is set.
    from harness.records.timeline import WARMUP_CALLS
    from harness.task.presets import convert

    config, steps = convert(request["configuration"]), request["steps"]
    module = importlib.import_module(request["module"])
    train = module.prepare(config, steps) if request["is_peer"] else prepare_own(module, config, steps)
    losses = [train(config.train.chunk) for _ in range(WARMUP_CALLS)]
    begun_s = time.perf_counter()
    losses.append(train(steps))
    return {"step_ms": 1000 * (time.perf_counter() - begun_s) / steps, "losses": losses}


def prepare_own(implementation: Any, config: Any, n_steps: int) -> Callable[[int], float]:
    """The same for one of the suite's own implementations, in chunks as the harness hands them out."""
    from harness.cells.chunks import make_chunk

    spec, parameters = config.model_spec(), config.initial_parameters(0)
    trainer = implementation.build(spec, config.optimizer, parameters, device="auto", precision="float32")
    chunks = [make_chunk(config, 0, first) for first in range(0, n_steps, config.train.chunk)]

    def train(steps: int) -> float:
        losses = [trainer.train(chunk) for chunk in chunks[: steps // config.train.chunk]]
        return float(losses[-1][-1])

    return train


if __name__ == "__main__":
    main()
