"""When a token was spoken, from the weights that fired it."""

import torch
from torch import Tensor

from paraformer.cif import CifOutput

Seconds = float

_EDGE = 0.05
"""Share of a token's weight left out at either end: it may trickle in through a pause before the token."""


def token_times(fired: CifOutput, frame_shift: Seconds) -> Tensor:
    """Start and end of each token, `(B, U, 2)` in seconds: where 5 and 95 % of its weight have come in.

    Args:
        fired: What `integrate_and_fire` gave for B utterances of at most U tokens.
        frame_shift: Time from one frame of it to the next.
    """
    tokens = torch.arange(fired.embeddings.shape[1], device=fired.mass.device, dtype=fired.mass.dtype)
    levels = tokens.expand(len(fired.mass), -1)
    edges = [fired.times(levels + edge) for edge in (_EDGE, 1 - _EDGE)]
    return torch.stack(edges, dim=2) * frame_shift
