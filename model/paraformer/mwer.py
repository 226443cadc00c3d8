"""Minimum word error rate training with negative sampling (Gao et al. 2022, arXiv:2206.08317).

Shapes: B batch, N candidates, U tokens, V vocabulary.

A parallel decoder has one best path. Others are drawn from it: each token of a candidate is, with some
probability, the second best of its position. The loss is the expected number of errors among the candidates,
so that those with fewer errors than the rest become more probable.
"""

import torch
from torch import Tensor

from paraformer.tokenizer import PAD

_CANDIDATES = 4
"""Candidates of each utterance, the best path included."""

_MASKED = 0.25
"""Probability that a token of a candidate is the second best."""


def expected_errors(logits: Tensor, targets: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Expected edit distance over candidates, less their mean, per token of the batch.

    Args:
        logits: `(B, U, V)`.
        targets: The transcripts, PAD behind their end, `(B, U)`.
        generator: Source of randomness; torch's own if none.
    """
    log_probs = logits.log_softmax(dim=2)
    candidates = draw_candidates(log_probs.detach(), generator)  # (B, N, U)
    real = (targets != PAD).unsqueeze(1)
    gathered = log_probs.gather(2, candidates.transpose(1, 2)).transpose(1, 2)
    share = (gathered * real).sum(dim=2).softmax(dim=1)  # (B, N)
    references = targets.unsqueeze(1).expand_as(candidates)
    errors = edit_distance((candidates * real).flatten(0, 1), references.flatten(0, 1)).view_as(share)
    advantage = errors - errors.mean(dim=1, keepdim=True)
    return (share * advantage).sum() / real.sum().clamp(min=1)


def draw_candidates(log_probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """The best path and variations of it, `(B, N, U)`."""
    best, second = log_probs.topk(2, dim=2).indices.unbind(dim=2)  # (B, U) each
    shape = (len(best), _CANDIDATES, best.shape[1])
    masked = torch.rand(shape, device=best.device, generator=generator) < _MASKED
    masked[:, 0] = False
    return torch.where(masked, second.unsqueeze(1), best.unsqueeze(1))


def edit_distance(hypotheses: Tensor, references: Tensor) -> Tensor:
    """Levenshtein distances of N pairs of equal size, `(N, U)` each, as floats `(N,)`.

    Equal padding behind both of a pair does not count. The loop runs over U; within a row the chain of
    insertions is a running minimum.
    """
    place = torch.arange(references.shape[1] + 1, device=references.device, dtype=torch.float32)
    row = place.expand(len(references), -1)
    for step in range(hypotheses.shape[1]):
        replaced = row[:, :-1] + (hypotheses[:, step : step + 1] != references)
        dropped = row + 1
        row = torch.cat([dropped[:, :1], torch.minimum(replaced, dropped[:, 1:])], dim=1)
        row = (row - place).cummin(dim=1).values + place
    return row[:, -1]
