"""Front ends: fewer and wider frames for the encoder.

Shapes: B batch, T feature frames (10 ms), F features of a frame, T' frames of the encoder, D width of the
encoder.

`conv4` makes one frame of four by two convolutions (40 ms); `lfr` stacks 7 frames every 6 (60 ms, no
parameters), as the large published model does.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from paraformer.errors import ConfigError
from paraformer.padding import length_mask, zero_padding


class Conv4(nn.Module):
    """Two convolutions over time, each of kernel 3 and stride 2.

    One-dimensional: the usual two-dimensional pair costs, at width 512, more than twice the six layers behind
    it.
    """

    subsampling = 4

    def __init__(self, feature_dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.output_dim = hidden_dim
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, hidden_dim, kernel_size=3, stride=2, padding=1)
            for width in (feature_dim, hidden_dim)
        )

    def forward(self, features: Tensor, feat_lens: Tensor) -> Tensor:
        """Map features `(B, T, F)` to `(B, ⌈⌈T/2⌉/2⌉, D)`."""
        x, lens = features, feat_lens
        for convolution in self.convolutions:
            x = zero_padding(x, length_mask(lens, x.shape[1]))
            x = F.relu(convolution(x.transpose(1, 2))).transpose(1, 2)
            lens = _halve(lens)
        return x

    def output_lengths(self, feat_lens: Tensor) -> Tensor:
        """Number of frames that come out for so many that go in, `(B,)`."""
        return _halve(_halve(feat_lens))


class LowFrameRate(nn.Module):
    """Stack each frame with its three neighbours on both sides and keep every sixth stack.

    At the edges the first and the last frame are repeated.
    """

    stack = 7
    subsampling = 6

    def __init__(self, feature_dim: int) -> None:
        super().__init__()
        self.output_dim = feature_dim * self.stack

    def forward(self, features: Tensor, feat_lens: Tensor) -> Tensor:
        """Map features `(B, T, F)` to `(B, ⌈T/6⌉, 7F)`."""
        batch, size, _ = features.shape
        device = features.device
        centres = (
            torch.arange((size + self.subsampling - 1) // self.subsampling, device=device) * self.subsampling
        )
        offsets = torch.arange(self.stack, device=device) - self.stack // 2
        # (B, T', 7): an utterance's own last frame is repeated, never a padded one
        last = (feat_lens - 1).clamp(min=0)[:, None, None]
        frames = torch.minimum((centres[:, None] + offsets).clamp(min=0).unsqueeze(0), last)
        return features[torch.arange(batch, device=device)[:, None, None], frames].flatten(2)

    def output_lengths(self, feat_lens: Tensor) -> Tensor:
        """Number of frames that come out for so many that go in, `(B,)`."""
        return torch.div(feat_lens + self.subsampling - 1, self.subsampling, rounding_mode="floor")


def build_front_end(name: str, feature_dim: int, hidden_dim: int) -> Conv4 | LowFrameRate:
    """Make the front end called `conv4` or `lfr`.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name == "conv4":
        return Conv4(feature_dim, hidden_dim)
    if name == "lfr":
        return LowFrameRate(feature_dim)
    raise ConfigError(f"encoder.front_end is {name!r}, but must be 'conv4' or 'lfr'")


def _halve(lengths: Tensor) -> Tensor:
    return torch.div(lengths + 1, 2, rounding_mode="floor")
