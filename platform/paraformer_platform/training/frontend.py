"""What stands between recordings and the network: features, their normalisation, and the tokenizer.

It is fitted to the training set once, and lies in every checkpoint beside the weights.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from paraformer.augment import AugmentConfig
from paraformer.dataset import SpeechDataset
from paraformer.features import FeatureExtractor, GlobalCmvn
from paraformer.manifest import Utterance
from paraformer.tokenizer import Tokenizer, make_tokenizer, tokenizer_from_state
from paraformer_platform.config.schema import DataConfig


@dataclass(frozen=True)
class Frontend:
    """Features, normalisation and tokenizer of one model."""

    extractor: FeatureExtractor
    tokenizer: Tokenizer
    cmvn: GlobalCmvn | None
    """None where features are not normalised."""

    @classmethod
    def fitted(cls, data: DataConfig, train: Sequence[Utterance]) -> "Frontend":
        """Make the front end of a configuration, with vocabulary and statistics of the training set."""
        extractor = FeatureExtractor(data.feature_config)
        texts = [utterance.text for utterance in train]
        tokenizer = make_tokenizer(data.tokenizer, texts, data.vocab_size)
        plain = SpeechDataset(train, tokenizer, extractor, memory_bytes=0)
        return cls(extractor, tokenizer, plain.estimate_cmvn() if data.cmvn else None)

    @classmethod
    def from_state(cls, data: DataConfig, state: Mapping[str, Any]) -> "Frontend":
        """Make the front end that `to_state` described."""
        cmvn = None if state["cmvn"] is None else GlobalCmvn.from_state(state["cmvn"])
        tokenizer = tokenizer_from_state(state["tokenizer"])
        return cls(FeatureExtractor(data.feature_config), tokenizer, cmvn)

    def to_state(self) -> dict[str, Any]:
        """Tokenizer and statistics as plain values and tensors, for a checkpoint."""
        cmvn = None if self.cmvn is None else self.cmvn.to_state()
        return {"tokenizer": self.tokenizer.to_state(), "cmvn": cmvn}

    def dataset(
        self, utterances: Sequence[Utterance], augment: AugmentConfig | None = None, seed: int = 0
    ) -> SpeechDataset:
        """Recordings as this model hears them."""
        return SpeechDataset(
            utterances, self.tokenizer, self.extractor, cmvn=self.cmvn, augment=augment, seed=seed
        )

    def features(self, wave: Tensor) -> Tensor:
        """Samples `(N,)` at the configured rate as normalised features `(T, F)`."""
        features: Tensor = self.extractor(wave)
        return features if self.cmvn is None else self.cmvn.apply(features)
