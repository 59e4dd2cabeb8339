"""What PyTorch's captured step computes beside its eager one, through the stand-in of tests/backends/gpu_torch.py.

Run in a process of its own: `python -m tests.backends.captured_steps KIND`, KIND being an optimiser, prints it as JSON.
"""

from __future__ import annotations

import json
import sys

import numpy as np

from backends.contract import Array, Chunk, ModelSpec, OptimizerSpec, State
from backends.torch import tuned
from tests.backends import gpu_torch

MODEL = ModelSpec(inputs=3, outputs=2, hidden=4, layers=2)


def make_chunk(rows: int, time_steps: int, seed: int) -> Chunk:
    """Of three steps, each with a learning rate of its own."""
    random = np.random.default_rng(seed).random
    inputs, targets = (random((3, rows, time_steps, n), np.float32) for n in (MODEL.inputs, MODEL.outputs))
    return Chunk(inputs, targets, np.array([1e-3, 1e-2, 3e-3], np.float32))


def start(kind: str) -> tuple[tuned.TunedTorchTrainer, tuned.CapturedTorchTrainer]:
    """The eager trainer and the captured one, from the same parameters."""
    generator = np.random.default_rng(0)
    parameters = {name: generator.normal(0, 0.5, shape).astype(np.float32) for name, shape in MODEL.shapes().items()}
    arguments = MODEL, OptimizerSpec(kind, initial_v=1.0, clip="norm", clip_value=0.01), parameters
    eager = tuned.build(*arguments, device="cpu", precision="float32")
    return eager, gpu_torch.build(*arguments, device="cpu", precision="float32")


def train(trainer: tuned.TunedTorchTrainer) -> tuple[list[Array], State]:
    """The losses and the state after chunks of two shapes, a return to the state before them, and more chunks."""
    first, other, last = make_chunk(5, 6, 1), make_chunk(4, 7, 2), make_chunk(5, 6, 3)
    losses = [trainer.train(first)]
    kept = trainer.state()
    losses += [trainer.train(chunk) for chunk in (other, last)]
    trainer.restore(kept)
    return losses + [trainer.train(chunk) for chunk in (last, other)], trainer.state()


def addresses(trainer: tuned.CapturedTorchTrainer) -> list[int]:
    state = trainer.optimizer.state
    tensors = [trainer.learning_rate, *trainer.trained, *(each for slots in state.values() for each in slots.values())]
    return [tensor.data_ptr() for tensor in tensors]


def observe(kind: str) -> dict[str, object]:
    eager, captured = start(kind)
    (losses, state), (captured_losses, captured_state) = train(eager), train(captured)
    before = addresses(captured)
    captured.restore(state)
    return {
        "losses": float(np.abs(np.array(losses) - np.array(captured_losses)).max()),
        "state": max(float(np.abs(state[name] - captured_state[name]).max()) for name in state),
        "same places": addresses(captured) == before,
        "graphs": len(captured.static_steps),
        "execution": [trainer.settings()["execution"] for trainer in (eager, captured)],
    }


if __name__ == "__main__":
    print(json.dumps(observe(*sys.argv[1:])))
