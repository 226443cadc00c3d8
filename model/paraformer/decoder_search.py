"""Greedy and beam search over an autoregressive decoder, for a whole batch at once.

Shapes: B batch, K hypotheses of an utterance (the beam), L tokens so far, V vocabulary.

A batch never changes its members: each utterance has its own limit of length, and one that has ended takes
only PAD, at no cost, until the last has ended too.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from paraformer.decoder_autoregressive import AutoregressiveDecoder
from paraformer.tokenizer import BOS, EOS, PAD


@dataclass(frozen=True)
class Transcript:
    """One result of a search."""

    tokens: list[int]
    """Token numbers, without BOS and EOS."""
    log_probs: list[float]
    """Natural logarithm of the probability of each token, and of EOS behind them where it was reached."""


def greedy_search(
    decoder: AutoregressiveDecoder, memory: Tensor, memory_lens: Tensor, max_len: int = 200
) -> list[Transcript]:
    """Take the most probable token at every step: a beam search with one hypothesis.

    Args:
        decoder: The decoder, in eval mode.
        memory: The encoder's output `(B, T, D_enc)`.
        memory_lens: Number of real frames, `(B,)`.
        max_len: Most tokens of a transcript; two for each frame is a limit too.
    """
    return [found[0] for found in beam_search(decoder, memory, memory_lens, beam=1, max_len=max_len)]


@torch.no_grad()
def beam_search(
    decoder: AutoregressiveDecoder,
    memory: Tensor,
    memory_lens: Tensor,
    *,
    beam: int = 10,
    length_penalty: float = 1.0,
    max_len: int = 200,
) -> list[list[Transcript]]:
    """Keep the `beam` most probable beginnings at every step until all of them have ended.

    Args:
        decoder: The decoder, in eval mode.
        memory: The encoder's output `(B, T, D_enc)`.
        memory_lens: Number of real frames, `(B,)`.
        beam: Hypotheses kept for each utterance, K.
        length_penalty: Results are ranked by log-probability / (tokens + EOS) ** length_penalty.
        max_len: Most tokens of a transcript; two for each frame is a limit too.

    Returns:
        For each utterance its results, the best first; K of them, or fewer where fewer exist.
    """
    limits = (2 * memory_lens).clamp(max=max_len).unsqueeze(1)  # (B, 1)
    state, progress = decoder.start(memory, memory_lens), _Progress(len(memory), beam, memory.device)
    while not progress.ended.all():
        logits = decoder.step(progress.last, state)
        parents = progress.extend(logits.float().log_softmax(dim=-1), at_limit=limits <= progress.length)
        if beam > 1:
            state.follow(parents)
    return progress.results(length_penalty)


class _Progress:
    """The hypotheses of a running search."""

    def __init__(self, batch: int, beam: int, device: torch.device) -> None:
        self.tokens = torch.full((batch, beam, 1), BOS, device=device)  # (B, K, L + 1)
        self.log_probs = torch.zeros(batch, beam, 0, device=device)  # (B, K, L)
        # All hypotheses begin the same: only the first may be extended at the first step.
        self.scores = torch.full((batch, beam), -torch.inf, device=device)
        self.scores[:, 0] = 0.0
        self.ended = torch.zeros(batch, beam, dtype=torch.bool, device=device)

    @property
    def last(self) -> Tensor:
        """The token chosen last, `(B, K)`."""
        return self.tokens[:, :, -1]

    @property
    def length(self) -> int:
        """Number of tokens so far, L."""
        return self.log_probs.shape[2]

    def extend(self, log_probs: Tensor, at_limit: Tensor) -> Tensor:
        """Choose the K best extensions by one token.

        Args:
            log_probs: Of every token after each hypothesis, `(B, K, V)`.
            at_limit: Utterances that may only end now, `(B, 1)`.

        Returns:
            The hypothesis that each of the chosen extends, `(B, K)`.
        """
        allowed = self._restrict(log_probs, at_limit)
        vocab_size, beam = log_probs.shape[2], log_probs.shape[1]
        self.scores, chosen = (self.scores.unsqueeze(2) + allowed).flatten(1).topk(beam, dim=1)
        parents, tokens = chosen // vocab_size, chosen % vocab_size
        gained = allowed.flatten(1).gather(1, chosen)
        self.tokens = torch.cat([_take(self.tokens, parents), tokens.unsqueeze(2)], dim=2)
        self.log_probs = torch.cat([_take(self.log_probs, parents), gained.unsqueeze(2)], dim=2)
        # At -inf stand places of the beam that nothing could fill.
        self.ended = self.ended.gather(1, parents) | (tokens == EOS) | self.scores.isneginf()
        return parents

    def _restrict(self, log_probs: Tensor, at_limit: Tensor) -> Tensor:
        """Log-probabilities of what may follow: after the end PAD, for nothing; at the limit EOS."""
        token = torch.arange(log_probs.shape[2], device=log_probs.device)
        never = (token == PAD) | (token == BOS) | (at_limit.unsqueeze(2) & (token != EOS))
        going_on = log_probs.masked_fill(never, -torch.inf)
        standing = torch.where(token == PAD, 0.0, -torch.inf).to(log_probs)
        return torch.where(self.ended.unsqueeze(2), standing, going_on)

    def results(self, length_penalty: float) -> list[list[Transcript]]:
        """The finished hypotheses of each utterance, the best first."""
        sizes = (self.tokens[:, :, 1:] != PAD).sum(2)  # (B, K), EOS counted
        ranks = self.scores / sizes**length_penalty
        order = ranks.argsort(dim=1, descending=True, stable=True).tolist()
        return [
            [self._transcript(row, place) for place in places if self.scores[row, place].isfinite()]
            for row, places in enumerate(order)
        ]

    def _transcript(self, row: int, place: int) -> Transcript:
        tokens = self.tokens[row, place, 1:].tolist()
        size = tokens.index(EOS)
        return Transcript(tokens[:size], self.log_probs[row, place, : size + 1].tolist())


def _take(x: Tensor, parents: Tensor) -> Tensor:
    """Rows `parents` `(B, K)` of `x` `(B, K, L)`."""
    return x.gather(1, parents.unsqueeze(2).expand(-1, -1, x.shape[2]))
