"""Keras as its guide has it: stock layers, compile, fit."""

from __future__ import annotations

from collections.abc import Callable

import keras
import numpy as np

from harness.task.recipe import RunConfig


def prepare(config: RunConfig, n_steps: int) -> Callable[[int], float]:
    """A call is one fit of that many batches; returns its mean loss, nats."""
    batches = [config.task.batch(seed=0, step=step, size=config.train.batch) for step in range(n_steps)]
    inputs = np.concatenate([batch.inputs for batch in batches])
    targets = np.concatenate([batch.targets for batch in batches])

    model = keras.Sequential([keras.Input(inputs.shape[1:])])
    for _ in range(config.model.layers):
        model.add(keras.layers.LSTM(config.model.hidden, return_sequences=True))
    model.add(keras.layers.Dense(config.task.bits, activation="sigmoid"))
    model.compile(optimizer=keras.optimizers.Adam(), loss=keras.losses.BinaryCrossentropy())

    def train(steps: int) -> float:
        n_sequences = steps * config.train.batch
        history = model.fit(inputs[:n_sequences], targets[:n_sequences], batch_size=config.train.batch, verbose=0)
        return float(history.history["loss"][-1])

    return train
