"""Ranks that train together in PyTorch: DistributedDataParallel over gloo on CPUs and NCCL on GPUs."""

from __future__ import annotations

from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from backends.contract import Group


def join(group: Group | None, device: torch.device) -> Group | None:
    """Meet the other ranks, once in a process. Raises torch.distributed.DistError where one does not arrive."""
    if group is not None and not dist.is_initialized():
        dist.init_process_group(
            "nccl" if device.type == "cuda" else "gloo",
            init_method=f"tcp://{group.addresses[0]}",
            rank=group.rank,
            world_size=group.size,
            timeout=timedelta(seconds=group.timeout_s),
        )
    return group


def replicate(network: nn.Module, group: Group | None) -> nn.Module:
    """The network, or the replica of it whose backward pass leaves the mean of all ranks' gradients."""
    return network if group is None else DistributedDataParallel(network)


@torch.no_grad()
def average(values: torch.Tensor, group: Group | None) -> torch.Tensor:
    """The mean over all ranks; gloo has sums alone."""
    if group is None:
        return values
    total = values.clone()
    dist.all_reduce(total)
    return total / group.size
