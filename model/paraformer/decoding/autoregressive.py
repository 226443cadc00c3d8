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

    Other arguments as of `paraformer.decoding.decode`; `oracle_lens` changes nothing, since the decoder ends
    by itself.

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
    """All that a beam search found in each utterance, the best first; arguments as of `beam`."""
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
