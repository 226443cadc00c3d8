"""From features to transcripts: `decode(model, features, feat_lens, strategy="greedy")`."""

from paraformer.decoding.hypothesis import Hypothesis
from paraformer.decoding.n_best import n_best
from paraformer.decoding.strategy import STRATEGIES, decode, find_strategy

__all__ = ["STRATEGIES", "Hypothesis", "decode", "find_strategy", "n_best"]
