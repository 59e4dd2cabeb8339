"""The optimisers of OptimizerSpec in JAX. optax computes every one of them."""

from __future__ import annotations

from functools import cache
from typing import Any

import jax
import optax

from backends.contract import OptimizerSpec


@cache
def build_optimizer(spec: OptimizerSpec) -> optax.GradientTransformationExtraArgs:
    """Clipping and update in one chain; its update takes the step's learning rate as `learning_rate`.

    The same for the same specification, so that a second trainer finds its training step compiled.
    """
    if spec.kind == "adam":
        adam = optax.scale_by_adam(b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon, eps_root=0.0)
        return optax.chain(clip_gradients(spec), adam, scale_by_learning_rate(), optax.scale(-1.0))
    rms = optax.scale_by_rms(
        decay=spec.decay,
        eps=spec.epsilon,
        initial_scale=spec.initial_v,
        eps_in_sqrt=spec.epsilon_inside_root,
        bias_correction=False,
    )
    momentum = optax.trace(decay=spec.momentum, nesterov=False)
    return optax.chain(clip_gradients(spec), rms, scale_by_learning_rate(), momentum, optax.scale(-1.0))


def clip_gradients(spec: OptimizerSpec) -> optax.GradientTransformation:
    if spec.clip == "element":
        return optax.clip(spec.clip_value)
    if spec.clip == "norm":
        return optax.clip_by_global_norm(spec.clip_value)
    return optax.identity()


def scale_by_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Multiply by learning_rate, which the harness gives with each step. The sign comes last, so that the momentum is
    the specification's m."""

    def update(updates: Any, state: Any, params: Any = None, *, learning_rate: jax.Array, **_: Any) -> tuple[Any, Any]:
        return jax.tree.map(lambda update: learning_rate * update, updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)


# What optax calls m and v in the states of each optimiser.
SLOTS = {"adam": ("mu", "nu"), "rmsprop": ("trace", "nu")}


def find_averages(spec: OptimizerSpec, state: Any) -> tuple[Any, Any]:
    """m and v in a state of build_optimizer's transformation, each with the structure of the parameters."""
    m, v = (optax.tree_utils.tree_get(state, name) for name in SLOTS[spec.kind])
    return m, v


def replace_averages(spec: OptimizerSpec, state: Any, m: Any, v: Any, steps: int) -> Any:
    """A state with m, v and the steps taken so far; only adam's equation counts them."""
    names = dict(zip(SLOTS[spec.kind], (m, v), strict=True))
    if spec.kind == "adam":
        names["count"] = jax.numpy.asarray(steps, optax.tree_utils.tree_get(state, "count").dtype)
    return optax.tree_utils.tree_set(state, **names)
