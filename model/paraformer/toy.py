"""A task that needs no audio: sequences of tokens drawn as features, to try a model on within seconds."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from paraformer.batch import TutorialItem
from paraformer.tokenizer import NUM_SPECIAL, Tokenizer

LEAST_FRAMES, MOST_FRAMES = 12, 16
"""Frames of one token: at least three encoder frames of 40 ms, room for CTC's blank between equal tokens."""
PAUSE_FRAMES = 4
"""Frames of silence that end each token."""
NOISE = 0.3
"""Standard deviation of the noise on patterns whose root mean square is 1."""


class ToySeq2SeqDataset(Dataset[TutorialItem]):
    """Random sentences whose every token has a spectral pattern of its own, held for 120–160 ms with a pause.

    A model can learn it perfectly, but not from lengths alone: durations vary. Every item is a pure function
    of the arguments and its index.

    Args:
        num_samples: Number of items.
        tokenizer: Its ordinary tokens are used, not the special ones.
        max_feat_len: Most frames of an item.
        max_token_len: Most tokens of an item.
        feature_dim: Features per frame, F.
        seed: Of the sentences; the patterns of tokens are the same for every seed.
    """

    def __init__(
        self,
        num_samples: int,
        tokenizer: Tokenizer,
        max_feat_len: int = 300,
        max_token_len: int = 60,
        feature_dim: int = 80,
        seed: int = 0,
    ) -> None:
        self._num_samples = num_samples
        self._seed = seed
        self._most_tokens = max(1, min(max_token_len, max_feat_len // MOST_FRAMES))
        patterns = np.random.default_rng(0).standard_normal((tokenizer.vocab_size, feature_dim))
        level = np.sqrt((patterns**2).mean(axis=1, keepdims=True))
        self._patterns = (patterns / level).astype(np.float32)

    def __len__(self) -> int:
        return self._num_samples

    def __getitem__(self, index: int) -> TutorialItem:
        """Features `(T, F)`, tokens `(U,)`, T, U."""
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of a data set of {len(self)}")
        rng = np.random.default_rng((self._seed, index))
        count = rng.integers(1, self._most_tokens + 1)
        tokens = rng.integers(NUM_SPECIAL, len(self._patterns), count)
        features = self._draw(tokens, rng)
        return features, torch.from_numpy(tokens), len(features), len(tokens)

    def _draw(self, tokens: np.ndarray, rng: np.random.Generator) -> Tensor:
        durations = rng.integers(LEAST_FRAMES, MOST_FRAMES + 1, len(tokens))
        features = np.repeat(self._patterns[tokens], durations, axis=0)  # (T, F)
        ends = np.cumsum(durations)
        features[(ends[:, None] - np.arange(1, PAUSE_FRAMES + 1)).ravel()] = 0.0
        noise = rng.standard_normal(features.shape, dtype=np.float32)
        return torch.from_numpy(features + NOISE * noise)
