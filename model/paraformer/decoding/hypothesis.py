"""What decoding makes of an utterance."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Hypothesis:
    """A transcript with what is known of each token."""

    tokens: list[int]
    """Token numbers, never PAD; BOS and EOS only where a model was trained to write them."""
    confidences: list[float]
    """Probability of each token, between 0 and 1, in the model's own opinion."""
    times: list[tuple[float, float]] | None
    """Start and end of each token in seconds from the first feature; None from an autoregressive decoder."""
