"""The layer of the `conformer` encoder (Gulati et al. 2020)."""

import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.dropout import Dropout
from paraformer.feed_forward import FeedForward
from paraformer.padding import zero_padding


class ConvolutionModule(nn.Module):
    """Gated pointwise, depthwise over time, and pointwise convolution (figure 2 of the paper).

    Layer instead of batch normalisation: statistics over a batch would tie an utterance to its batch mates.

    Args:
        hidden_dim: Width, D.
        kernel_size: Frames that the depthwise convolution spans, an odd number.
    """

    def __init__(self, hidden_dim: int, kernel_size: int) -> None:
        super().__init__()
        self.gate = nn.Linear(hidden_dim, 2 * hidden_dim)
        self.depthwise = nn.Conv1d(
            hidden_dim, hidden_dim, kernel_size, padding=kernel_size // 2, groups=hidden_dim
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.output = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `x` `(B, T, D)` to the same shape; padding, by `mask` `(B, T)`, is read as zero."""
        x = zero_padding(F.glu(self.gate(x)), mask)
        x = self.depthwise(x.transpose(1, 2)).transpose(1, 2)
        return self.output(F.silu(self.norm(x)))


class ConformerEncoderLayer(nn.Module):
    """Half a feed-forward block, self-attention, convolution, the other half, and a normalisation.

    The attention knows relative positions, as in the paper, by rotation instead of by learned projections of
    the distances: these add T² scores to each head and rule the fused kernels out. A user's own attention
    gets absolute positions with its input.

    Args:
        attention: Any module called as `attention(x (B, T, D), mask (B, T)) -> (B, T, D)`.
        hidden_dim: Width, D.
        ffn_dim: Inner width of both feed-forward blocks.
        kernel_size: Frames that the convolution spans, an odd number.
        dropout: Share of the values of each branch dropped in training.
    """

    def __init__(
        self, attention: nn.Module, hidden_dim: int, ffn_dim: int, kernel_size: int, dropout: float
    ) -> None:
        super().__init__()
        self.first_feed_forward = FeedForward(hidden_dim, ffn_dim, dropout, swish=True)
        self.first_feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.attention = attention
        self.attention_norm = nn.LayerNorm(hidden_dim)
        self.convolution = ConvolutionModule(hidden_dim, kernel_size)
        self.convolution_norm = nn.LayerNorm(hidden_dim)
        self.second_feed_forward = FeedForward(hidden_dim, ffn_dim, dropout, swish=True)
        self.second_feed_forward_norm = nn.LayerNorm(hidden_dim)
        self.norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """Map `x` `(B, T, D)` to the same shape; `mask` `(B, T)` is true at real frames."""
        x = x + 0.5 * self.dropout(self.first_feed_forward(self.first_feed_forward_norm(x)))
        x = x + self.dropout(self.attention(self.attention_norm(x), mask))
        x = x + self.dropout(self.convolution(self.convolution_norm(x), mask))
        x = x + 0.5 * self.dropout(self.second_feed_forward(self.second_feed_forward_norm(x)))
        return self.norm(x)
