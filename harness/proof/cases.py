"""What every backend is asked to compute: small networks, one recipe a case, and data on which a mistake shows.

No two sizes are equal, so that an exchanged axis cannot go unnoticed; no parameter is 0, so that none drops out.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from backends.contract import WIRINGS, Array, Batch, Chunk, ModelSpec, OptimizerSpec, Parameters
from harness.task.copy_task import CopyTask, initial_parameters

DEPTHS = (1, 3)
TASK = CopyTask(bits=3, min_length=1, max_length=4)
HIDDEN, BATCH_SIZE, SEED = 8, 6, 0
# Steps of one call where several are taken: 1 + 9 + 90 steps need two lengths of chunk.
SEVERAL = 9

# Near the size of the gradients' elements, so that every form of the update is a number of its own.
EPSILON = 3e-4
# Inside the range of the gradients met, so that some are clipped and some are not.
CLIP_VALUES = {"none": 1.0, "element": 0.005, "norm": 0.12}
# A rate that changes at every step tells momentum with the rate inside from momentum with it outside.
LEARNING_RATES = 2e-3 * np.array([1.0, 0.25, 2.0, 0.5, 1.5])


@dataclass(frozen=True)
class Case:
    """A network of `layers` layers and an optimiser, and what is observed of it.

    gradients: probabilities, loss and gradients at the initial parameters. steps: the parameters after so many
    optimiser steps, in rising order; none trains nothing. wiring: the switches of contract.WIRINGS that are on. batch:
    sequences in each batch. chunk: steps that a call of train takes at most; each length of chunk may cost a
    compilation, which is where verify's time goes.
    """

    name: str
    layers: int
    optimizer: OptimizerSpec
    gradients: bool = False
    steps: tuple[int, ...] = ()
    wiring: tuple[str, ...] = ()
    batch: int = BATCH_SIZE
    chunk: int = 1

    def model(self) -> ModelSpec:
        switches = dict.fromkeys(self.wiring, True)
        return ModelSpec(TASK.input_channels, TASK.output_channels, HIDDEN, self.layers, **switches)

    def start_parameters(self) -> Parameters:
        return start_parameters(self.model())


def choose_cases(precision: str) -> dict[str, list[Case]]:
    """The cases of each precision, or of the one named. Every case in float32; in float64, where the same code
    runs with smaller errors, the gradients of 3 layers and every optimiser form and clipping form at least once; in
    bfloat16, where only the products differ from float32, the gradients of 3 layers, Adam and the paper's wiring; tf32
    only where it is named, since it needs a GPU."""
    deep = [case for case in model_cases() if case.layers == max(DEPTHS)]
    adam = [case for case in training_cases() if case.layers == max(DEPTHS) and case.optimizer.kind == "adam"]
    rounded = [*deep, *adam, *wired_cases()]
    chosen = {
        "float32": [*model_cases(), *training_cases(), *wired_cases()],
        "float64": [*deep, *shallow_cases(), *wired_cases()],
        "bfloat16": rounded,
        "tf32": rounded,
    }
    if precision != "all":
        return {precision: chosen[precision]}
    return {name: cases for name, cases in chosen.items() if name != "tf32"}


def choose_group_cases(ranks: int) -> dict[str, list[Case]]:
    """The cases of several ranks, in float32, on a batch that they divide: the plain network of 3 layers and the
    paper's, and every clipping form, since gradients are to be averaged before they are clipped."""
    everything = [*model_cases(), *training_cases(), *wired_cases()]
    return {"float32": [divisible(case, ranks) for case in everything if case.layers == max(DEPTHS)]}


def divisible(case: Case, ranks: int) -> Case:
    """The case on the smallest batch of at least its own that the ranks divide."""
    return replace(case, batch=-(-case.batch // ranks) * ranks)


def model_cases() -> list[Case]:
    """Probabilities, loss and gradients depend on the network alone, so once for each depth is enough."""
    return [Case(f"{layers}L-model", layers, OptimizerSpec(), gradients=True) for layers in DEPTHS]


def training_cases() -> list[Case]:
    """Every optimiser form with every clipping form; a third of these pairs with 3 layers, the rest with 1.

    So every two of form, clipping and depth meet, in half the cases, and half the compiling, of all three.
    """
    forms, clips = optimizer_forms(), list(CLIP_VALUES)
    cases = []
    for (number, form), (place, clip) in itertools.product(enumerate(forms), enumerate(clips)):
        layers = 3 if (number + place) % len(clips) == 0 else 1
        optimizer = OptimizerSpec(**forms[form], epsilon=EPSILON, clip=clip, clip_value=CLIP_VALUES[clip])
        chunk = SEVERAL if layers == max(DEPTHS) and optimizer.kind == "adam" else 1
        cases.append(Case(f"{layers}L-{form}-{clip}", layers, optimizer, steps=(1, 10, 100), chunk=chunk))
    return cases


def shallow_cases() -> list[Case]:
    """One case of 1 layer, which compiles soonest, for every optimiser form, and among them every clipping form."""
    shallow = [case for case in training_cases() if case.layers == min(DEPTHS)]
    pairs = zip(shallow[::2], shallow[1::2], strict=True)
    return [pair[place % 2] for place, pair in enumerate(pairs)]


def wired_cases() -> list[Case]:
    """The paper's wiring: its gradients, and its parameters as the paper's optimiser moves them."""
    optimizer = OptimizerSpec(
        "rmsprop", epsilon=EPSILON, epsilon_inside_root=True, clip="element", clip_value=CLIP_VALUES["element"]
    )
    return [Case("3L-wired-rmsprop-in-0-element", 3, optimizer, True, (1, 10, 100), WIRINGS, chunk=SEVERAL)]


def optimizer_forms() -> dict[str, dict[str, Any]]:
    forms: dict[str, dict[str, Any]] = {"adam": {"kind": "adam"}}
    for inside, start in itertools.product((True, False), (0.0, 1.0)):
        name = f"rmsprop-{'in' if inside else 'out'}-{start:g}"
        forms[name] = {"kind": "rmsprop", "epsilon_inside_root": inside, "initial_v": start}
    return forms


def start_parameters(model: ModelSpec) -> Parameters:
    """Initial parameters, float32, with noise on the biases and the initial state: none is 0 and no two gates or
    layers are alike."""
    generator = np.random.default_rng(SEED)
    parameters = initial_parameters(model, SEED, input_scale=2.0)
    for array in parameters.values():
        if array.ndim == 1:
            array += generator.normal(0.0, 0.3, array.shape).astype(np.float32)
    return parameters


def make_batch(step: int, size: int = BATCH_SIZE) -> Batch:
    batch = TASK.batch(seed=SEED, step=step, size=size)
    return Batch(batch.inputs, batch.targets)


def make_chunk(first_step: int, n_steps: int, size: int = BATCH_SIZE) -> Chunk:
    batches = [make_batch(step, size) for step in range(first_step, first_step + n_steps)]
    inputs, targets = (np.stack([getattr(batch, name) for batch in batches]) for name in ("inputs", "targets"))
    return Chunk(inputs, targets, learning_rates(first_step, n_steps))


def learning_rates(first_step: int, n_steps: int) -> Array:
    steps = np.arange(first_step, first_step + n_steps)
    return LEARNING_RATES[steps % len(LEARNING_RATES)].astype(np.float32)
