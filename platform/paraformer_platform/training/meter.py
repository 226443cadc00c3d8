"""Means over the tokens of an epoch, kept on the device until they are asked for."""

from collections.abc import Iterator

import torch
from torch import Tensor

from paraformer_platform.training.fitting import PARTS
from paraformer_platform.training.gang import total_over_ranks


class TokenMeter:
    """Adds up sums over tokens and gives their means over all processes.

    Attributes:
        totals: This process's sums, and behind them the number of its tokens, `(len(PARTS) + 1,)` in fp64.
    """

    def __init__(self, device: torch.device, world_size: int = 1) -> None:
        self.totals = torch.zeros(len(PARTS) + 1, dtype=torch.float64, device=device)
        self._world_size = world_size

    def add(self, sums: Tensor, tokens: Tensor) -> None:
        """Add the sums `(len(PARTS),)` over so many tokens."""
        self.totals[:-1] += sums
        self.totals[-1] += tokens

    def means(self, prefix: str) -> Iterator[tuple[str, float]]:
        """Name and mean of each part; every process must ask."""
        *sums, tokens = total_over_ranks(self.totals.clone(), self._world_size).tolist()
        for name, value in zip(PARTS, sums, strict=True):
            yield f"{prefix}/{name}", value / max(1.0, tokens)
