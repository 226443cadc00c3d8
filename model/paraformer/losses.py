"""The training objective.

Shapes: B batch, T' encoder frames, U tokens, V vocabulary.

::

    total = (1 - ctc_weight) · CE + ctc_weight · CTC + quantity_weight · quantity + mwer_weight · MWER

CE, CTC and quantity are sums over the batch divided by its number of tokens: nats per token, nats per token,
and miscounted tokens per token, Σ|U - Σα| / ΣU. Relative to each other they weigh as in the published recipe,
which divides all three by the number of utterances. MWER is in errors per token as well.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.config import LossConfig
from paraformer.model import Paraformer, TrainingPass
from paraformer.mwer import expected_errors
from paraformer.predictor import EncodedFrames
from paraformer.tokenizer import PAD


class TrainingBatch(Protocol):
    """What the objective reads of a batch (see `paraformer.dataset.Batch`)."""

    @property
    def features(self) -> Tensor:
        """`(B, T, F)`."""

    @property
    def feat_lens(self) -> Tensor:
        """`(B,)`."""

    @property
    def tokens(self) -> Tensor:
        """`(B, U)`, without BOS and EOS."""

    @property
    def token_lens(self) -> Tensor:
        """`(B,)`."""


@dataclass(frozen=True)
class LossOutput:
    """The objective and its parts, on the model's device; only `total` carries gradients."""

    total: Tensor
    """What is minimised, a scalar in fp32."""
    ce: Tensor
    """Cross-entropy of the decoder, smoothed as configured, in nats per token."""
    ctc: Tensor
    """CTC loss in nats per token; 0 where its weight is 0."""
    quantity: Tensor
    """Tokens counted too many or too few, per token; 0 where the predictor does not learn to count."""
    mwer: Tensor
    """Expected errors per token, less their mean over the samples; 0 where its weight is 0."""
    token_accuracy: Tensor
    """Share of tokens right at the true length, before the sampler shows any."""
    logits: Tensor
    """Of the decoder, `(B, U, V)` or `(B, U + 1, V)`, without gradient."""


class TrainingObjective(nn.Module):
    """Model and losses as one module, so that DistributedDataParallel can wrap it.

    Args:
        model: The model to train.
        loss_config: Weights of the parts.
    """

    def __init__(self, model: Paraformer, loss_config: LossConfig) -> None:
        super().__init__()
        self.model = model
        self.loss_config = loss_config

    def forward(self, batch: TrainingBatch) -> LossOutput:
        """Compute the losses of a batch."""
        result = self.model.training_pass(batch.features, batch.tokens, batch.feat_lens, batch.token_lens)
        weights = self.loss_config
        with torch.autocast(result.logits.device.type, enabled=False):
            logits = result.logits.float()
            ce = cross_entropy(logits, result.targets, weights.label_smoothing)
            ctc = ctc_loss(result.frames, batch.tokens, batch.token_lens) if weights.ctc_weight else 0 * ce
            quantity = quantity_loss(result.token_count, batch.token_lens)
            mwer = expected_errors(logits, result.targets) if weights.mwer_weight else 0 * ce
            total = (1 - weights.ctc_weight) * ce + weights.ctc_weight * ctc
            total = total + weights.quantity_weight * quantity + weights.mwer_weight * mwer
        return LossOutput(
            total=total,
            ce=ce.detach(),
            ctc=ctc.detach(),
            quantity=quantity.detach(),
            mwer=mwer.detach(),
            token_accuracy=token_accuracy(result),
            logits=result.logits.detach(),
        )


def cross_entropy(logits: Tensor, targets: Tensor, label_smoothing: float = 0.0) -> Tensor:
    """Cross-entropy of logits `(B, U, V)` per real target of `(B, U)`, PAD not being one; 0 without any."""
    summed = F.cross_entropy(
        logits.flatten(0, 1),
        targets.flatten(),
        ignore_index=PAD,
        reduction="sum",
        label_smoothing=label_smoothing,
    )
    return summed / (targets != PAD).sum().clamp(min=1)


def ctc_loss(frames: EncodedFrames, tokens: Tensor, token_lens: Tensor) -> Tensor:
    """CTC loss in nats per token, `()`; an utterance with too few frames for its transcript does not count.

    Args:
        frames: The encoder's, with CTC log-probabilities `(B, T', V)`.
        tokens: Transcripts, `(B, U)`.
        token_lens: Number of real tokens, `(B,)`.
    """
    assert frames.ctc_log_probs is not None, "the CTC loss reads CTC log-probabilities"
    summed = F.ctc_loss(
        frames.ctc_log_probs.transpose(0, 1),  # (T', B, V)
        tokens,
        frames.lengths,
        token_lens,
        blank=PAD,
        reduction="sum",
        zero_infinity=True,
    )
    return summed / token_lens.sum().clamp(min=1)


def quantity_loss(token_count: Tensor | None, token_lens: Tensor) -> Tensor:
    """Tokens counted too many or too few, per token, `()`.

    Args:
        token_count: What the predictor counts, `(B,)`; None where it does not learn to, which gives 0.
        token_lens: True number of tokens, `(B,)`.
    """
    if token_count is None:
        return torch.zeros((), device=token_lens.device)
    return (token_count - token_lens).abs().sum() / token_lens.sum().clamp(min=1)


@torch.no_grad()
def token_accuracy(result: TrainingPass) -> Tensor:
    """Share, `()`, of the targets `(B, U)` that the decoder chose unaided."""
    real = result.targets != PAD
    return ((result.unaided == result.targets) & real).sum() / real.sum().clamp(min=1)
