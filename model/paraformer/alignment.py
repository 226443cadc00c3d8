"""The most probable CTC path that spells a transcript, for a whole batch at once (Viterbi).

Shapes: B batch, T frames, U tokens, V vocabulary, S = 2U + 1 states: a blank around each token.

The one loop runs over frames; its steps treat all utterances and states together, on the frames' device.
(Graves et al. 2006, "Connectionist temporal classification", section 4.1, with maxima for sums.)
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from paraformer.tokenizer import PAD

_IMPOSSIBLE = -1e30
"""Log-probability of what cannot be; a finite number, since -inf minus -inf is not one."""


@dataclass(frozen=True)
class Alignment:
    """Which token each frame spells."""

    slots: Tensor
    """`(B, T)`: 1 + the token's place in the transcript, 0 at blanks and padding."""
    feasible: Tensor
    """Whether there is a path at all, `(B,)`: a frame for each token, and a blank between two equal ones."""


@torch.no_grad()
def align(log_probs: Tensor, frame_lens: Tensor, tokens: Tensor, token_lens: Tensor) -> Alignment:
    """Find the best path of each utterance.

    Args:
        log_probs: CTC log-probabilities, `(B, T, V)`.
        frame_lens: Number of real frames, `(B,)`.
        tokens: Transcripts, without blanks, `(B, U)`.
        token_lens: Number of real tokens, `(B,)`.
    """
    emissions = _emissions(log_probs, tokens)
    scores, moves = _forward(emissions, _may_skip(tokens), frame_lens)
    state, best = _last_state(scores, token_lens)
    states = _backward(moves, state)
    frame = torch.arange(log_probs.shape[1], device=log_probs.device)
    spells = (states % 2 == 1) & (frame < frame_lens.unsqueeze(1))
    slots = torch.where(spells, (states + 1) // 2, torch.zeros_like(states))
    feasible = (best > _IMPOSSIBLE / 2) & (frame_lens > 0)
    return Alignment(slots * feasible.unsqueeze(1), feasible)


def _emissions(log_probs: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of each state's label in each frame, `(T, B, S)`."""
    # PAD's number is the blank's too.
    labels = torch.full((len(tokens), 2 * tokens.shape[1] + 1), PAD, device=tokens.device)
    labels[:, 1::2] = tokens
    index = labels.unsqueeze(1).expand(-1, log_probs.shape[1], -1)
    return log_probs.float().gather(2, index).transpose(0, 1)


def _may_skip(tokens: Tensor) -> Tensor:
    """States `(B, S)` that may follow the state two before: tokens unlike the one before them."""
    batch, size = tokens.shape
    skip = torch.zeros(batch, 2 * size + 1, dtype=torch.bool, device=tokens.device)
    skip[:, 3::2] = tokens[:, 1:] != tokens[:, :-1]
    return skip


def _forward(emissions: Tensor, may_skip: Tensor, frame_lens: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Best scores of the states after the last real frame, `(B, S)`, and the moves into each later frame.

    A move `(B, S)` is how many states the path came forward: 0, 1 or 2.
    """
    scores = torch.full_like(emissions[0], _IMPOSSIBLE)
    scores[:, :2] = emissions[0, :, :2]
    penalty = torch.where(may_skip, 0.0, _IMPOSSIBLE)
    moves = []
    for frame in range(1, len(emissions)):
        one = F.pad(scores[:, :-1], (1, 0), value=_IMPOSSIBLE)
        two = F.pad(scores, (2, 0), value=_IMPOSSIBLE)[:, : scores.shape[1]] + penalty
        best, move = torch.stack([scores, one, two]).max(dim=0)
        real = (frame < frame_lens).unsqueeze(1)
        scores = torch.where(real, (best + emissions[frame]).clamp(min=_IMPOSSIBLE), scores)
        moves.append((move * real).to(torch.int8))
    return scores, moves


def _last_state(scores: Tensor, token_lens: Tensor) -> tuple[Tensor, Tensor]:
    """Where the best path ends, the last token or the blank behind it, and its score, `(B,)` each."""
    blank = 2 * token_lens.unsqueeze(1)
    ends = torch.cat([blank, (blank - 1).clamp(min=0)], dim=1)
    best, which = scores.gather(1, ends).max(dim=1)
    return ends.gather(1, which.unsqueeze(1)).squeeze(1), best


def _backward(moves: list[Tensor], state: Tensor) -> Tensor:
    """States `(B, T)` of the paths that end in `state` `(B,)`."""
    states = [state]
    for move in reversed(moves):
        state = state - move.gather(1, state.unsqueeze(1)).squeeze(1)
        states.append(state)
    return torch.stack(states[::-1], dim=1)
