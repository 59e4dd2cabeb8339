"""What an implementation makes of a case, as named arrays. Knows no oracle: the oracle is observed the same way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from backends.contract import Array, Group, Implementation, Parameters, Trainer
from harness.proof.cases import Case, make_batch, make_chunk, start_parameters
from harness.proof.trainers import build_trainer, share_of_batch, share_of_chunk


def observe(
    implementation: Implementation, case: Case, *, device: str, precision: str, group: Group | None = None
) -> Parameters:
    """Every observed array by "quantity" or "quantity/tensor"; of a rank, what it makes of the whole batches with the
    others. Raises Unsupported and whatever the backend raises."""
    model = case.model()
    placed = {"device": device, "precision": precision}
    trainer = build_trainer(implementation, model, case.optimizer, start_parameters(model), group, **placed)
    return (observe_gradients(trainer, case, group) if case.gradients else {}) | observe_training(trainer, case, group)


def observe_gradients(trainer: Trainer, case: Case, group: Group | None = None) -> Parameters:
    """probabilities (batch, time, outputs), loss (1,) and gradient/<name>, at the present parameters."""
    batch = make_batch(0, case.batch)
    loss, gradients = trainer.loss_and_gradients(share_of_batch(batch, group))
    probabilities = trainer.predict(batch.inputs)
    return {"probabilities": probabilities, "loss": np.atleast_1d(loss)} | _prefixed("gradient", gradients)


def observe_training(trainer: Trainer, case: Case, group: Group | None = None) -> Parameters:
    """after N steps/<name> for each N of the case's steps, and the losses (last N,) met on the way."""
    observed: Parameters = {}
    losses: list[Array] = []
    for first, last in itertools.pairwise((0, *case.steps)):
        for start in range(first, last, case.chunk_steps()):
            chunk = make_chunk(start, min(case.chunk_steps(), last - start), case.batch)
            losses.append(trainer.train(share_of_chunk(chunk, group)))
        observed |= _prefixed(after(last), trainer.parameters())
    return observed | ({"losses": np.concatenate(losses)} if losses else {})


def quantities(case: Case) -> list[str]:
    """The names of what `observe` returns for a case, without tensors."""
    trained = [*map(after, case.steps), "losses"] if case.steps else []
    return (["probabilities", "loss", "gradient"] if case.gradients else []) + trained


def after(steps: int) -> str:
    """The name of the parameters after so many steps."""
    return f"after {steps} step{'s' if steps > 1 else ''}"


def _prefixed(quantity: str, arrays: Mapping[str, Array]) -> Parameters:
    return {f"{quantity}/{name}": array for name, array in arrays.items()}
