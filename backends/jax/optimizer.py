"""The optimisers of OptimizerSpec in JAX. optax computes every one of them."""

from __future__ import annotations

from typing import Any

import jax
import optax

from backends.contract import OptimizerSpec


def build_optimizer(spec: OptimizerSpec) -> optax.GradientTransformationExtraArgs:
    """Clipping and update in one chain; its update takes the step's learning rate as `learning_rate`."""
    if spec.kind == "adam":
        adam = optax.scale_by_adam(b1=spec.beta1, b2=spec.beta2, eps=spec.epsilon, eps_root=0.0)
        return optax.chain(clip_gradients(spec), adam, scale_by_learning_rate())
    rms = optax.scale_by_rms(
        decay=spec.decay,
        eps=spec.epsilon,
        initial_scale=spec.initial_v,
        eps_in_sqrt=spec.epsilon_inside_root,
        bias_correction=False,
    )
    momentum = optax.trace(decay=spec.momentum, nesterov=False)
    return optax.chain(clip_gradients(spec), rms, scale_by_learning_rate(), momentum)


def clip_gradients(spec: OptimizerSpec) -> optax.GradientTransformation:
    if spec.clip == "element":
        return optax.clip(spec.clip_value)
    if spec.clip == "norm":
        return optax.clip_by_global_norm(spec.clip_value)
    return optax.identity()


def scale_by_learning_rate() -> optax.GradientTransformationExtraArgs:
    """Multiply by -learning_rate, which the harness gives with each step."""

    def update(updates: Any, state: Any, params: Any = None, *, learning_rate: jax.Array, **_: Any) -> tuple[Any, Any]:
        return jax.tree.map(lambda update: -learning_rate * update, updates), state

    return optax.GradientTransformationExtraArgs(optax.init_empty_state, update)
