"""What the parallel strategies share: one pass through the model, and lists made of its tensors.

Shapes: B batch, T feature frames, F features of a frame, U tokens, V vocabulary.
"""

from dataclasses import dataclass

from torch import Tensor

from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.timestamps import token_times
from paraformer.model import Paraformer, never_pad


@dataclass(frozen=True)
class Answer:
    """The decoder's opinion of a batch."""

    log_probs: Tensor
    """Of each token at each position, independent of each other, `(B, U, V)`; PAD is impossible."""
    lengths: Tensor
    """Number of tokens, `(B,)`."""
    times: Tensor
    """Start and end of each, `(B, U, 2)` in seconds."""

    def hypotheses(self, chosen: Tensor) -> list[Hypothesis]:
        """Transcripts of the tokens chosen at the positions, `(B, U)`."""
        probabilities = self.log_probs.gather(2, chosen.unsqueeze(2)).squeeze(2).exp()
        columns = (chosen.tolist(), probabilities.tolist(), self.times.tolist(), self.lengths.tolist())
        return [
            Hypothesis(tokens[:size], confidences[:size], [(start, end) for start, end in times[:size]])
            for tokens, confidences, times, size in zip(*columns, strict=True)
        ]


def ask(
    model: Paraformer, features: Tensor, feat_lens: Tensor | None, oracle_lens: Tensor | None = None
) -> Answer:
    """Run a model with a parallel decoder.

    Args:
        model: The model, in eval mode.
        features: `(B, T, F)`.
        feat_lens: Number of real frames, `(B,)`; all of them if none.
        oracle_lens: True number of tokens, `(B,)`, to be used instead of the predicted one.

    Raises:
        ConfigError: if the decoder is autoregressive.
    """
    frames = model.encode_frames(features, feat_lens)
    logits, queries = model.answer(frames, model.weigh(frames), oracle_lens)
    times = token_times(queries.fired, model.frame_shift_seconds)
    return Answer(never_pad(logits).log_softmax(dim=2), queries.lengths, times)
