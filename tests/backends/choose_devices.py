"""What a framework's device.py answers, where it sees the GPUs that there are or a number of made-up ones.

Run in a process of its own: `python -m tests.backends.choose_devices FRAMEWORK [NUMBER]...` prints, as JSON, the answer
to each way to ask, for each number of made-up GPUs or else for those that there are. With `ways` in the number's place
it prints how the tuned implementation would train.
"""

from __future__ import annotations

import importlib
import json
import sys
from types import SimpleNamespace
from typing import Any
from unittest import mock

from backends.contract import PRECISIONS, Group, Unsupported

WAYS = ("auto", "cpu", "cuda", "cuda:0", "cuda:1", "cuda:2")


def made_up(framework: str, n_gpus: int) -> Any:
    """A patch that has the framework list these GPUs beside the processor."""
    if framework == "torch":
        return mock.patch("torch.cuda.device_count", return_value=n_gpus)
    if framework == "tensorflow":
        return mock.patch("tensorflow.config.list_physical_devices", return_value=[object()] * n_gpus)
    gpus = [SimpleNamespace(platform="gpu", name=f"cuda:{index}") for index in range(n_gpus)]
    cpu = SimpleNamespace(platform="cpu", name="cpu")

    def local_devices(backend: str | None = None) -> list[Any]:
        """As jax.local_devices: without a name those of the default backend, which is the GPUs' where there is one."""
        return {"gpu": gpus, "cpu": [cpu], None: gpus or [cpu]}[backend]

    return mock.patch("jax.local_devices", local_devices)


def choose_device(framework: str, device: str) -> str:
    module = importlib.import_module(f"backends.{framework}.device")
    try:
        chosen = module.resolve_device(device)
    except Unsupported as error:
        return str(error)
    # JAX's device is an object, and its processor one of several.
    return "cpu" if getattr(chosen, "platform", None) == "cpu" else str(getattr(chosen, "name", chosen))


def answers(framework: str) -> dict[str, str]:
    return {device: choose_device(framework, device) for device in WAYS}


def answers_for(framework: str, n_gpus: int) -> dict[str, str]:
    with made_up(framework, n_gpus):
        return answers(framework)


def ways(framework: str) -> dict[str, str]:
    """The execution by device and precision, and that of one of several ranks, with one made-up GPU; in JAX the LSTMs
    that a trial chooses from."""

    def choose(*arguments: Any) -> str:
        if framework == "jax":
            return " or ".join(way.lstm for way in module.possible_ways(*arguments))
        return str(module.choose_way(*arguments).execution)

    module = importlib.import_module(f"backends.{framework}.device")
    group = Group(0, ("127.0.0.1:1", "127.0.0.1:2"), 1.0)
    with made_up(framework, 1):
        chosen = {f"{device} {each}": choose(device, each, None) for device in WAYS[:2] for each in PRECISIONS}
        chosen["a rank"] = choose("auto", "float32", group)
    return chosen


if __name__ == "__main__":
    framework, *numbers = sys.argv[1:]
    if numbers == ["ways"]:
        print(json.dumps([ways(framework)]))
    else:
        print(json.dumps([answers_for(framework, int(number)) for number in numbers] or [answers(framework)]))
