"""AdamW and its learning rate over the optimiser's steps."""

import math
from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR

from paraformer_platform.config.schema import TrainingConfig

BETAS = (0.9, 0.98)
"""As Transformers are usually trained (Vaswani et al. 2017, section 5.3)."""
MOST_WARMUP = 0.1
"""Largest share of a training that the warm-up takes, so that a short one is not all warm-up."""


def build_optimiser(model: nn.Module, config: TrainingConfig) -> AdamW:
    """AdamW; only matrices decay, biases, normalisations and other vectors do not."""
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trained if p.ndim <= 1], "weight_decay": 0.0},
    ]
    return AdamW(groups, lr=config.learning_rate, betas=BETAS, fused=True)


def build_schedule(optimiser: AdamW, config: TrainingConfig, total_steps: int) -> LambdaLR:
    """The learning rate's schedule over a training of so many optimiser steps."""
    warmup = min(config.warmup_steps, int(total_steps * MOST_WARMUP))
    return LambdaLR(optimiser, learning_rate_factor(config.schedule, warmup, total_steps))


def learning_rate_factor(schedule: str, warmup: int, total: int) -> Callable[[int], float]:
    """Share of the highest learning rate that the step after ``done`` steps takes.

    Args:
        schedule: cosine, inverse_sqrt or constant.
        warmup: Steps of linear rise.
        total: Steps of the whole training.
    """

    def factor(done: int) -> float:
        if done < warmup:
            return (done + 1) / (warmup + 1)
        if schedule == "cosine":
            share = min(1.0, (done - warmup) / max(1, total - warmup))
            return 0.5 * (1.0 + math.cos(math.pi * share))
        if schedule == "inverse_sqrt":
            return math.sqrt((warmup + 1) / (done + 1))
        return 1.0

    return factor


def clip_gradients(parameters: Iterable[nn.Parameter], most: float) -> torch.Tensor:
    """Scale all gradients together to a norm of at most ``most``; 0 only measures.

    Returns:
        The norm before, `()`.
    """
    return nn.utils.clip_grad_norm_(parameters, most or math.inf)
