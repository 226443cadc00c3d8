"""What the CTC head alone would write: the lower bound beside every result of the decoder."""

from itertools import groupby

import torch
from torch import Tensor

from paraformer.decoding.hypothesis import Hypothesis
from paraformer.errors import ConfigError
from paraformer.model import Paraformer
from paraformer.tokenizer import PAD


def ctc_greedy(
    model: Paraformer,
    features: Tensor,
    feat_lens: Tensor | None = None,
    *,
    oracle_lens: Tensor | None = None,
    generator: torch.Generator | None = None,
) -> list[Hypothesis]:
    """Take the most probable label of each frame, merge repetitions, drop blanks.

    A token's confidence is the mean of its frames', its time that of its frames. A known length does not help
    CTC, and nothing is drawn: `oracle_lens` and `generator` change nothing.

    Args:
        model: The model.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        oracle_lens: Not used.
        generator: Not used.

    Raises:
        ConfigError: if the CTC head was never trained.
    """
    if model.config.loss.ctc_weight == 0:
        raise ConfigError("loss.ctc_weight is 0, so the CTC head is untrained: decode with 'greedy' instead")
    frames = model.encode_frames(features, feat_lens, ctc=True)
    assert frames.ctc_log_probs is not None
    best, labels = frames.ctc_log_probs.max(dim=2)
    columns = (labels.tolist(), best.exp().tolist(), frames.lengths.tolist())
    return [
        collapse(row[:size], confidences[:size], model.frame_shift_seconds)
        for row, confidences, size in zip(*columns, strict=True)
    ]


def collapse(labels: list[int], confidences: list[float], frame_shift: float) -> Hypothesis:
    """Make a transcript of one utterance's labels and their probabilities, one for each frame."""
    tokens, means, times = [], [], []
    end = 0
    for label, run in groupby(labels):
        start, end = end, end + len(list(run))
        if label != PAD:
            tokens.append(label)
            means.append(sum(confidences[start:end]) / (end - start))
            times.append((start * frame_shift, end * frame_shift))
    return Hypothesis(tokens, means, times)
