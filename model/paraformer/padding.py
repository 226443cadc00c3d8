"""Which positions of a padded batch are real.

Every mask of this package is true at real positions: `(B, T)`, from lengths `(B,)`.
"""

import torch
from torch import Tensor


def length_mask(lengths: Tensor, size: int) -> Tensor:
    """Mark the real positions of a padded batch.

    Args:
        lengths: Number of real positions of each member, `(B,)`.
        size: Number of positions of the padded batch, T.

    Returns:
        Booleans `(B, T)`, true where a position is real.
    """
    return torch.arange(size, device=lengths.device) < lengths.unsqueeze(1)


def zero_padding(x: Tensor, mask: Tensor) -> Tensor:
    """Set the padded positions of `x` `(B, T, D)` to zero, whatever they hold (NaN too); `mask` is `(B, T)`.

    Convolutions look across the end of an utterance: without this they read what its batch mates left there.
    """
    return x.masked_fill(~mask.unsqueeze(-1), 0.0)
