"""A decoding strategy of one's own: nucleus sampling (Holtzman et al. 2020), token by token.

Name it in an experiment, or on the command line, from the folder that holds `examples/`::

    --override decoding.strategy=examples.nucleus_sampling:nucleus_sampling

`decode_step` asks any model for the next token, one that writes in parallel as well as one that writes token
by token. Of a parallel model that computes every token anew in every step: `nucleus`, which is built in,
draws them all at once. Temperature and `top_p` come from keyword arguments of `paraformer.decoding.decode`.
"""

import torch
from torch import Tensor

from paraformer.decoding import Hypothesis
from paraformer.model import Paraformer
from paraformer.tokenizer import BOS, EOS, PAD


def nucleus_sampling(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
    top_p: float = 0.9,
    temperature: float = 1.0,
    max_len: int = 200,
) -> list[Hypothesis]:
    """Draw each token from the fewest most probable ones that together reach `top_p`.

    Every position has one random number, the same for all utterances: so an utterance is transcribed alike in
    any batch.

    Args:
        model: The model, in eval mode.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`.
        oracle_lens: True number of tokens, `(B,)`, where a strategy is asked to use it.
        generator: Source of the random numbers.
        top_p: Probability that the candidates reach together.
        temperature: Divides the logits first; above 1 evens the distribution.
        max_len: Most tokens.
    """
    encoder_out, weights = model.encode(features, feat_lens)
    if oracle_lens is not None and model.predictor is not None:
        weights = weights * (oracle_lens / model.predictor.count(weights)).unsqueeze(1)
    luck = torch.rand(max_len, generator=generator).to(features.device)
    tokens = torch.full((len(features), 1), BOS, device=features.device)
    confidences = torch.ones(len(features), 1, device=features.device)
    for step in range(max_len):
        logits = model.decode_step(encoder_out, weights, tokens)[:, -1]  # (B, V)
        logits[:, PAD] = -torch.inf
        chosen = draw(logits / temperature, top_p, luck[step])
        tokens = torch.cat([tokens, chosen], dim=1)
        confidences = torch.cat([confidences, logits.softmax(dim=1).gather(1, chosen)], dim=1)
        if bool((tokens == EOS).any(dim=1).all()):
            break
    return [_until_end(*row) for row in zip(tokens.tolist(), confidences.tolist(), strict=True)]


def draw(logits: Tensor, top_p: float, luck: Tensor) -> Tensor:
    """Tokens `(B, 1)` from the nuclei of logits `(B, V)`, by a random number between 0 and 1."""
    probabilities, tokens = logits.softmax(dim=1).sort(dim=1, descending=True, stable=True)
    before = probabilities.cumsum(dim=1) - probabilities
    nucleus = probabilities.masked_fill(before >= top_p, 0.0)
    ends = nucleus.cumsum(dim=1)
    size = (nucleus > 0).sum(dim=1, keepdim=True)
    place = torch.searchsorted(ends, luck * ends[:, -1:], right=True)
    return tokens.gather(1, torch.minimum(place, size - 1))


def _until_end(tokens: list[int], confidences: list[float]) -> Hypothesis:
    """A row without BOS, up to its first EOS."""
    end = tokens.index(EOS) if EOS in tokens else len(tokens)
    return Hypothesis(tokens[1:end], confidences[1:end], times=None)
