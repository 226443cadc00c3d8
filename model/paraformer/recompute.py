"""Layers that keep only their input and are computed again in the backward pass (Chen et al. 2016).

What a layer keeps for its gradients is most of a training's memory. Recomputed with the same random numbers,
so with the same dropout masks, it gives the same gradients for about a third more computing.
"""

from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint


class LayerStack(nn.ModuleList):
    """Layers of an encoder or decoder, called one by one through `run`."""

    recompute = False
    """Whether layers are computed again in the backward pass."""

    def run(self, layer: nn.Module, x: Tensor, *arguments: object) -> Tensor:
        """What a layer makes of frames or tokens `x`, `(B, T, D)`, and of its other arguments."""
        if self.recompute and self.training and torch.is_grad_enabled():
            return cast("Tensor", checkpoint(layer, x, *arguments, use_reentrant=False))
        return cast("Tensor", layer(x, *arguments))


def recompute_layers(model: nn.Module, wanted: bool = True) -> None:
    """Have all stacks of layers in a model recomputed in the backward pass, or not."""
    for module in model.modules():
        if isinstance(module, LayerStack):
            module.recompute = wanted
