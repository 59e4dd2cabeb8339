"""The optimisers of OptimizerSpec in PyTorch.

torch.optim.Adam computes the specified equation and is used. torch.optim.RMSprop does not: its learning rate is
outside the momentum, its epsilon outside the root and its average starts at 0.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

from backends.contract import OptimizerSpec


def build_optimizer(
    spec: OptimizerSpec,
    parameters: Iterable[torch.nn.Parameter],
    *,
    fused: bool = False,
    learning_rate: torch.Tensor | None = None,
) -> torch.optim.Optimizer:
    """fused updates all parameters in one kernel where PyTorch has one, which is for Adam.

    With a learning rate in a tensor, float32 and of shape (), a CUDA graph can hold the step: whatever changes from
    step to step is in tensors.
    """
    captured = learning_rate is not None
    if spec.kind == "adam":
        rate, betas = (learning_rate if captured else 0.0), (spec.beta1, spec.beta2)
        return torch.optim.Adam(parameters, lr=rate, betas=betas, eps=spec.epsilon, fused=fused, capturable=captured)
    return CapturableRMSProp(parameters, spec, learning_rate) if captured else RMSProp(parameters, spec)


class RMSProp(torch.optim.Optimizer):
    """v = decay v + (1 - decay) g^2; m = momentum m + lr g / root(v); w -= m."""

    def __init__(self, parameters: Iterable[torch.nn.Parameter], spec: OptimizerSpec) -> None:
        super().__init__(parameters, {"lr": 0.0})
        self.spec = spec

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        for group in self.param_groups:
            for parameter in group["params"]:
                self._update(parameter, group["lr"])

    def _update(self, parameter: torch.nn.Parameter, learning_rate: float) -> None:
        spec, state, gradient = self.spec, self.state[parameter], parameter.grad
        if not state:
            state["v"] = torch.full_like(parameter, spec.initial_v)
            state["m"] = torch.zeros_like(parameter)
            state["step"] = 0
        state["step"] += 1
        v, m = state["v"], state["m"]
        v.mul_(spec.decay).addcmul_(gradient, gradient, value=1 - spec.decay)
        root = v.add(spec.epsilon).sqrt_() if spec.epsilon_inside_root else v.sqrt().add_(spec.epsilon)
        m.mul_(spec.momentum).addcdiv_(gradient, root, value=learning_rate)
        parameter.sub_(m)


class CapturableRMSProp(torch.optim.Optimizer):
    """The same with the learning rate and the count of steps in tensors, and a kernel for all parameters together."""

    def __init__(
        self, parameters: Iterable[torch.nn.Parameter], spec: OptimizerSpec, learning_rate: torch.Tensor
    ) -> None:
        super().__init__(parameters, {"lr": learning_rate, "capturable": True})
        self.spec = spec

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        spec, (group,) = self.spec, self.param_groups
        parameters = group["params"]
        gradients = [parameter.grad for parameter in parameters]
        states = [self._state(parameter) for parameter in parameters]
        counts, v, m = ([state[name] for state in states] for name in ("step", "v", "m"))
        torch._foreach_add_(counts, 1)
        torch._foreach_mul_(v, spec.decay)
        torch._foreach_addcmul_(v, gradients, gradients, value=1 - spec.decay)
        if spec.epsilon_inside_root:
            roots = torch._foreach_add(v, spec.epsilon)
            torch._foreach_sqrt_(roots)
        else:
            roots = torch._foreach_sqrt(v)
            torch._foreach_add_(roots, spec.epsilon)
        moves = torch._foreach_div(gradients, roots)
        torch._foreach_mul_(moves, group["lr"])
        torch._foreach_mul_(m, spec.momentum)
        torch._foreach_add_(m, moves)
        torch._foreach_sub_(parameters, m)

    def _state(self, parameter: torch.nn.Parameter) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = self.state[parameter]
        if not state:
            state["v"] = torch.full_like(parameter, self.spec.initial_v)
            state["m"] = torch.zeros_like(parameter)
            state["step"] = torch.zeros((), device=parameter.device)
        return state


# What each optimiser calls its m and v.
SLOTS = {"adam": ("exp_avg", "exp_avg_sq"), "rmsprop": ("m", "v")}


def read_optimizer(
    spec: OptimizerSpec, optimizer: torch.optim.Optimizer, parameters: Iterable[torch.nn.Parameter]
) -> tuple[list[torch.Tensor], list[torch.Tensor], int]:
    """m and v of each parameter, and the steps taken so far; PyTorch makes them in the first step."""
    m_name, v_name = SLOTS[spec.kind]
    v_start = spec.initial_v if spec.kind == "rmsprop" else 0.0
    m, v, steps = [], [], 0
    for parameter in parameters:
        state = optimizer.state.get(parameter) or {}
        m.append(state.get(m_name, torch.zeros_like(parameter)))
        v.append(state.get(v_name, torch.full_like(parameter, v_start)))
        steps = int(state.get("step", 0))
    return m, v, steps


def write_optimizer(
    spec: OptimizerSpec,
    optimizer: torch.optim.Optimizer,
    parameters: Iterable[torch.nn.Parameter],
    m: list[torch.Tensor],
    v: list[torch.Tensor],
    steps: int,
) -> None:
    """The inverse of read_optimizer. What is there already is written in place, since a CUDA graph goes on with it."""
    m_name, v_name = SLOTS[spec.kind]
    for parameter, m_value, v_value in zip(parameters, m, v, strict=True):
        state = optimizer.state[parameter]
        for name, values in ((m_name, m_value), (v_name, v_value)):
            state.setdefault(name, torch.zeros_like(parameter)).copy_(values)
        count = state.setdefault("step", _new_count(optimizer, parameter))
        state["step"] = count.fill_(steps) if isinstance(count, torch.Tensor) else steps


def _new_count(optimizer: torch.optim.Optimizer, parameter: torch.nn.Parameter) -> torch.Tensor | int:
    """Steps taken so far, 0, in what the optimiser counts in: a tensor, on the parameter's device where one kernel
    reads it, or a number in RMSProp."""
    if isinstance(optimizer, RMSProp):
        return 0
    group: dict[str, Any] = optimizer.param_groups[0]
    on_device = group["capturable"] or group["fused"]
    return torch.zeros((), dtype=torch.float32, device=parameter.device if on_device else "cpu")


def clip_gradients(spec: OptimizerSpec, parameters: list[torch.nn.Parameter]) -> None:
    """Clip in place. clip_grad_norm_ adds 1e-6 to the norm, so only its norm is used and the division is exact."""
    if spec.clip == "element":
        torch.nn.utils.clip_grad_value_(parameters, spec.clip_value)
    elif spec.clip == "norm":
        gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
        norm = torch.nn.utils.get_total_norm(gradients)
        scale = torch.clamp(spec.clip_value / norm, max=1.0)
        for gradient in gradients:
            gradient.mul_(scale)
