"""An epoch that is not over: what it measured so far, and the random numbers that come next.

A checkpoint within an epoch is worth its time only when a machine is about to be taken away, or a training
is told to stop. With it a training goes on at the very step: with as many processes as before it computes
what an uninterrupted one would, with more or fewer of them the same batches with other dropout masks.
"""

from typing import Any

import torch
from torch import Tensor

from paraformer_platform.training.fitting import StepOutcome
from paraformer_platform.training.gang import gathered
from paraformer_platform.training.meter import TokenMeter


class PartialEpoch:
    """What the steps of an epoch measured so far.

    Args:
        learning_rate: Of its first step.
        device: Where the measurements are kept.
        world_size: Processes that train together.
    """

    def __init__(self, learning_rate: float, device: torch.device, world_size: int = 1) -> None:
        self.learning_rate = learning_rate
        self.steps = 0
        self.meter = TokenMeter(device, world_size)
        self.norms: list[Tensor] = []
        self._device, self._world_size = device, world_size
        self._random: dict[str, Tensor] | None = None

    def add(self, outcome: StepOutcome) -> None:
        """Take note of a step."""
        self.meter.add(outcome.sums, outcome.tokens)
        self.norms.append(outcome.gradient_norm)
        self.steps += 1

    def to_state(self) -> dict[str, Any]:
        """Everything, on the CPU; every process must ask."""
        mine = {"totals": self.meter.totals.cpu(), **_random_state(self._device)}
        return {
            "learning_rate": self.learning_rate,
            "steps": self.steps,
            "norms": [norm.cpu() for norm in self.norms],
            "ranks": gathered([mine], self._world_size),
        }

    def load_state(self, state: dict[str, Any], rank: int) -> bool:
        """Go on where `to_state` was taken.

        Returns:
            Whether as many processes took it: then each goes on with its own random numbers.
        """
        self.steps, self.learning_rate = state["steps"], state["learning_rate"]
        self.norms = [norm.to(self._device) for norm in state["norms"]]
        ranks = state["ranks"]
        if len(ranks) == self._world_size:
            self.meter.totals += ranks[rank]["totals"].to(self._device)
            self._random = ranks[rank]
            return True
        if rank == 0:
            self.meter.totals += torch.stack([each["totals"] for each in ranks]).sum(0).to(self._device)
        return False

    def take_up_random_numbers(self) -> None:
        """Set torch's generators to where the checkpoint was taken; once, and nothing without a checkpoint.

        Called with the first batch at hand: a loader draws a number when it begins.
        """
        if self._random is None:
            return
        torch.set_rng_state(self._random["cpu"])
        if self._device.type == "cuda" and "cuda" in self._random:
            torch.cuda.set_rng_state(self._random["cuda"], self._device)
        self._random = None


def _random_state(device: torch.device) -> dict[str, Tensor]:
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state(device)} if device.type == "cuda" else state
