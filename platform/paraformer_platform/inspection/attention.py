"""What every head of an encoder layer looks at in one recording.

Shapes: H heads, T encoder frames.
"""

from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from paraformer.attention import RecordsWeights, record_attention
from paraformer.errors import ConfigError
from paraformer_platform.inspection.picture import RAMP, style, write_picture
from paraformer_platform.training.precision import autocast
from paraformer_platform.training.recogniser import Recogniser

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Seconds = float

_MOST_COLUMNS = 4
_PANEL_INCHES = 2.6
_FULL_COLOUR = 0.995
"""Quantile of the weights that has the brightest colour: one sharp peak would leave all else black."""


@dataclass(frozen=True)
class AttentionMap:
    """The attention of one layer to one recording."""

    weights: Tensor
    """`(H, T, T)` in fp32 on the CPU: row t says how much frame t takes from every frame, and sums to 1."""
    frame_shift: Seconds
    """From one frame to the next."""
    layer: int

    @property
    def reach(self) -> list[Seconds]:
        """How far each head looks: the mean distance between a frame and what it takes from."""
        frame = torch.arange(self.weights.shape[1], dtype=self.weights.dtype)
        distance = (frame[:, None] - frame[None, :]).abs()  # (T, T)
        per_head = (self.weights * distance).sum(dim=2).mean(dim=1) * self.frame_shift
        return [float(seconds) for seconds in per_head]


@torch.no_grad()
def observe_attention(recogniser: Recogniser, wave: Tensor, layer: int) -> AttentionMap:
    """Run the encoder over a recording and keep the attention weights of one of its layers.

    Args:
        recogniser: The model.
        wave: Samples `(N,)` at the recogniser's rate.
        layer: Which layer, from 0.

    Raises:
        ConfigError: if there is no such layer, or its attention keeps no weights.
    """
    attention = _attention_of(recogniser, layer)
    features = recogniser.frontend.features(wave).to(recogniser.device)
    with record_attention(recogniser.model), autocast(recogniser.precision, recogniser.device):
        recogniser.model.encode_frames(features.unsqueeze(0))
    weights = attention.get_weights()[0].float().cpu()
    return AttentionMap(weights, recogniser.model.frame_shift_seconds, layer)


def draw_attention(seen: AttentionMap, path: Path) -> None:
    """Draw every head side by side: from top to bottom the frames that look, from left to right what at.

    Raises:
        ConfigError: if the path's ending names no picture format.
    """
    with style():
        write_picture(_figure(seen), path)


def _attention_of(recogniser: Recogniser, layer: int) -> RecordsWeights:
    layers = recogniser.model.encoder.layers
    if not 0 <= layer < len(layers):
        raise ConfigError(f"there is no layer {layer}: the encoder has layers 0 to {len(layers) - 1}")
    attention = layers[layer].attention
    if not isinstance(attention, RecordsWeights):
        raise ConfigError(
            f"layer {layer} has the attention {type(attention).__name__}, which keeps no weights; "
            "only full, local and what derives from paraformer.attention.SelfAttention can be drawn"
        )
    return attention


def _figure(seen: AttentionMap) -> "Figure":
    from matplotlib.figure import Figure

    heads = len(seen.weights)
    columns = min(heads, _MOST_COLUMNS)
    rows = ceil(heads / columns)
    figure = Figure(figsize=(_PANEL_INCHES * columns, _PANEL_INCHES * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    for head, axes in enumerate(panels.flat):
        if head < heads:
            _draw_head(seen, head, axes)
        else:
            axes.set_visible(False)
    figure.supxlabel("looked at, seconds", fontsize=9)
    figure.supylabel("looking, seconds", fontsize=9)
    figure.suptitle(f"encoder layer {seen.layer}: attention of its {heads} heads", x=0.01, ha="left")
    return figure


def _draw_head(seen: AttentionMap, head: int, axes: "Axes") -> None:
    weights = seen.weights[head]
    end = weights.shape[0] * seen.frame_shift
    brightest = float(weights.flatten().kthvalue(max(1, int(_FULL_COLOUR * weights.numel()))).values)
    axes.imshow(weights.numpy(), cmap=RAMP, vmin=0.0, vmax=brightest, extent=(0.0, end, end, 0.0))
    axes.set_title(f"head {head}, reaches {1000 * seen.reach[head]:.0f} ms")
