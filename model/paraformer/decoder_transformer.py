"""The layer of the `transformer` decoder, parallel or, with a causal self-attention, autoregressive."""

from torch import Tensor, nn

from paraformer.attention import CrossAttention, KeysValues, SelfAttention
from paraformer.dropout import Dropout
from paraformer.feed_forward import FeedForward


class TransformerDecoderLayer(nn.Module):
    """Self-attention, attention to the encoder and a feed-forward block, all pre-norm.

    Args:
        self_attention: Called as `attention(x (B, U, D), mask (B, U)) -> (B, U, D)`.
        hidden_dim: Width, D.
        num_heads: Number of heads; divides D.
        ffn_dim: Inner width of the feed-forward block.
        memory_dim: Width of the encoder.
        dropout: Share of the values of each branch dropped in training.
    """

    def __init__(
        self,
        self_attention: SelfAttention,
        hidden_dim: int,
        num_heads: int,
        ffn_dim: int,
        memory_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.self_attention = self_attention
        self.self_attention_norm = nn.LayerNorm(hidden_dim)
        self.cross_attention = CrossAttention(hidden_dim, num_heads, memory_dim)
        self.cross_attention_norm = nn.LayerNorm(hidden_dim)
        self.feed_forward = FeedForward(hidden_dim, ffn_dim, dropout)
        self.feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor, keys_values: KeysValues, memory_mask: Tensor) -> Tensor:
        """Map `x` `(B, U, D)` to the same shape.

        Args:
            x: Token positions.
            mask: Real ones of them, `(B, U)`.
            keys_values: The encoder's frames as projected by this layer's `cross_attention.project`.
            memory_mask: Real frames, `(B, T)`.
        """
        x = x + self.dropout(self.self_attention(self.self_attention_norm(x), mask))
        x = x + self.dropout(self.cross_attention(self.cross_attention_norm(x), keys_values, memory_mask))
        return x + self.dropout(self.feed_forward(self.feed_forward_norm(x)))
