"""The predictor of the Paraformer: a learned weight for each frame."""

import math
from itertools import pairwise

import torch
from torch import Tensor, nn

from paraformer.config import PredictorConfig
from paraformer.dropout import Dropout
from paraformer.padding import zero_padding
from paraformer.predictor import EncodedFrames, Predictor

_FIRST_WEIGHT = 0.25
"""Weight of every frame before training: four 40 ms frames a token, in the range of speech."""


class CifPredictor(Predictor):
    """Convolutions over three frames, then one weight between 0 and 1 for each.

    Source: Gao et al. 2022, arXiv:2206.08317.

    Args:
        config: Number and width of the convolutions, thresholds, dropout.
        encoder_dim: Width of the encoder, D.
        query_dim: Width of the decoder, Q.
    """

    def __init__(self, config: PredictorConfig, encoder_dim: int, query_dim: int) -> None:
        super().__init__(config, encoder_dim, query_dim)
        widths = [encoder_dim] + [config.hidden_dim] * config.num_layers
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size=3, padding=1) for before, after in pairwise(widths)
        )
        self.weight = nn.Linear(widths[-1], 1)
        nn.init.constant_(self.weight.bias, math.log(_FIRST_WEIGHT / (1 - _FIRST_WEIGHT)))
        self.dropout = Dropout(config.dropout)

    def weigh(self, frames: EncodedFrames) -> Tensor:
        """Weights of the frames, `(B, T)` in fp32; 0 at padding."""
        x, mask = frames.hidden, frames.mask
        for convolution in self.convolutions:
            # A convolution looks across the end: what it sees there must not depend on the batch.
            x = convolution(zero_padding(x, mask).transpose(1, 2)).transpose(1, 2)
            x = self.dropout(x.relu())
        with torch.autocast(x.device.type, enabled=False):  # in bf16 a sum of 300 weights is off by .1
            parameter = self.weight.weight
            return self.weight(x.to(parameter.dtype)).squeeze(2).sigmoid().masked_fill(~mask, 0.0)
