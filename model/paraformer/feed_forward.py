"""The position-wise feed-forward block."""

import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.dropout import Dropout


class FeedForward(nn.Module):
    """Two linear layers with a non-linearity between them (Vaswani et al. 2017, section 3.3).

    Args:
        dim: Width of input and output, D.
        inner_dim: Width between the two layers.
        dropout: Share of the inner values dropped in training.
        swish: SiLU instead of ReLU, as in the Conformer.
        inner_norm: Normalise the inner values and leave out the last bias, as the SANM decoder does.
    """

    def __init__(
        self, dim: int, inner_dim: int, dropout: float, *, swish: bool = False, inner_norm: bool = False
    ) -> None:
        super().__init__()
        self.expand = nn.Linear(dim, inner_dim)
        self.norm = nn.LayerNorm(inner_dim) if inner_norm else nn.Identity()
        self.contract = nn.Linear(inner_dim, dim, bias=not inner_norm)
        self.dropout = Dropout(dropout)
        self.activation = F.silu if swish else F.relu

    def forward(self, x: Tensor) -> Tensor:
        """Map `(B, T, D)` to `(B, T, D)`, each position by itself."""
        return self.contract(self.norm(self.dropout(self.activation(self.expand(x)))))
