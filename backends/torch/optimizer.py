"""The optimisers of OptimizerSpec in PyTorch.

torch.optim.Adam computes the specified equation and is used. torch.optim.RMSprop does not: its learning rate is
outside the momentum, its epsilon outside the root and its average starts at 0.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch

from backends.contract import OptimizerSpec


def build_optimizer(
    spec: OptimizerSpec, parameters: Iterable[torch.nn.Parameter], *, fused: bool = False
) -> torch.optim.Optimizer:
    """fused updates all parameters in one kernel where PyTorch has one, which is for Adam."""
    if spec.kind == "adam":
        betas = (spec.beta1, spec.beta2)
        return torch.optim.Adam(parameters, lr=0.0, betas=betas, eps=spec.epsilon, fused=fused)
    return RMSProp(parameters, spec)


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
    """The inverse of read_optimizer."""
    m_name, v_name = SLOTS[spec.kind]
    fused = optimizer.param_groups[0].get("fused")
    for parameter, m_value, v_value in zip(parameters, m, v, strict=True):
        values = {m_name: _like(parameter, m_value), v_name: _like(parameter, v_value)}
        # torch.optim.Adam counts in a tensor, on the parameter's device where it is fused.
        place = parameter.device if fused else "cpu"
        step = torch.tensor(float(steps), dtype=torch.float32, device=place) if spec.kind == "adam" else steps
        optimizer.state[parameter] = {**values, "step": step}


def _like(parameter: torch.nn.Parameter, values: torch.Tensor) -> torch.Tensor:
    """values in the memory layout of the parameter."""
    return torch.zeros_like(parameter).copy_(values)


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
