"""What a Paraformer is made of, as frozen dataclasses that an experiment file fills in.

Only architecture and losses stand here. The vocabulary's size and the features' width come with the data::

    config = ModelConfig(encoder=EncoderConfig(num_layers=3), use_predictor=False)
    model = Paraformer.from_config(config, vocab_size=100, feature_dim=80)

Each class lists everything impossible about itself at once, see `ModelConfig.faults`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from paraformer.errors import Fault

ENCODER_KINDS = ("transformer", "conformer", "sanm")
FRONT_ENDS = ("conv4", "lfr")
PREDICTOR_KINDS = ("cif", "ctc_compress", "uniform")
DECODER_KINDS = ("transformer", "sanm", "autoregressive")
ATTENTIONS = ("full", "local")


@dataclass(frozen=True)
class EncoderConfig:
    """From feature frames to encoder frames."""

    kind: str = "transformer"
    """Layer: transformer, conformer (Gulati et al. 2020) or sanm (self-attention + FSMN memory)."""
    num_layers: int = 6
    """Depth."""
    hidden_dim: int = 512
    """Width, shared by all layers."""
    num_heads: int = 8
    """Attention heads; divides hidden_dim."""
    ffn_dim: int | None = None
    """Inner width of the feed-forward blocks; none means 4 × hidden_dim."""
    front_end: str = "conv4"
    """conv4: two stride-2 convolutions, 40 ms a frame; lfr: 7 frames stacked every 6, 60 ms a frame."""
    attention: str = "full"
    """full, local, or the import path of a class of your own, `package.module:Class`."""
    attention_window: int = 32
    """Width of local attention's window in frames, half of them on either side."""
    kernel_size: int = 15
    """Frames under the convolution (conformer) or memory (sanm) of a layer; odd."""
    dropout: float = 0.1
    """Share of activations dropped in training."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("kind", self.kind, ENCODER_KINDS)
        yield from _choice("front_end", self.front_end, FRONT_ENDS)
        if ":" not in self.attention:
            yield from _choice(
                "attention", self.attention, ATTENTIONS, "or an import path 'package.module:Class'"
            )
        yield from _at_least("num_layers", self.num_layers, 0)
        yield from _at_least("attention_window", self.attention_window, 1)
        yield from _odd("kernel_size", self.kernel_size)
        yield from _widths(self.hidden_dim, self.num_heads, self.ffn_dim)
        yield from _share("dropout", self.dropout)


@dataclass(frozen=True)
class PredictorConfig:
    """Where the decoder's queries come from."""

    kind: str = "cif"
    """cif: continuous integrate-and-fire; ctc_compress: CTC posteriors averaged over runs (Paraformer-v2);
    uniform: a length head and uniform pooling; or the import path of a class of your own."""
    num_layers: int = 2
    """Convolutions before the weights (cif) or hidden layers of the length head (uniform)."""
    hidden_dim: int = 256
    """Width of those layers."""
    threshold: float = 1.0
    """Weight that a token takes to fire (cif)."""
    tail_threshold: float = 0.5
    """Share of the threshold that a last, unfinished token must reach to fire when decoding (cif)."""
    dropout: float = 0.1
    """Share of activations dropped in training."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if ":" not in self.kind:
            yield from _choice("kind", self.kind, PREDICTOR_KINDS, "or an import path 'package.module:Class'")
        yield from _at_least("num_layers", self.num_layers, 0)
        yield from _at_least("hidden_dim", self.hidden_dim, 1)
        if self.threshold <= 0:
            yield Fault("threshold", self.threshold, f"threshold ({self.threshold}) must be above 0")
        yield from _share("tail_threshold", self.tail_threshold)
        yield from _share("dropout", self.dropout)


@dataclass(frozen=True)
class SamplerConfig:
    """The glancing sampler of training."""

    ratio: float = 0.4
    """Share of the first pass's errors that are replaced by their true tokens; 0 turns the sampler off."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if not 0.0 <= self.ratio <= 1.0:
            yield Fault("ratio", self.ratio, f"ratio ({self.ratio}) must lie between 0 and 1")


@dataclass(frozen=True)
class DecoderConfig:
    """From queries to tokens."""

    kind: str = "transformer"
    """transformer or sanm, both parallel; autoregressive: the reference that writes token by token."""
    num_layers: int = 6
    """Depth."""
    hidden_dim: int = 512
    """Width; may differ from the encoder's."""
    num_heads: int = 8
    """Attention heads; divides hidden_dim."""
    ffn_dim: int | None = None
    """Inner width of the feed-forward blocks; none means 4 × hidden_dim."""
    kernel_size: int = 11
    """Tokens under the FSMN memory of a sanm layer; odd."""
    positions: bool = True
    """Add sinusoidal positions to the queries."""
    dropout: float = 0.1
    """Share of activations dropped in training."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("kind", self.kind, DECODER_KINDS)
        yield from _at_least("num_layers", self.num_layers, 1)
        yield from _odd("kernel_size", self.kernel_size)
        yield from _widths(self.hidden_dim, self.num_heads, self.ffn_dim)
        yield from _share("dropout", self.dropout)


@dataclass(frozen=True)
class LossConfig:
    """Weights of the training objective: (1 - ctc) · CE + ctc · CTC + quantity · MAE + mwer · MWER."""

    ctc_weight: float = 0.3
    """Share of CTC against the decoder's cross-entropy."""
    quantity_weight: float = 1.0
    """Weight of the absolute error in the number of tokens."""
    label_smoothing: float = 0.1
    """Probability mass spread over the vocabulary in the cross-entropy."""
    mwer_weight: float = 0.0
    """Weight of the minimum word error rate loss with negative sampling; 0 turns it off."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if not 0.0 <= self.ctc_weight <= 1.0:
            yield Fault(
                "ctc_weight", self.ctc_weight, f"ctc_weight ({self.ctc_weight}) must lie between 0 and 1"
            )
        yield from _at_least("quantity_weight", self.quantity_weight, 0)
        yield from _at_least("mwer_weight", self.mwer_weight, 0)
        yield from _share("label_smoothing", self.label_smoothing)


@dataclass(frozen=True)
class ModelConfig:
    """A whole Paraformer."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    predictor: PredictorConfig = field(default_factory=PredictorConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    use_predictor: bool = True
    """False is short for predictor.kind: ctc_compress, in which only the source of the queries changes."""

    @property
    def query_source(self) -> str:
        """The kind of predictor in force: cif, ctc_compress, uniform or an import path."""
        return (
            self.predictor.kind if self.use_predictor or self.predictor.kind == "uniform" else "ctc_compress"
        )

    def faults(self) -> list[Fault]:
        """Everything impossible about this model at once, with paths such as `encoder.hidden_dim`."""
        parts: dict[str, EncoderConfig | PredictorConfig | SamplerConfig | DecoderConfig | LossConfig] = {
            "encoder": self.encoder,
            "predictor": self.predictor,
            "sampler": self.sampler,
            "decoder": self.decoder,
            "loss": self.loss,
        }
        inner = [
            replace(fault, path=f"{name}.{fault.path}")
            for name, part in parts.items()
            for fault in part.faults()
        ]
        return inner + list(self._joint_faults())

    def _joint_faults(self) -> Iterator[Fault]:
        if self.query_source == "ctc_compress" and self.loss.ctc_weight == 0:
            yield Fault(
                "loss.ctc_weight",
                0.0,
                "ctc_weight (0) must be above 0: the ctc_compress predictor reads the CTC head",
            )


def _choice(name: str, value: str, allowed: tuple[str, ...], more: str = "") -> Iterator[Fault]:
    if value not in allowed:
        yield Fault(name, value, f"{name} ({value}) must be one of {', '.join(allowed)} {more}".rstrip())


def _at_least(name: str, value: float, least: float) -> Iterator[Fault]:
    if value < least:
        yield Fault(name, value, f"{name} ({value}) must be at least {least}")


def _odd(name: str, value: int) -> Iterator[Fault]:
    if value < 1 or value % 2 == 0:
        yield Fault(name, value, f"{name} ({value}) must be odd and positive")


def _share(name: str, value: float) -> Iterator[Fault]:
    if not 0.0 <= value < 1.0:
        yield Fault(name, value, f"{name} ({value}) must be at least 0 and below 1")


def _widths(hidden_dim: int, num_heads: int, ffn_dim: int | None) -> Iterator[Fault]:
    yield from _at_least("hidden_dim", hidden_dim, 1)
    yield from _at_least("num_heads", num_heads, 1)
    if num_heads >= 1 and hidden_dim % num_heads:
        yield Fault(
            "hidden_dim",
            hidden_dim,
            f"hidden_dim ({hidden_dim}) must be divisible by num_heads ({num_heads})",
        )
    if ffn_dim is not None:
        yield from _at_least("ffn_dim", ffn_dim, 1)
