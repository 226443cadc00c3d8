"""The layers of the parallel `sanm` decoder: memory blocks in the place of self-attention."""

from torch import Tensor, nn

from paraformer.attention import CrossAttention, KeysValues
from paraformer.dropout import Dropout
from paraformer.feed_forward import FeedForward
from paraformer.memory import MemoryBlock


class SanmDecoderLayer(nn.Module):
    """Feed-forward block, FSMN memory and attention to the encoder, in the published model's order.

    The input is added once, after the memory; the feed-forward block before it has no shortcut of its own.

    Args:
        hidden_dim: Width, D.
        num_heads: Number of heads; divides D.
        ffn_dim: Inner width of the feed-forward block.
        memory_dim: Width of the encoder.
        dropout: Share of the values of each branch dropped in training.
        kernel_size: Token positions that the memory spans.
    """

    def __init__(
        self, hidden_dim: int, num_heads: int, ffn_dim: int, memory_dim: int, dropout: float, kernel_size: int
    ) -> None:
        super().__init__()
        self.feed_forward = FeedForward(hidden_dim, ffn_dim, dropout, inner_norm=True)
        self.feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.memory = MemoryBlock(hidden_dim, kernel_size)
        self.memory_norm = nn.LayerNorm(hidden_dim)
        self.cross_attention = CrossAttention(hidden_dim, num_heads, memory_dim)
        self.cross_attention_norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, keys_values: KeysValues, memory_mask: Tensor) -> Tensor:
        """Map `x` `(B, U, D)` to the same shape.

        Args:
            x: Token positions.
            mask: Real ones of them, `(B, U)`.
            keys_values: The encoder's frames as projected by this layer's `cross_attention.project`.
            memory_mask: Real frames, `(B, T)`.
        """
        expanded = self.feed_forward(self.feed_forward_norm(x))
        x = x + self.dropout(self.memory(self.memory_norm(expanded), mask))
        return x + self.dropout(self.cross_attention(self.cross_attention_norm(x), keys_values, memory_mask))


class SanmLastBlock(nn.Module):
    """The feed-forward block, without a shortcut, that ends a SANM decoder.

    Args:
        hidden_dim: Width, D.
        ffn_dim: Inner width.
        dropout: Share of the inner values dropped in training.
    """

    def __init__(self, hidden_dim: int, ffn_dim: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(hidden_dim)
        self.feed_forward = FeedForward(hidden_dim, ffn_dim, dropout, inner_norm=True)

    def forward(self, x: Tensor) -> Tensor:
        """Map `x` `(B, U, D)` to the same shape, each position by itself."""
        return self.feed_forward(self.norm(x))
