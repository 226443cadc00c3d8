"""Nucleus sampling (Holtzman et al. 2020, arXiv:1904.09751), at every position by itself.

A parallel decoder gives one distribution for each position, so all tokens are drawn at once. The draws depend
on the generator, and with it on the batch: that is the one strategy whose result does.
"""

import torch
from torch import Tensor

from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.parallel import ask
from paraformer.errors import ConfigError
from paraformer.model import Paraformer


def nucleus(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
    top_p: float = 0.9,
    temperature: float = 1.0,
) -> list[Hypothesis]:
    """Draw each token from the most probable ones that together reach `top_p`.

    Args:
        model: The model, in eval mode.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`.
        oracle_lens: True number of tokens, `(B,)`.
        generator: Source of randomness; torch's own if none.
        top_p: Probability that the candidates reach together; near 0 only the best is left.
        temperature: Divides the logits first; above 1 evens the distribution.

    Raises:
        ConfigError: if `top_p` or `temperature` is out of range, or the decoder is autoregressive.
    """
    if not 0.0 < top_p <= 1.0:
        raise ConfigError(f"top_p ({top_p}) must be above 0 and at most 1")
    if temperature <= 0:
        raise ConfigError(f"temperature ({temperature}) must be above 0")
    answer = ask(model, features, feat_lens, oracle_lens)
    return answer.hypotheses(draw(answer.log_probs / temperature, top_p, generator))


def draw(logits: Tensor, top_p: float, generator: torch.Generator | None = None) -> Tensor:
    """Tokens `(B, U)` drawn from the nuclei of logits `(B, U, V)`."""
    probabilities, tokens = logits.softmax(dim=2).sort(dim=2, descending=True, stable=True)
    before = probabilities.cumsum(dim=2) - probabilities
    kept = probabilities.masked_fill(before >= top_p, 0.0)
    if kept.numel() == 0:
        return tokens[:, :, 0]
    place = torch.multinomial(kept.flatten(0, 1), 1, generator=generator).view(*kept.shape[:2], 1)
    return tokens.gather(2, place).squeeze(2)
