"""Where a frame or token stands: absolute sinusoids that are added, rotations of queries and keys."""

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
    angles = _angles(length, (dim + 1) // 2, device, start)
    return torch.cat([angles.sin(), angles.cos()], dim=1)[:, :dim]


def rotate(x: Tensor) -> Tensor:
    """Turn queries or keys by their positions, so that their products depend on distances alone.

    Rotary positions (Su et al. 2021, equation 34): channel i and channel i + d/2 are the two axes of a plane.

    Args:
        x: Queries or keys, `(B, H, T, d)`; of an odd d the last channel is not turned.
    """
    half = x.shape[-1] // 2
    angles = _angles(x.shape[-2], half, x.device, start=0)  # (T, d/2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    first, second, rest = x.split([half, half, x.shape[-1] - 2 * half], dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin, rest], dim=-1)


def _angles(length: int, rates: int, device: torch.device, start: int) -> Tensor:
    """Angle of every position at every rate, `(T, rates)`, wavelengths from 2π up to 2π · 10,000."""
    slope = math.log(_LONGEST_WAVELENGTH) / max(rates - 1, 1)
    speeds = torch.exp(torch.arange(rates, device=device, dtype=torch.float32) * -slope)
    places = torch.arange(start, start + length, device=device, dtype=torch.float32)
    return places.unsqueeze(1) * speeds
