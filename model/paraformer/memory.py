"""The memory block of SANM: what stands around each position, by a learned filter for each channel."""

import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.padding import zero_padding


class MemoryBlock(nn.Module):
    """A depthwise convolution over time, added to its input (FSMN; Gao et al. 2020, "SAN-M", equation 9).

    Args:
        dim: Number of channels, D.
        kernel_size: Positions that the filter spans; of an even number, one more lies after than before.
    """

    def __init__(self, dim: int, kernel_size: int) -> None:
        super().__init__()
        before = (kernel_size - 1) // 2
        self.margins = (before, kernel_size - 1 - before)
        self.filter = nn.Conv1d(dim, dim, kernel_size, groups=dim, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Filter `x` `(B, T, D)`; padding, by `mask` `(B, T)`, is read as zero and left zero."""
        if x.shape[1] == 0:  # an empty transcript; a convolution refuses it
            return x
        x = zero_padding(x, mask)
        filtered = self.filter(F.pad(x.transpose(1, 2), self.margins)).transpose(1, 2)
        return zero_padding(x + filtered, mask)
