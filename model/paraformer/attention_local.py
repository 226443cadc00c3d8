"""Self-attention within a window, at a cost that grows with T · window and not with T².

The sequence is cut into blocks. The queries of a block look at the keys of the block and of half a window on
both sides of it, so each block is one small attention, and all blocks of all utterances go through the kernel
as one batch::

    frames    0 . . . | 4 . . . | 8 . . .        block 4, half a window 2
    queries             4 5 6 7
    keys            2 3 4 5 6 7 8 9              of these, query 4 sees 2 to 6, query 7 sees 5 to 9

A mask of the band over full attention saves nothing: it computes all T² scores first.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from paraformer.attention import SelfAttention, attend, attention_weights

_SMALLEST_BLOCK = 32


class LocalAttention(SelfAttention):
    """Multi-head self-attention in which frame i sees the frames i - window//2 to i + window//2.

    Args:
        hidden_dim: Width of the output, D.
        num_heads: Number of heads, H; divides D.
        window: Width of the window in frames.
        input_dim: Width of the input where it differs from D.
        rotary: Turn queries and keys by their positions.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        window: int,
        input_dim: int | None = None,
        *,
        rotary: bool = False,
    ) -> None:
        super().__init__(hidden_dim, num_heads, input_dim, rotary=rotary)
        self.reach = window // 2
        self.block = max(_SMALLEST_BLOCK, 2 * self.reach)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        batch, _, frames, _ = queries.shape
        if mask is None:
            mask = queries.new_ones(batch, frames, dtype=torch.bool)
        attended = attend(
            self._cut(queries, margin=0),
            self._cut(keys, margin=self.reach),
            self._cut(values, margin=self.reach),
            self._block_mask(mask),
        )
        # (B·N, H, S, d) to (B, H, N·S, d), without the frames that filled the last block
        whole = attended.unflatten(0, (batch, -1)).transpose(1, 2).flatten(2, 3)
        return whole[:, :, :frames]

    def _cut(self, x: Tensor, margin: int) -> Tensor:
        """Blocks of S frames with a margin on both sides: `(B, H, T, d)` to `(B·N, H, S + 2·margin, d)`."""
        filled = F.pad(x, (0, 0, margin, margin + -x.shape[2] % self.block))
        blocks = filled.unfold(2, self.block + 2 * margin, self.block)  # (B, H, N, d, S + 2·margin)
        return blocks.permute(0, 2, 1, 4, 3).flatten(0, 1)

    def _block_mask(self, mask: Tensor) -> Tensor:
        """Which keys of its block each query sees, `(B·N, 1, S, S + 2·reach)`, for real frames `(B, T)`."""
        real = self._cut(mask[:, None, :, None], margin=self.reach).transpose(
            2, 3
        )  # (B·N, 1, 1, S + 2·reach)
        query = torch.arange(self.block, device=mask.device)[:, None] + self.reach
        key = torch.arange(self.block + 2 * self.reach, device=mask.device)
        return real & ((key - query).abs() <= self.reach)

    def _weigh(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        frames = torch.arange(queries.shape[2], device=queries.device)
        band = (frames[:, None] - frames).abs() <= self.reach
        if mask is not None:
            band = band & mask[:, None, None, :]
        return attention_weights(queries, keys, band)
