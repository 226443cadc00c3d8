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
        # (B, H, T, d) to (B, N, S, H, d) to (B·N, H, S, d): heads lie within frames, as projections
        # leave them, so that blocks are views and nothing is copied but what fills and overlaps.
        blocks = [self._cut(x.transpose(1, 2)) for x in (queries, keys, values)]
        wide = [blocks[0], self._widen(blocks[1]), self._widen(blocks[2])]
        folded = [x.flatten(0, 1).transpose(1, 2) for x in wide]
        attended = attend(folded[0], folded[1], folded[2], self._block_mask(mask))
        # (B·N, H, S, d) to (B, H, N·S, d), without the frames that filled the last block
        whole = attended.transpose(1, 2).unflatten(0, (batch, -1)).flatten(1, 2)
        return whole[:, :frames].transpose(1, 2)

    def _cut(self, x: Tensor) -> Tensor:
        """Blocks of S frames: `(B, T, H, d)` to `(B, N, S, H, d)`."""
        return F.pad(x, (0, 0, 0, 0, 0, -x.shape[1] % self.block)).unflatten(1, (-1, self.block))

    def _widen(self, blocks: Tensor) -> Tensor:
        """Each block with what it reaches of its neighbours: `(B, N, reach + S + reach, H, d)`.

        Backward, joined slices are 1.1× as fast as overlapping windows of one tensor.
        """
        before = F.pad(blocks[:, :-1, self.block - self.reach :], (0, 0, 0, 0, 0, 0, 1, 0))
        after = F.pad(blocks[:, 1:, : self.reach], (0, 0, 0, 0, 0, 0, 0, 1))
        return torch.cat([before, blocks, after], dim=2)

    def _block_mask(self, mask: Tensor) -> Tensor:
        """Which keys of its block each query sees, `(B·N, 1, S, reach + S + reach)`, from real frames."""
        real = self._widen(self._cut(mask[:, :, None, None])).flatten(2).flatten(0, 1)
        query = torch.arange(self.block, device=mask.device)[:, None] + self.reach
        key = torch.arange(self.block + 2 * self.reach, device=mask.device)
        return real[:, None, None, :] & ((key - query).abs() <= self.reach)

    def _weigh(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        frames = torch.arange(queries.shape[2], device=queries.device)
        band = (frames[:, None] - frames).abs() <= self.reach
        if mask is not None:
            band = band & mask[:, None, None, :]
        return attention_weights(queries, keys, band)
