"""The parallel decoder: all tokens of an utterance at once, each seeing all others.

Shapes: B batch, U token positions, T encoder frames, D width of the decoder, D_enc width of the encoder, V
vocabulary.

Its input are not tokens but queries, one embedding for each token to be, from the predictor. The keys and
values of the encoder's frames can be computed once for the sampler's pass and the real one::

    cache = decoder.project_memory(encoder_out)
    logits = decoder(queries, query_lens, encoder_out, encoder_lens, memory_cache=cache)
"""

from collections.abc import Iterable, Sequence
from typing import cast

from torch import Tensor, nn

from paraformer.attention import MemoryCache, SelfAttention
from paraformer.config import DecoderConfig
from paraformer.decoder_autoregressive import AutoregressiveDecoder
from paraformer.decoder_sanm import SanmDecoderLayer, SanmLastBlock
from paraformer.decoder_transformer import TransformerDecoderLayer
from paraformer.dropout import Dropout
from paraformer.errors import ConfigError
from paraformer.padding import length_mask, zero_padding
from paraformer.positions import sinusoids
from paraformer.recompute import LayerStack


class ParallelDecoder(nn.Module):
    """Layers over queries, with attention to the encoder, and a projection to the vocabulary.

    Args:
        layers: Modules with a `cross_attention`, called as `layer(x, mask, keys_values, memory_mask)`.
        hidden_dim: Width, D.
        vocab_size: Number of tokens, V.
        dropout: Share of the queries' values dropped in training.
        positions: Add sinusoidal positions to the queries.
        last_block: What stands between the layers and the last normalisation.
    """

    def __init__(
        self,
        layers: Sequence[nn.Module],
        hidden_dim: int,
        vocab_size: int,
        dropout: float,
        *,
        positions: bool,
        last_block: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(vocab_size, hidden_dim)
        self.layers = LayerStack(layers)
        self.last_block = last_block or nn.Identity()
        self.norm = nn.LayerNorm(hidden_dim)
        self.output = nn.Linear(hidden_dim, vocab_size)
        self.dropout = Dropout(dropout)
        self.positions = positions
        self.hidden_dim = hidden_dim

    def forward(
        self,
        queries: Tensor,
        query_lens: Tensor,
        memory: Tensor,
        memory_lens: Tensor,
        memory_cache: MemoryCache | None = None,
    ) -> Tensor:
        """Predict the token at every position.

        Args:
            queries: One embedding for each token to be, `(B, U, D)`.
            query_lens: Number of real ones, `(B,)`.
            memory: The encoder's output `(B, T, D_enc)`.
            memory_lens: Number of real frames, `(B,)`.
            memory_cache: What `project_memory(memory)` gave, where it is there already.

        Returns:
            Logits `(B, U, V)`; those of padded positions mean nothing.
        """
        mask = length_mask(query_lens, queries.shape[1])
        memory_mask = length_mask(memory_lens, memory.shape[1])
        cache = self.project_memory(memory) if memory_cache is None else memory_cache
        x = self.dropout(self._place(zero_padding(queries, mask)))
        for layer, keys_values in zip(self.layers, cache, strict=True):
            x = self.layers.run(layer, x, mask, keys_values, memory_mask)
        return self.output(self.norm(self.last_block(x)))

    def project_memory(self, memory: Tensor) -> MemoryCache:
        """Keys and values of the encoder's output `(B, T, D_enc)` for every layer."""
        layers = cast("Iterable[TransformerDecoderLayer | SanmDecoderLayer]", self.layers)
        return [layer.cross_attention.project(memory) for layer in layers]

    def _place(self, queries: Tensor) -> Tensor:
        if not self.positions:
            return queries
        return queries + sinusoids(queries.shape[1], self.hidden_dim, queries.device)


def build_decoder(
    config: DecoderConfig, encoder_dim: int, vocab_size: int
) -> ParallelDecoder | AutoregressiveDecoder:
    """Make the decoder that a configuration describes.

    Raises:
        ConfigError: if its kind does not exist.
    """
    width, ffn_dim = config.hidden_dim, config.ffn_dim or 4 * config.hidden_dim
    sizes = (width, config.num_heads, ffn_dim, encoder_dim, config.dropout)
    layers: list[nn.Module]
    if config.kind == "autoregressive":
        return AutoregressiveDecoder(*sizes, num_layers=config.num_layers, vocab_size=vocab_size)
    if config.kind == "transformer":
        layers = [
            TransformerDecoderLayer(SelfAttention(width, config.num_heads), *sizes)
            for _ in range(config.num_layers)
        ]
        return ParallelDecoder(layers, width, vocab_size, config.dropout, positions=config.positions)
    if config.kind == "sanm":
        layers = [SanmDecoderLayer(*sizes, config.kernel_size) for _ in range(config.num_layers)]
        last = SanmLastBlock(width, ffn_dim, config.dropout)
        return ParallelDecoder(
            layers, width, vocab_size, config.dropout, positions=config.positions, last_block=last
        )
    raise ConfigError(
        f"decoder.kind is {config.kind!r}, but must be 'transformer', 'sanm' or 'autoregressive'"
    )
