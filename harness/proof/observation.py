"""What an implementation makes of a case, as named arrays. Knows no oracle: the oracle is observed the same way."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np

from backends.contract import Array, Batch, Group, Implementation, Parameters, Trainer
from backends.state import unpack_state
from harness.proof.calls import TrainingCall
from harness.proof.cases import Case, make_batch, make_chunk
from harness.proof.trainers import build_trainer, share_of_batch, share_of_chunk


def observe(
    implementation: Implementation,
    case: Case | TrainingCall,
    *,
    device: str,
    precision: str,
    group: Group | None = None,
) -> Parameters:
    """Every observed array by "quantity" or "quantity/tensor"; of a rank, what it makes of the whole batches with the
    others. Raises Unsupported and whatever the backend raises."""
    placed = {"device": device, "precision": precision}
    trainer = build_trainer(implementation, case.model(), case.optimizer, case.start_parameters(), group, **placed)
    if isinstance(case, TrainingCall):
        return observe_call(trainer, case, group)
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
        for start in range(first, last, case.chunk):
            chunk = make_chunk(start, min(case.chunk, last - start), case.batch)
            losses.append(trainer.train(share_of_chunk(chunk, group)))
        observed |= _prefixed(after(last), trainer.parameters())
    return observed | ({"losses": np.concatenate(losses)} if losses else {})


def observe_call(trainer: Trainer, call: TrainingCall, group: Group | None = None) -> Parameters:
    """losses (n_steps,), parameters/<name> after the call, and what they were moved by: momentum/<name>, the average of
    gradients that the optimiser keeps.

    The momentum shows the gradients of the very program that trains, where parameters have hardly moved. A trainer that
    cannot tell its state shows gradient/<name> of the first batch instead.
    """
    chunk, tell_state = call.chunk(), getattr(trainer, "state", None)
    if tell_state is None:
        first = Batch(chunk.inputs[0], chunk.targets[0])
        moved_by = _prefixed("gradient", trainer.loss_and_gradients(share_of_batch(first, group))[1])
    losses = trainer.train(share_of_chunk(chunk, group))
    if tell_state is not None:
        moved_by = _prefixed("momentum", unpack_state(call.model(), tell_state()).m)
    return {"losses": losses} | moved_by | _prefixed("parameters", trainer.parameters())


def quantities(case: Case) -> list[str]:
    """The names of what `observe` returns for a case, without tensors."""
    trained = [*map(after, case.steps), "losses"] if case.steps else []
    return (["probabilities", "loss", "gradient"] if case.gradients else []) + trained


def after(steps: int) -> str:
    """The name of the parameters after so many steps."""
    return f"after {steps} step{'s' if steps > 1 else ''}"


def _prefixed(quantity: str, arrays: Mapping[str, Array]) -> Parameters:
    return {f"{quantity}/{name}": array for name, array in arrays.items()}
