"""Beam search with the autoregressive decoder."""

import math

import torch
from torch import Tensor

from paraformer.decoder_autoregressive import AutoregressiveDecoder
from paraformer.decoder_search import Transcript, beam_search
from paraformer.decoding.hypothesis import Hypothesis
from paraformer.errors import ConfigError
from paraformer.model import Paraformer


def beam(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
    size: int = 10,
    length_penalty: float = 1.0,
) -> list[Hypothesis]:
    """Keep the `size` most probable beginnings at every step, and take the best ending.

    `oracle_lens` and `generator` change nothing: the decoder ends by itself, and nothing is drawn.

    Args:
        model: A model with an autoregressive decoder.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        oracle_lens: Not used.
        generator: Not used.
        size: Beginnings kept for each utterance.
        length_penalty: Power of the length that a transcript's log-probability is divided by.

    Raises:
        ConfigError: if the decoder is parallel.
    """
    found = search(model, features, feat_lens, size=size, length_penalty=length_penalty)
    return [hypotheses[0] for hypotheses in found]


def search(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    size: int = 10,
    length_penalty: float = 1.0,
) -> list[list[Hypothesis]]:
    """All that a beam search found in each utterance, the best first.

    Args:
        model: A model with an autoregressive decoder.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        size: Beginnings kept for each utterance.
        length_penalty: Power of the length that a transcript's log-probability is divided by.

    Raises:
        ConfigError: if the decoder is parallel.
    """
    if not isinstance(model.decoder, AutoregressiveDecoder):
        raise ConfigError(
            f"beam search needs decoder.kind 'autoregressive', but it is {model.config.decoder.kind!r}: "
            "a parallel decoder has one distribution for each position, of which 'greedy' takes the best"
        )
    frames = model.encode_frames(features, feat_lens)
    found = beam_search(
        model.decoder, frames.hidden, frames.lengths, beam=size, length_penalty=length_penalty
    )
    return [[_hypothesis(transcript) for transcript in transcripts] for transcripts in found]


def _hypothesis(transcript: Transcript) -> Hypothesis:
    confidences = [math.exp(value) for value in transcript.log_probs[: len(transcript.tokens)]]
    return Hypothesis(transcript.tokens, confidences, None)
