"""Where the decoder's queries come from: the axis "predictor on or off" of the ablations.

Shapes: B batch, T encoder frames, U tokens, D width of the encoder, Q width of the decoder, V vocabulary.

All three kinds integrate and fire (`paraformer.cif`); they differ in the weights and in what is summed:

=============  ================================================  ====================
kind           weight of a frame                                 what is summed
=============  ================================================  ====================
cif            learned, for each frame                           encoder frames
ctc_compress   1 / length of its run of one CTC label; blank: 0  CTC posteriors
uniform        the same for all, so that they sum to the length  encoder frames
=============  ================================================  ====================

So each averages frames into tokens, counts tokens by the sum of the weights, and can say when a token was
spoken. In training the weights are scaled to the known number of tokens.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor, nn

from paraformer.cif import CifOutput, integrate_and_fire
from paraformer.config import PredictorConfig
from paraformer.padding import length_mask


@dataclass(frozen=True)
class EncodedFrames:
    """A batch of utterances behind the encoder."""

    hidden: Tensor
    """The encoder's output, `(B, T, D)`, zero at padding."""
    lengths: Tensor
    """Number of real frames, `(B,)`."""
    ctc_log_probs: Tensor | None = None
    """CTC log-probabilities in fp32, `(B, T, V)`, where somebody reads them."""

    @property
    def mask(self) -> Tensor:
        """Real frames, `(B, T)`."""
        return length_mask(self.lengths, self.hidden.shape[1])


@dataclass(frozen=True)
class Queries:
    """What the decoder is asked: one embedding for each token to be."""

    embeddings: Tensor
    """`(B, U, Q)`; padded ones mean nothing."""
    fired: CifOutput
    """Number of tokens, and which frames went into which."""

    @property
    def lengths(self) -> Tensor:
        """Number of tokens, `(B,)`."""
        return self.fired.lengths


class Predictor(nn.Module, ABC):
    """Weighs frames, and sums them into queries.

    Args:
        config: Thresholds.
        value_dim: Width of what is summed.
        query_dim: Width of the decoder, Q.
        project: Map sums to width Q even where the widths agree.
    """

    counts_tokens = True
    """Whether the sum of the weights is a learned count, to be trained against the true one."""
    needs_posteriors = False
    """Whether `EncodedFrames.ctc_log_probs` are read."""

    def __init__(
        self, config: PredictorConfig, value_dim: int, query_dim: int, *, project: bool = False
    ) -> None:
        super().__init__()
        self.threshold, self.tail_threshold = config.threshold, config.tail_threshold
        same = value_dim == query_dim and not project
        self.projection = nn.Identity() if same else nn.Linear(value_dim, query_dim)

    @abstractmethod
    def weigh(self, frames: EncodedFrames) -> Tensor:
        """Weights of the frames, `(B, T)` in fp32; 0 at padding."""

    def weigh_known(self, frames: EncodedFrames, tokens: Tensor, token_lens: Tensor) -> Tensor:
        """Weights `(B, T)` where the transcripts `(B, U)` and their lengths `(B,)` are known: in training."""
        return self.weigh(frames)

    def values(self, frames: EncodedFrames) -> Tensor:
        """What is summed, `(B, T, ·)`."""
        return frames.hidden

    def count(self, alphas: Tensor) -> Tensor:
        """Number of tokens that weights `(B, T)` stand for, `(B,)`, not yet rounded."""
        return alphas.sum(dim=1) / self.threshold

    def forward(
        self,
        frames: EncodedFrames,
        alphas: Tensor,
        target_lengths: Tensor | None = None,
        max_length: int | None = None,
    ) -> Queries:
        """Sum frames into queries.

        Args:
            frames: Of the encoder, `(B, T', D)` with their lengths.
            alphas: Weight of each frame, `(B, T')`, from `weigh`.
            target_lengths: Number of tokens to fire, `(B,)`, where it is known.
            max_length: U, where it is known: to look it up in a tensor would wait for the device.

        Returns:
            Queries `(B, U, Q)` with what fired.
        """
        fired = integrate_and_fire(
            self.values(frames),
            alphas,
            target_lengths,
            self.threshold,
            self.tail_threshold,
            max_length=max_length,
        )
        return Queries(self.projection(fired.embeddings), fired)
