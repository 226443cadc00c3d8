"""The layer of the `sanm` encoder: self-attention with a memory of the surroundings."""

from torch import Tensor, nn

from paraformer.attention import SelfAttention
from paraformer.dropout import Dropout
from paraformer.feed_forward import FeedForward
from paraformer.memory import MemoryBlock


class SanmEncoderLayer(nn.Module):
    """Self-attention plus an FSMN memory of its values, and a feed-forward block, pre-norm (Gao et al. 2020).

    Of an attention that is not ours the values are not known: the memory then has a projection of its own.

    Args:
        attention: Any module called as `attention(x (B, T, D), mask (B, T)) -> (B, T, D)`.
        hidden_dim: Width, D.
        ffn_dim: Inner width of the feed-forward block.
        kernel_size: Frames that the memory spans.
        dropout: Share of the values of each branch dropped in training.
        input_dim: Width of the input; where it is not D, nothing is added to the attention's output.
    """

    def __init__(
        self,
        attention: nn.Module,
        hidden_dim: int,
        ffn_dim: int,
        kernel_size: int,
        dropout: float,
        input_dim: int | None = None,
    ) -> None:
        super().__init__()
        input_dim = input_dim or hidden_dim
        self.attention = attention
        self.attention_norm = nn.LayerNorm(input_dim)
        self.values = None if isinstance(attention, SelfAttention) else nn.Linear(input_dim, hidden_dim)
        self.memory = MemoryBlock(hidden_dim, kernel_size)
        self.feed_forward = FeedForward(hidden_dim, ffn_dim, dropout)
        self.feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)
        self.adds_input = input_dim == hidden_dim

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `x` `(B, T, D_in)` to `(B, T, D)`; `mask` `(B, T)` is true at real frames."""
        mixed = self.dropout(self._mix(self.attention_norm(x), mask))
        x = x + mixed if self.adds_input else mixed.to(x.dtype)
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))

    def _mix(self, x: Tensor, mask: Tensor) -> Tensor:
        if isinstance(self.attention, SelfAttention):
            attended, values = self.attention.attend_with_values(x, mask)
        else:
            assert self.values is not None
            attended, values = self.attention(x, mask), self.values(x)
        return attended + self.memory(values, mask)
