"""A few real steps of the baseline, from which the cost of a sweep is guessed before any trial has ended.

The steps are those of a real training, on this machine, in a folder that is thrown away. If they make a whole
epoch, its decoding of the dev set is in; of a longer epoch only steps are measured, and the result says so.
Other variants are taken to cost in proportion to their parameters and epochs. That is a guess: attention over
long utterances, decoding, and a machine with other work make it wrong by some tens of percent.
"""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.passwords import without_passwords

Seconds = float
STEPS = 12
"""Steps that are measured at most, about; a training looks for a request to stop every ten."""
WARM_UP = 2
"""First steps, which are slower and are left out where there are more."""


@dataclass(frozen=True)
class Calibration:
    """What a training of the baseline would take on this machine."""

    seconds: Seconds
    """Time of the whole training."""
    steps: int
    """Steps that were run for it."""
    with_decoding: bool
    """Whether the decoding of the dev set after each epoch is in it."""
    device: str
    """What it ran on."""
    parameters: int
    """Of the baseline's model."""
    epochs: int
    """Of the baseline's training."""

    def of(self, config: ExperimentConfig, parameters: int) -> Seconds:
        """Guess the time of another variant.

        Args:
            config: Its configuration.
            parameters: Parameters of its model.
        """
        return self.seconds * parameters / self.parameters * config.training.num_epochs / self.epochs


def calibrate(config: ExperimentConfig, parameters: int) -> Calibration:
    """Run a few steps of a training.

    Args:
        config: The baseline's configuration.
        parameters: Parameters of its model.

    Raises:
        ParaformerError: Whatever would be wrong with the training itself.
    """
    import torch

    from paraformer_platform.training.gang import device_of_rank
    from paraformer_platform.training.loop import train
    from paraformer_platform.training.reporter import LocalReporter

    torch.set_num_threads(max(1, round(config.resources.cpus_per_worker)))
    ends: list[Seconds] = []
    epoch_ends: list[Seconds] = []
    total_steps = 0

    def epoch_finished(metrics: Mapping[str, float]) -> None:
        epoch_ends.append(time.perf_counter())
        reporter.stop()

    def step_finished(done: int, total: int) -> None:
        nonlocal total_steps
        total_steps = total
        ends.append(time.perf_counter())
        if done >= STEPS:
            reporter.stop()

    reporter = LocalReporter(epoch_finished)
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        train(without_passwords(config), folder, reporter, on_step=step_finished)
    each = _seconds_per_step(begun, ends)
    seconds = each * total_steps
    if epoch_ends:
        seconds += (epoch_ends[0] - ends[-1]) * config.training.num_epochs
    return Calibration(
        seconds=seconds,
        steps=len(ends),
        with_decoding=bool(epoch_ends),
        device=device_of_rank().type,
        parameters=parameters,
        epochs=config.training.num_epochs,
    )


def _seconds_per_step(begun: Seconds, ends: list[Seconds]) -> Seconds:
    """Return the median time between two ends of steps, after the warm-up if there are enough."""
    pauses = [later - earlier for earlier, later in pairwise(ends)]
    return median(pauses[WARM_UP:] or pauses or [ends[0] - begun])
