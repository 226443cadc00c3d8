"""Several processes that train one model together: one batch shared, one loss, one truth.

The batch of a step is the same whether 1 process takes B utterances or N take B / N each: every loss is a
sum over the step's tokens, divided by the number of them in all processes (and all accumulated batches).
DistributedDataParallel averages gradients over the N processes, so each scales its own part by N.
"""

from collections.abc import Sequence
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

T = TypeVar("T")


def joined(module: nn.Module, world_size: int) -> nn.Module:
    """The module with its gradients averaged over all processes; itself where there is one process."""
    return DistributedDataParallel(module) if world_size > 1 else module


def total_over_ranks(value: Tensor, world_size: int) -> Tensor:
    """The sum of a tensor of any shape, `(…)`, over all processes."""
    if world_size > 1:
        dist.all_reduce(value)
    return value


def gathered(rows: Sequence[T], world_size: int) -> list[T]:
    """The rows of all processes, on each of them, those of rank 0 first."""
    if world_size == 1:
        return list(rows)
    parts: list[list[T]] = [[] for _ in range(world_size)]
    dist.all_gather_object(parts, list(rows))
    return [row for part in parts for row in part]


def wait_for_all(world_size: int) -> None:
    """Return when every process has come here."""
    if world_size > 1:
        dist.barrier()


def device_of_rank() -> torch.device:
    """The GPU that this process was given, else the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    return torch.device("cuda", torch.cuda.current_device())
