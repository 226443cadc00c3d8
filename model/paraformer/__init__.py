"""The Paraformer speech recogniser: network, tokenizers, features, data and decoding.

The names below are loaded when they are first used, so that `import paraformer` takes no time.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from paraformer.cif import integrate_and_fire
    from paraformer.config import ModelConfig
    from paraformer.dataset import AudioDataset
    from paraformer.decoding import Hypothesis, decode
    from paraformer.losses import TrainingObjective
    from paraformer.model import Paraformer
    from paraformer.tokenizer import CharTokenizer
    from paraformer.toy import ToySeq2SeqDataset

_HOMES = {
    "AudioDataset": "dataset",
    "CharTokenizer": "tokenizer",
    "Hypothesis": "decoding",
    "ModelConfig": "config",
    "Paraformer": "model",
    "ToySeq2SeqDataset": "toy",
    "TrainingObjective": "losses",
    "decode": "decoding",
    "integrate_and_fire": "cif",
}

__all__ = [
    "AudioDataset",
    "CharTokenizer",
    "Hypothesis",
    "ModelConfig",
    "Paraformer",
    "ToySeq2SeqDataset",
    "TrainingObjective",
    "decode",
    "integrate_and_fire",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
