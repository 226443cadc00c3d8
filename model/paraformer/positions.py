"""Absolute sinusoidal positions, in the layout of the published Paraformer."""

import math

import torch
from torch import Tensor

_LONGEST_WAVELENGTH = 10_000.0


def sinusoids(length: int, dim: int, device: torch.device, start: int = 1) -> Tensor:
    """Sinusoidal positions: the first half of the channels are sines, the second half cosines.

    The form of Vaswani et al. 2017, section 3.5, with two habits of the published model, kept so that its
    weights can be loaded: sines and cosines are not interleaved, and the first position is number 1.

    Args:
        length: Number of positions, T.
        dim: Number of channels, D.
        device: Where the result is wanted.
        start: Number of the first position.

    Returns:
        `(T, D)` in fp32: at 10,000 frames half precision no longer tells neighbours apart.
    """
    half = (dim + 1) // 2
    slope = math.log(_LONGEST_WAVELENGTH) / max(half - 1, 1)
    rates = torch.exp(torch.arange(half, device=device, dtype=torch.float32) * -slope)
    angles = torch.arange(start, start + length, device=device, dtype=torch.float32).unsqueeze(1) * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]
