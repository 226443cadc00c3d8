"""The predictor switched off: the CTC head says where tokens are (Paraformer-v2, An et al. 2024).

Decoding, a run of frames with one most probable label is a token. In training, the runs are those of the most
probable CTC path that spells the transcript, so there are as many as it has tokens.
"""

import torch
from torch import Tensor

from paraformer.alignment import align
from paraformer.config import PredictorConfig
from paraformer.predictor import EncodedFrames, Predictor


class CtcCompressPredictor(Predictor):
    """Averages the CTC posteriors of each run of frames with one label, and drops blank frames.

    Args:
        config: Nothing of it is read but the thresholds, which must be the default ones to keep runs whole.
        vocab_size: Number of tokens with blank, V.
        query_dim: Width of the decoder, Q.
    """

    counts_tokens = False
    needs_posteriors = True

    def __init__(self, config: PredictorConfig, vocab_size: int, query_dim: int) -> None:
        super().__init__(config, vocab_size, query_dim, project=True)
        self.threshold, self.tail_threshold = 1.0, 0.5

    def weigh(self, frames: EncodedFrames) -> Tensor:
        """Weights of the frames, `(B, T)`: those of a run sum to 1, blanks have 0."""
        labels = _posteriors(frames).argmax(dim=2).masked_fill(~frames.mask, 0)
        return run_weights(labels)

    def weigh_known(self, frames: EncodedFrames, tokens: Tensor, token_lens: Tensor) -> Tensor:
        """Weights `(B, T)` by forced alignment to the transcripts.

        An utterance with fewer frames than its transcript needs has no alignment: there all frames weigh the
        same.
        """
        path = align(_posteriors(frames), frames.lengths, tokens, token_lens)
        even = frames.mask / frames.lengths.clamp(min=1).unsqueeze(1)
        return torch.where(path.feasible.unsqueeze(1), run_weights(path.slots), even)

    def values(self, frames: EncodedFrames) -> Tensor:
        """CTC posteriors, `(B, T, V)`."""
        return _posteriors(frames).exp()


def run_weights(labels: Tensor) -> Tensor:
    """Give each frame 1 / the length of its run of equal labels `(B, T)`; label 0, the blank, gets 0."""
    starts = torch.ones_like(labels, dtype=torch.bool)
    starts[:, 1:] = labels[:, 1:] != labels[:, :-1]
    run = starts.long().cumsum(dim=1) - 1  # (B, T)
    sizes = torch.zeros_like(run).scatter_add(1, run, torch.ones_like(run))
    return (1.0 / sizes.gather(1, run)).masked_fill(labels == 0, 0.0)


def _posteriors(frames: EncodedFrames) -> Tensor:
    assert frames.ctc_log_probs is not None, "the ctc_compress predictor reads CTC log-probabilities"
    return frames.ctc_log_probs
