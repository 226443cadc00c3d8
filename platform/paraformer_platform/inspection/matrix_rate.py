"""Operations a second that this machine makes in one large matrix product: nothing exceeds them."""

import time

import torch

from paraformer_platform.config.schema import TrainingConfig
from paraformer_platform.inspection.measures import wait_for
from paraformer_platform.training.precision import allow_tf32, autocast

_SIZE = {"cpu": 1024, "cuda": 8192}
"""Rows and columns: enough to reach the rate, little enough for a moment."""
_REPEATS = 15


def matrix_rate(config: TrainingConfig, device: torch.device) -> float:
    """Operations a second of a square matrix product in the training's number format, the best of some."""
    allow_tf32(config)
    size = _SIZE.get(device.type, _SIZE["cpu"])
    left, right = (torch.randn(size, size, device=device) for _ in range(2))
    with torch.no_grad(), autocast(config.precision, device):
        # What autocast would convert at every call, is converted before.
        number = torch.mm(left, right).dtype
        left, right = left.to(number), right.to(number)
        times = []
        for _ in range(_REPEATS):
            wait_for(device)
            begun = time.perf_counter()
            torch.mm(left, right)
            wait_for(device)
            times.append(time.perf_counter() - begun)
    return 2 * size**3 / min(times)
