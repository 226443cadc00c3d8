"""Multi-head attention, and the one place that chooses its kernel.

Shapes: B batch, T positions, D width of the model, H heads, d = D / H width of a head, Tq queries, Tk keys.

Every self-attention of an encoder, a user's own included, is called as `attention(x (B, T, D), mask (B, T))
-> (B, T, D)` with a mask that is true at real positions. Attention weights are not dropped out: a mask of T²
random numbers for each head costs more than the attention itself, and forbids the fused kernels; the layers
drop whole branch outputs instead.

The weights of the attention are not computed by fused kernels. For plots they can be asked for::

    with record_attention(model):
        model.encode(features, feat_lens)
    weights = model.encoder.layers[0].attention.get_weights()  # (B, H, T, T)
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.positions import rotate

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one attention, each `(B, H, Tk, d)`."""

MemoryCache = list[KeysValues]
"""An encoder's frames as keys and values, one pair for each layer of a decoder."""


def attend(queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
    """Scaled dot-product attention (Vaswani et al. 2017, equation 1) with the kernel that is fastest here.

    On a CPU the fused kernel wins in fp32 (1.9× at T 300, 3.1× at T 1000, forward and backward) but runs bf16
    at fp32's speed, 0.5× of two plain matrix products, which reach the bf16 units.

    Args:
        queries: `(B, H, Tq, d)`.
        keys: `(B, H, Tk, d)`.
        values: `(B, H, Tk, d)`.
        mask: Booleans that broadcast to `(B, H, Tq, Tk)`, true where a query may look; None for everywhere.

    Returns:
        `(B, H, Tq, d)`. A query that may look nowhere gets something finite, to be masked by the caller.
    """
    if queries.device.type == "cpu" and queries.dtype in (torch.bfloat16, torch.float16):
        return attention_weights(queries, keys, mask) @ values
    return F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)


def attention_weights(queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
    """The weights `(B, H, Tq, Tk)` with which `attend` averages the values; arguments as there."""
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.transpose(-2, -1)
    if mask is not None:
        scores = scores.masked_fill(~mask, torch.finfo(scores.dtype).min)
    return scores.softmax(dim=-1)


def split_heads(x: Tensor, num_heads: int) -> Tensor:
    """`(B, T, D)` to `(B, H, T, d)`."""
    return x.unflatten(-1, (num_heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """`(B, H, T, d)` to `(B, T, D)`."""
    return x.transpose(1, 2).flatten(2)


class RecordsWeights(nn.Module):
    """An attention whose weights can be had after a forward pass inside `record_attention`."""

    def __init__(self) -> None:
        super().__init__()
        self.recording = False
        self._weights: Tensor | None = None

    def get_weights(self) -> Tensor:
        """The weights of the last recorded forward pass, `(B, H, Tq, Tk)`.

        Raises:
            RuntimeError: if no forward pass was recorded.
        """
        if self._weights is None:
            raise RuntimeError(
                "no attention weights were recorded: "
                "run the model inside `with record_attention(model):` first"
            )
        return self._weights


@contextmanager
def record_attention(model: nn.Module) -> Iterator[None]:
    """Have every attention of a model keep its weights during the forward passes inside this context.

    The weights of the last pass can still be read after it; the next recording drops them.
    """
    attentions = [module for module in model.modules() if isinstance(module, RecordsWeights)]
    for attention in attentions:
        attention.recording, attention._weights = True, None
    try:
        yield
    finally:
        for attention in attentions:
            attention.recording = False


class SelfAttention(RecordsWeights):
    """Multi-head self-attention over all real positions.

    Args:
        hidden_dim: Width of the output, D.
        num_heads: Number of heads, H; divides D.
        input_dim: Width of the input where it differs from D (the first layer of a SANM encoder).
        rotary: Turn queries and keys by their positions; else the input has to carry them.
    """

    def __init__(
        self, hidden_dim: int, num_heads: int, input_dim: int | None = None, *, rotary: bool = False
    ) -> None:
        super().__init__()
        self.rotary = rotary
        self.num_heads = num_heads
        self.qkv = nn.Linear(input_dim or hidden_dim, 3 * hidden_dim)
        self.output = nn.Linear(hidden_dim, hidden_dim)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend from every position of `x` `(B, T, D)` to the real ones, by `mask` `(B, T)`."""
        return self.attend_with_values(x, mask)[0]

    def attend_with_values(self, x: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Attend as `forward` does, and hand out the values too: `(B, T, D)` each."""
        queries, keys, values = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (split_heads(part, self.num_heads) for part in (queries, keys, values))
        if self.rotary:
            q, k = rotate(q), rotate(k)
        if self.recording:
            self._weights = self._weigh(q, k, mask).detach()
        return self.output(merge_heads(self._attend(q, k, v, mask))), values

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        return attend(queries, keys, values, _as_key_mask(mask))

    def _weigh(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        return attention_weights(queries, keys, _as_key_mask(mask))


class CrossAttention(RecordsWeights):
    """Multi-head attention from a decoder's positions to an encoder's frames.

    Keys and values depend on the frames only: `project` computes them once for several passes.

    Args:
        hidden_dim: Width of the decoder, D.
        num_heads: Number of heads, H; divides D.
        memory_dim: Width of the encoder.
    """

    def __init__(self, hidden_dim: int, num_heads: int, memory_dim: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.query = nn.Linear(hidden_dim, hidden_dim)
        self.keys_values = nn.Linear(memory_dim, 2 * hidden_dim)
        self.output = nn.Linear(hidden_dim, hidden_dim)

    def project(self, memory: Tensor) -> KeysValues:
        """Keys and values of the encoder's frames `(B, T, D_enc)`."""
        keys, values = self.keys_values(memory).chunk(2, dim=-1)
        return split_heads(keys, self.num_heads), split_heads(values, self.num_heads)

    def forward(self, x: Tensor, keys_values: KeysValues, memory_mask: Tensor | None = None) -> Tensor:
        """Attend from `x` `(B, U, D)` to projected frames, the real ones by `memory_mask` `(B, T)`."""
        queries, mask = split_heads(self.query(x), self.num_heads), _as_key_mask(memory_mask)
        if self.recording:
            self._weights = attention_weights(queries, keys_values[0], mask).detach()
        return self.output(merge_heads(attend(queries, *keys_values, mask)))


def _as_key_mask(mask: Tensor | None) -> Tensor | None:
    # (B, Tk) to (B, 1, 1, Tk): the same keys for every head and every query
    return None if mask is None else mask[:, None, None, :]
