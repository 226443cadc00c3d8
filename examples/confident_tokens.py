"""A decoding strategy of one's own: greedy, without the tokens that the model itself doubts.

Name it in an experiment, or on the command line, from the folder that holds this file::

    --override decoding.strategy=confident_tokens:confident_tokens
"""

import torch
from torch import Tensor

from paraformer.decoding import Hypothesis, decode
from paraformer.model import Paraformer


def confident_tokens(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
    least: float = 0.5,
) -> list[Hypothesis]:
    """Decode greedily and keep tokens of a confidence of at least `least`."""
    found = decode(model, features, feat_lens, oracle_lens=oracle_lens)
    return [_without_doubtful(hypothesis, least) for hypothesis in found]


def _without_doubtful(hypothesis: Hypothesis, least: float) -> Hypothesis:
    kept = [place for place, confidence in enumerate(hypothesis.confidences) if confidence >= least]
    return Hypothesis(
        [hypothesis.tokens[place] for place in kept],
        [hypothesis.confidences[place] for place in kept],
        None if hypothesis.times is None else [hypothesis.times[place] for place in kept],
    )
