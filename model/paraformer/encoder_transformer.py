"""The layer of the `transformer` encoder."""

from torch import Tensor, nn

from paraformer.dropout import Dropout
from paraformer.feed_forward import FeedForward


class TransformerEncoderLayer(nn.Module):
    """Self-attention and a feed-forward block, each normalised before and added to its input (pre-norm).

    Args:
        attention: Any module called as `attention(x (B, T, D), mask (B, T)) -> (B, T, D)`.
        hidden_dim: Width, D.
        ffn_dim: Inner width of the feed-forward block.
        dropout: Share of the values of each branch dropped in training.
    """

    def __init__(self, attention: nn.Module, hidden_dim: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.attention = attention
        self.attention_norm = nn.LayerNorm(hidden_dim)
        self.feed_forward = FeedForward(hidden_dim, ffn_dim, dropout)
        self.feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `x` `(B, T, D)` to the same shape; `mask` `(B, T)` is true at real frames."""
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
