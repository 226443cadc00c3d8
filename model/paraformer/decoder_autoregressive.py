"""The autoregressive Transformer decoder: one token at a time, each seeing those before it.

The reference for accuracy and speed that parallel decoding is held against, so it is made to be fast: keys
and values of the encoder's frames are computed once, those of the tokens are kept from step to step, and the
hypotheses of a beam are stepped as one batch that shares the encoder's keys and values.

Shapes: B batch, U tokens, K hypotheses of an utterance, L tokens so far, T encoder frames, D width, V
vocabulary.

Training needs no loop, since all tokens are known::

    logits = decoder(tokens, token_lens, encoder_out, encoder_lens)   # (B, U + 1, V)
    targets = decoder.targets(tokens, token_lens)                     # (B, U + 1), tokens then EOS, else PAD

At test `decoder_search` drives `start` and `step`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.attention import (
    KeysValues,
    MemoryCache,
    SelfAttention,
    attend,
    attention_weights,
    merge_heads,
    split_heads,
)
from paraformer.decoder_transformer import TransformerDecoderLayer
from paraformer.dropout import Dropout
from paraformer.padding import length_mask
from paraformer.positions import sinusoids
from paraformer.recompute import LayerStack
from paraformer.tokenizer import BOS, EOS, PAD


@dataclass
class DecodingState:
    """What a decoder keeps between two steps of K hypotheses for each of B utterances."""

    memory_cache: MemoryCache
    """The encoder's frames, `(B, H, T, d)` for each layer."""
    memory_mask: Tensor
    """Real frames, `(B, T)`."""
    token_cache: list[KeysValues] = field(default_factory=list)
    """The tokens so far, `(B·K, H, L, d)` for each layer; empty before the first step."""
    length: int = 0
    """Number of tokens so far, L."""

    def follow(self, parents: Tensor) -> None:
        """Let hypothesis k of utterance b go on from hypothesis `parents[b, k]`, `(B, K)`."""
        batch, beam = parents.shape
        rows = (parents + beam * torch.arange(batch, device=parents.device).unsqueeze(1)).flatten()
        self.token_cache = [
            (keys.index_select(0, rows), values.index_select(0, rows)) for keys, values in self.token_cache
        ]


class CausalSelfAttention(SelfAttention):
    """Self-attention that sees no later position."""

    def step(self, x: Tensor, cache: KeysValues | None) -> tuple[Tensor, KeysValues]:
        """Attend from one new position of N sequences `(N, 1, D)` to itself and to the cached ones.

        Returns:
            The result `(N, 1, D)` and the cache with the new position.
        """
        queries, keys, values = (split_heads(part, self.num_heads) for part in self.qkv(x).chunk(3, dim=-1))
        if cache is not None:
            keys, values = torch.cat([cache[0], keys], dim=2), torch.cat([cache[1], values], dim=2)
        return self.output(merge_heads(attend(queries, keys, values, None))), (keys, values)

    def _attend(self, queries: Tensor, keys: Tensor, values: Tensor, mask: Tensor | None) -> Tensor:
        return attend(queries, keys, values, _no_later(queries))

    def _weigh(self, queries: Tensor, keys: Tensor, mask: Tensor | None) -> Tensor:
        return attention_weights(queries, keys, _no_later(queries))


class AutoregressiveLayer(TransformerDecoderLayer):
    """A transformer decoder layer that can also go one position at a time."""

    self_attention: CausalSelfAttention

    def step(
        self, x: Tensor, cache: KeysValues | None, keys_values: KeysValues, memory_mask: Tensor
    ) -> tuple[Tensor, KeysValues]:
        """Map one new position of every hypothesis `(B, K, D)` to the same shape.

        The hypotheses of an utterance stand side by side as queries of one attention to the encoder.
        """
        attended, cache = self.self_attention.step(
            self.self_attention_norm(x).flatten(0, 1).unsqueeze(1), cache
        )
        x = x + attended.view_as(x)
        x = x + self.cross_attention(self.cross_attention_norm(x), keys_values, memory_mask)
        return x + self.feed_forward(self.feed_forward_norm(x)), cache


class AutoregressiveDecoder(nn.Module):
    """A Transformer decoder (Vaswani et al. 2017) with pre-norm layers.

    Args:
        hidden_dim: Width, D.
        num_heads: Number of heads; divides D.
        ffn_dim: Inner width of the feed-forward blocks.
        memory_dim: Width of the encoder.
        dropout: Share of the values of each branch dropped in training.
        num_layers: Number of layers.
        vocab_size: Number of tokens, V.
    """

    def __init__(
        self,
        hidden_dim: int,
        num_heads: int,
        ffn_dim: int,
        memory_dim: int,
        dropout: float,
        *,
        num_layers: int,
        vocab_size: int,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, hidden_dim)
        self.layers = LayerStack(
            AutoregressiveLayer(
                CausalSelfAttention(hidden_dim, num_heads),
                hidden_dim,
                num_heads,
                ffn_dim,
                memory_dim,
                dropout,
            )
            for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)
        self.output = nn.Linear(hidden_dim, vocab_size)
        self.dropout = Dropout(dropout)
        self.hidden_dim = hidden_dim

    def forward(
        self,
        tokens: Tensor,
        token_lens: Tensor,
        memory: Tensor,
        memory_lens: Tensor,
        memory_cache: MemoryCache | None = None,
    ) -> Tensor:
        """Predict every token from those before it, and the end from all of them.

        Args:
            tokens: The transcripts, without BOS and EOS, `(B, U)`.
            token_lens: Number of real tokens, `(B,)`.
            memory: The encoder's output `(B, T, D_enc)`.
            memory_lens: Number of real frames, `(B,)`.
            memory_cache: What `project_memory(memory)` gave, where it is there already.

        Returns:
            Logits `(B, U + 1, V)`; those behind position `token_lens` mean nothing.
        """
        memory_mask = length_mask(memory_lens, memory.shape[1])
        cache = self.project_memory(memory) if memory_cache is None else memory_cache
        x = self.dropout(self._embed(F.pad(tokens, (1, 0), value=BOS), start=1))
        mask = length_mask(token_lens + 1, x.shape[1])
        for layer, keys_values in zip(self.layers, cache, strict=True):
            x = self.layers.run(layer, x, mask, keys_values, memory_mask)
        return self.output(self.norm(x))

    def targets(self, tokens: Tensor, token_lens: Tensor) -> Tensor:
        """What `forward` is to predict: `(B, U + 1)`, the tokens, then EOS, then PAD."""
        longer = F.pad(tokens, (0, 1), value=PAD)
        places = torch.arange(longer.shape[1], device=tokens.device)
        longer = longer.masked_fill(places > token_lens.unsqueeze(1), PAD)
        return longer.masked_fill(places == token_lens.unsqueeze(1), EOS)

    def project_memory(self, memory: Tensor) -> MemoryCache:
        """Keys and values of the encoder's output `(B, T, D_enc)` for every layer."""
        return [layer.cross_attention.project(memory) for layer in self._layers()]

    def start(self, memory: Tensor, memory_lens: Tensor) -> DecodingState:
        """Begin to decode utterances of encoder output `(B, T, D_enc)` and lengths `(B,)`."""
        return DecodingState(self.project_memory(memory), length_mask(memory_lens, memory.shape[1]))

    def step(self, tokens: Tensor, state: DecodingState) -> Tensor:
        """Add one token to each hypothesis and predict the next.

        Args:
            tokens: The token last chosen of each hypothesis, BOS at first, `(B, K)`; K stays the same.
            state: What `start` gave; it is moved on.

        Returns:
            Logits `(B, K, V)`.
        """
        x = self._embed(tokens.unsqueeze(2), start=state.length + 1).squeeze(2)
        caches: Sequence[KeysValues | None] = state.token_cache or [None] * len(self.layers)
        moved: list[KeysValues] = []
        for layer, cache, keys_values in zip(self._layers(), caches, state.memory_cache, strict=True):
            x, longer = layer.step(x, cache, keys_values, state.memory_mask)
            moved.append(longer)
        state.token_cache, state.length = moved, state.length + 1
        return self.output(self.norm(x))

    def _layers(self) -> Iterable[AutoregressiveLayer]:
        return cast("Iterable[AutoregressiveLayer]", self.layers)

    def _embed(self, tokens: Tensor, start: int) -> Tensor:
        # Embeddings are drawn from N(0, 1): as large as the positions, without the paper's factor √D.
        places = sinusoids(tokens.shape[-1], self.hidden_dim, tokens.device, start)
        return self.token_embedding(tokens) + places


def _no_later(queries: Tensor) -> Tensor:
    size = queries.shape[2]
    return torch.ones(size, size, dtype=torch.bool, device=queries.device).tril()
