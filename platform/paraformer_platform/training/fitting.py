"""One optimiser step after the other: losses, gradients, weights."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from paraformer.dataset import Batch
from paraformer.losses import LossOutput, TrainingObjective
from paraformer.model import Paraformer
from paraformer.recompute import recompute_layers
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.gang import joined, total_over_ranks
from paraformer_platform.training.optimiser import build_optimiser, build_schedule, clip_gradients
from paraformer_platform.training.precision import autocast, gradient_scaler

PARTS = {
    "loss": "total",
    "ce": "ce",
    "ctc": "ctc",
    "quantity": "quantity",
    "token_accuracy": "token_accuracy",
}
"""Metric to field of `LossOutput`; each is a mean over tokens."""


class Fitting:
    """A model with everything that changes its weights.

    Args:
        model: The model, on its device.
        config: The experiment.
        total_steps: Optimiser steps of the whole training, for the learning rate's schedule.
        device: Where the model is.
        world_size: Processes that train it together.
    """

    def __init__(
        self,
        model: Paraformer,
        config: ExperimentConfig,
        total_steps: int,
        device: torch.device,
        world_size: int = 1,
    ) -> None:
        self.model = model
        self.steps = 0
        self._config, self._device, self._world_size = config.training, device, world_size
        self._optimiser = build_optimiser(model, config.training)
        self._schedule = build_schedule(self._optimiser, config.training, total_steps)
        self._scaler = gradient_scaler(config.training.precision, device)
        recompute_layers(model, config.training.gradient_checkpointing)
        objective: nn.Module = TrainingObjective(model, config.model.loss)
        if config.training.compile:
            objective = cast("nn.Module", torch.compile(objective, dynamic=True))
        self._objective = joined(objective, world_size)

    @property
    def learning_rate(self) -> float:
        """What the next step takes."""
        return float(self._schedule.get_last_lr()[0])

    def step(self, group: Sequence[Batch]) -> "StepOutcome":
        """Change the weights once by the gradients of some batches, together over all processes."""
        self.model.train()
        batches = [batch.to(self._device) for batch in group]
        # The losses of a batch in which nobody speaks are those of one token, see `paraformer.losses`.
        tokens = [batch.token_lens.sum().clamp(min=1) for batch in batches]
        everywhere = total_over_ranks(torch.stack(tokens).sum(), self._world_size)
        sums: Tensor = torch.zeros(len(PARTS), device=self._device)
        for number, (batch, count) in enumerate(zip(batches, tokens, strict=True), start=1):
            with self._gradients_stay(number < len(batches)):
                output = self._forward(batch)
                share = self._world_size * count / everywhere
                self._scaler.scale(output.total * share).backward()
            sums += token_sums(output, count)
        norm = self._update()
        return StepOutcome(sums, torch.stack(tokens).sum(), norm)

    def to_state(self) -> dict[str, Any]:
        """Weights apart, all that decides the steps to come."""
        return {
            "steps": self.steps,
            "optimiser": self._optimiser.state_dict(),
            "schedule": self._schedule.state_dict(),
            "scaler": self._scaler.state_dict(),
        }

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on where `to_state` was taken."""
        self.steps = state["steps"]
        self._optimiser.load_state_dict(state["optimiser"])
        self._schedule.load_state_dict(state["schedule"])
        self._scaler.load_state_dict(state["scaler"])

    def _forward(self, batch: Batch) -> LossOutput:
        with autocast(self._config.precision, self._device):
            output: LossOutput = self._objective(batch)
        return output

    def _update(self) -> Tensor:
        self._scaler.unscale_(self._optimiser)
        norm = clip_gradients(self.model.parameters(), self._config.gradient_clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._schedule.step()
        self._optimiser.zero_grad(set_to_none=True)
        self.steps += 1
        return norm

    def _gradients_stay(self, wanted: bool) -> AbstractContextManager[object]:
        """Keep gradients in this process while more batches of the same step come."""
        if wanted and isinstance(self._objective, DistributedDataParallel):
            return self._objective.no_sync()
        return nullcontext()


@dataclass(frozen=True)
class StepOutcome:
    """What one step measured in this process, on its device."""

    sums: Tensor
    """Sum over tokens of each of `PARTS`."""
    tokens: Tensor
    gradient_norm: Tensor


def token_sums(output: LossOutput, tokens: Tensor) -> Tensor:
    """Means over so many tokens, `()`, as sums over them, `(5,)` in the order of `PARTS`."""
    means = torch.stack([getattr(output, field).detach().float() for field in PARTS.values()])
    return means * tokens
