"""The control without alignment: a length, and frames shared out evenly."""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.config import PredictorConfig
from paraformer.dropout import Dropout
from paraformer.predictor import EncodedFrames, Predictor

_FIRST_RATE = 0.25
"""Tokens in a frame before training, as in the CIF predictor."""


class UniformPredictor(Predictor):
    """Guesses the number of tokens from the mean of the frames, and gives each token as many frames.

    The literal "no learned alignment": against `cif` it shows what alignment is worth, the length being
    predicted in both.

    Args:
        config: Number and width of the length head's layers, dropout.
        encoder_dim: Width of the encoder, D.
        query_dim: Width of the decoder, Q.
    """

    def __init__(self, config: PredictorConfig, encoder_dim: int, query_dim: int) -> None:
        super().__init__(config, encoder_dim, query_dim)
        widths = [encoder_dim] + [config.hidden_dim] * config.num_layers
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.rate = nn.Linear(widths[-1], 1)
        nn.init.constant_(self.rate.bias, math.log(math.expm1(_FIRST_RATE)))
        self.dropout = Dropout(config.dropout)

    def weigh(self, frames: EncodedFrames) -> Tensor:
        """Weights of the frames, `(B, T)` in fp32: tokens per frame, alike in all real ones."""
        x = frames.hidden.float().sum(dim=1) / frames.lengths.clamp(min=1).unsqueeze(1)  # (B, D)
        for layer in self.layers:
            x = self.dropout(layer(x).relu())
        with torch.autocast(x.device.type, enabled=False):
            parameter = self.rate.weight
            rate = self.threshold * F.softplus(self.rate(x.to(parameter.dtype)))  # (B, 1)
            return rate * frames.mask
