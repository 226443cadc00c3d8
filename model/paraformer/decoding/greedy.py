"""The most probable token at each position; of an autoregressive decoder, at each step."""

import torch
from torch import Tensor

from paraformer.decoding.autoregressive import beam
from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.parallel import ask
from paraformer.model import Paraformer


def greedy(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[Hypothesis]:
    """Take the most probable token at every position.

    Args:
        model: The model; an autoregressive one takes the best token at every step.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        oracle_lens: True number of tokens, `(B,)`, where the predicted one is not to be used.
        generator: Not used; nothing is drawn.
    """
    if model.is_autoregressive:
        return beam(model, features, feat_lens, size=1)
    answer = ask(model, features, feat_lens, oracle_lens)
    return answer.hypotheses(answer.log_probs.argmax(dim=2))
