"""The glancing sampler: in training, show the decoder some of the tokens that it got wrong.

Shapes: B batch, U tokens, Q width of the decoder.

The parallel decoder sees no token of its own while it writes. In training it first decodes without help; the
more it errs, the more queries are then replaced by the embeddings of true tokens, so that it learns how
tokens depend on each other. (Gao et al. 2022, arXiv:2206.08317; after Qian et al. 2021, arXiv:2008.07905.)
"""

import torch
from torch import Tensor


def glance(
    queries: Tensor,
    true_embeddings: Tensor,
    wrong: Tensor,
    mask: Tensor,
    ratio: float,
    generator: torch.Generator | None = None,
) -> Tensor:
    """Replace queries at random by true embeddings, ⌊ratio · number of errors⌋ in each utterance.

    Args:
        queries: `(B, U, Q)`.
        true_embeddings: Of the transcripts' tokens, `(B, U, Q)`.
        wrong: Where the first pass erred, `(B, U)`.
        mask: Real tokens, `(B, U)`: any of them may be replaced.
        ratio: Share of the number of errors.
        generator: Source of randomness; torch's own if none.
    """
    errors = (wrong & mask).sum(dim=1)
    shown = choose(mask, (errors * ratio).floor(), generator)
    return torch.where(shown.unsqueeze(2), true_embeddings.to(queries.dtype), queries)


def choose(mask: Tensor, sizes: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Draw `sizes` `(B,)` of the positions of `mask` `(B, U)`, each subset as likely as any other."""
    draw = torch.empty(mask.shape, device=mask.device).uniform_(generator=generator)
    draw = draw.masked_fill(~mask, 2.0)
    rank = draw.argsort(dim=1).argsort(dim=1)
    return (rank < sizes.unsqueeze(1)) & mask
