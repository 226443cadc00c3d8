"""One utterance as tensors, and several of them padded to a batch.

Shapes: B utterances, T frames, F mel bins, U tokens. Tokens carry neither BOS nor EOS.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paraformer.tokenizer import PAD

TutorialItem = tuple[Tensor, Tensor, int, int]
"""features `(T, F)`, tokens `(U,)`, T, U."""


class Item(NamedTuple):
    """One utterance as tensors."""

    features: Tensor
    """`(T, F)`, float32."""
    tokens: Tensor
    """`(U,)`, int64."""
    feat_len: int
    """T."""
    token_len: int
    """U."""
    id: str
    """The utterance's name."""


@dataclass(frozen=True)
class Batch:
    """Padded utterances."""

    features: Tensor
    """`(B, T, F)`, float32, zeros beyond `feat_lens`."""
    feat_lens: Tensor
    """Frames of each, `(B,)`, int64."""
    tokens: Tensor
    """`(B, U)`, int64, PAD beyond `token_lens`."""
    token_lens: Tensor
    """Tokens of each, `(B,)`, int64."""
    ids: list[str]
    """Name of each."""

    def __len__(self) -> int:
        return len(self.ids)

    def to(self, device: torch.device | str) -> Self:
        """The same batch on a device."""
        moved = {name: getattr(self, name).to(device, non_blocking=True) for name in _TENSORS}
        return replace(self, **moved)

    def pin_memory(self) -> Self:
        """The same batch in page-locked memory; a `DataLoader` asks for it."""
        return replace(self, **{name: getattr(self, name).pin_memory() for name in _TENSORS})


_TENSORS = ("features", "feat_lens", "tokens", "token_lens")


def collate(items: Sequence[Item | TutorialItem]) -> Batch:
    """Pad utterances to a batch.

    Args:
        items: Items of any data set of this module; those without a name get their place in the batch.
    """
    return Batch(
        features=pad_sequence([item[0] for item in items], batch_first=True),
        feat_lens=torch.tensor([item[2] for item in items]),
        tokens=pad_sequence([item[1] for item in items], batch_first=True, padding_value=PAD),
        token_lens=torch.tensor([item[3] for item in items]),
        ids=[item.id if isinstance(item, Item) else str(place) for place, item in enumerate(items)],
    )
