"""The encoder: a front end, positions, and a stack of layers of one kind.

Shapes: B batch, T feature frames, F features of a frame, T' encoder frames, D width of the encoder.

Padding never leaks: convolutions see zeros behind the end of an utterance, attention does not look there, and
the output there is zero. An utterance comes out the same alone as in any batch.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from paraformer.attention_choice import build_attention, is_builtin_attention
from paraformer.config import EncoderConfig
from paraformer.dropout import Dropout
from paraformer.encoder_conformer import ConformerEncoderLayer
from paraformer.encoder_sanm import SanmEncoderLayer
from paraformer.encoder_transformer import TransformerEncoderLayer
from paraformer.errors import ConfigError
from paraformer.front_end import Conv4, LowFrameRate, build_front_end
from paraformer.padding import length_mask, zero_padding
from paraformer.positions import sinusoids
from paraformer.recompute import LayerStack


class Encoder(nn.Module):
    """Front end, input projection, positions, layers, and a last normalisation.

    Args:
        front_end: What makes encoder frames of feature frames.
        layers: Modules called as `layer(x (B, T', D), mask (B, T'))`.
        hidden_dim: Width of the layers' output, D.
        dropout: Share of the layers' input values dropped in training.
        project_input: Map the front end's frames to width D; else the first layer does that.
        add_positions: Add sinusoidal positions; else the layers' attention knows them.
        input_scale: Factor of the layers' input, before positions are added.
    """

    def __init__(
        self,
        front_end: Conv4 | LowFrameRate,
        layers: Sequence[nn.Module],
        hidden_dim: int,
        dropout: float,
        *,
        project_input: bool,
        add_positions: bool,
        input_scale: float,
    ) -> None:
        super().__init__()
        self.front_end = front_end
        self.input_projection = (
            nn.Linear(front_end.output_dim, hidden_dim) if project_input else nn.Identity()
        )
        self.layers = LayerStack(layers)
        self.norm = nn.LayerNorm(hidden_dim)
        self.dropout = Dropout(dropout)
        self.output_dim = hidden_dim
        self.subsampling = front_end.subsampling
        self.add_positions = add_positions
        self.input_scale = input_scale

    def forward(self, features: Tensor, feat_lens: Tensor) -> tuple[Tensor, Tensor]:
        """Encode a padded batch of utterances.

        Args:
            features: `(B, T, F)`; what stands behind the end of an utterance does not matter.
            feat_lens: Number of real frames of each, `(B,)`.

        Returns:
            Encoder output `(B, T', D)`, zero at padding, and its lengths `(B,)`.
        """
        x = self.input_projection(self.front_end(features, feat_lens))
        encoder_lens = self.output_lengths(feat_lens)
        mask = length_mask(encoder_lens, x.shape[1])
        x = self.input_scale * x.to(features.dtype)  # the residual stream keeps fp32 under autocast
        if self.add_positions:
            x = x + sinusoids(x.shape[1], x.shape[2], x.device)
        x = self.dropout(zero_padding(x, mask))
        for layer in self.layers:
            x = self.layers.run(layer, x, mask)
        return zero_padding(self.norm(x), mask), encoder_lens

    def output_lengths(self, feat_lens: Tensor) -> Tensor:
        """Number of encoder frames of utterances of so many feature frames, `(B,)`."""
        return self.front_end.output_lengths(feat_lens)


def build_encoder(config: EncoderConfig, feature_dim: int) -> Encoder:
    """Make the encoder that a configuration describes.

    Raises:
        ConfigError: if it names a kind, front end or attention that does not exist, or an attention of the
            user's that cannot be constructed or called as it must.
    """
    front_end = build_front_end(config.front_end, feature_dim, config.hidden_dim)
    as_published = _takes_stacked_frames(config)
    input_dims = [config.hidden_dim] * config.num_layers
    if as_published:
        input_dims[0] = front_end.output_dim
    return Encoder(
        front_end,
        [_build_layer(config, input_dim) for input_dim in input_dims],
        config.hidden_dim,
        config.dropout,
        project_input=front_end.output_dim != config.hidden_dim and not as_published,
        add_positions=not _rotates(config),
        input_scale=config.hidden_dim**0.5 if as_published else 1.0,
    )


def _takes_stacked_frames(config: EncoderConfig) -> bool:
    """Whether this is the published SANM encoder: its first layer takes stacks of frames as they are."""
    stacked = config.kind == "sanm" and config.front_end == "lfr"
    return stacked and config.num_layers > 0 and is_builtin_attention(config.attention)


def _rotates(config: EncoderConfig) -> bool:
    """Whether the attention knows relative positions, as the Conformer's must where it is ours."""
    return config.kind == "conformer" and is_builtin_attention(config.attention)


def _build_layer(config: EncoderConfig, input_dim: int) -> nn.Module:
    hidden_dim, dropout = config.hidden_dim, config.dropout
    ffn_dim = config.ffn_dim or 4 * hidden_dim
    attention = build_attention(
        config.attention,
        hidden_dim,
        config.num_heads,
        window=config.attention_window,
        input_dim=input_dim,
        rotary=_rotates(config),
    )
    if config.kind == "transformer":
        return TransformerEncoderLayer(attention, hidden_dim, ffn_dim, dropout)
    if config.kind == "conformer":
        return ConformerEncoderLayer(attention, hidden_dim, ffn_dim, config.kernel_size, dropout)
    if config.kind == "sanm":
        return SanmEncoderLayer(attention, hidden_dim, ffn_dim, config.kernel_size, dropout, input_dim)
    raise ConfigError(f"encoder.kind is {config.kind!r}, but must be 'transformer', 'conformer' or 'sanm'")
