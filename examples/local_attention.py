"""A self-attention of one's own: each frame sees its neighbours only.

Any class with this constructor and this call can stand in the encoder, without a change to the packages. From
the folder that holds this file (or with that folder on PYTHONPATH):

    paraformer train <experiment>.yaml --override model.encoder.attention=local_attention:LocalAttention

It is written to be read: it computes all T² scores and throws most of them away. `model.encoder.attention:
local` is the same attention at a cost of T · window.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class LocalAttention(nn.Module):
    """Multi-head attention within a window.

    Args:
        hidden_dim: Width of input and output, D.
        num_heads: Number of heads, H; divides D.
        window_size: Width of the window in frames, half of it to either side; the platform hands over
            `model.encoder.attention_window`, because the argument has this name.
    """

    def __init__(self, hidden_dim: int, num_heads: int, window_size: int = 32) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.reach = window_size // 2
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.key = nn.Linear(hidden_dim, hidden_dim)
        self.value = nn.Linear(hidden_dim, hidden_dim)
        self.output = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend.

        Args:
            x: Frames `(B, T, D)`.
            mask: True at real frames, `(B, T)`. Heed it, or an utterance is recognised differently in another
                batch.

        Returns:
            `(B, T, D)`.
        """
        frame = torch.arange(x.shape[1], device=x.device)
        visible = (frame[:, None] - frame[None, :]).abs() <= self.reach  # (T, T)
        if mask is not None:
            visible = visible & mask[:, None, None, :]  # (B, 1, T, T)
        query, key, value = (self._heads(layer(x)) for layer in (self.query, self.key, self.value))
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=visible)
        return self.output(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.num_heads, -1)).transpose(1, 2)  # (B, H, T, D / H)
