from __future__ import annotations
import itertools
import numpy as np
from backends.contract import Array, Batch, Implementation, Parameters, Trainer
from harness.verification.cases import Case, make_batch, make_chunk, start_parameters
CHUNK_STEPS = 9

def observe(implementation, case, *, device, precision):
    model = case.model()
    trainer = implementation.build(model, case.optimizer, start_parameters(model), device=device, precision=precision)
    observed = {}
    if case.gradients:
        batch = make_batch(0)
        loss, gradients = trainer.loss_and_gradients(batch)
        observed["probabilities"] = trainer.predict(batch.inputs)
        observed["loss"] = np.asarray(loss, np.float64)
        observed |= {f"gradient/{name}": a for name, a in gradients.items()}
    losses = []
    for first, last in itertools.pairwise((0, *case.steps)):
        for start in range(first, last, CHUNK_STEPS):
            losses.append(trainer.train(make_chunk(start, min(CHUNK_STEPS, last - start))))
        observed |= {f"parameters@{last}/{name}": a for name, a in trainer.parameters().items()}
    if losses:
        observed["losses"] = np.concatenate(losses)
    return observed
