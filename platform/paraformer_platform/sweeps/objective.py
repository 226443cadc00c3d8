"""What a search chooses by: the sweep's metric, and of a test score its dev score.

A test score that chose anything is no test score any more, so a sweep about ``test/wer`` searches, and picks
what it confirms, by ``dev/wer`` of the epoch whose weights are tested.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.early_stop import judged_metric
from paraformer_platform.sweeps.settings import MetricConfig


@dataclass(frozen=True)
class Objective:
    """A metric and which way is better."""

    name: str
    """Name of the metric, never one of the test set."""
    goal: str
    """minimize or maximize."""

    @classmethod
    def of(cls, metric: MetricConfig) -> "Objective":
        """Return what a sweep about this metric chooses by."""
        return cls(judged_metric(metric.name), metric.goal)

    @property
    def worst(self) -> float:
        """The worst value there is."""
        return math.inf if self.goal == "minimize" else -math.inf

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the value of a trial, the worst there is for NaN.

        Raises:
            SweepError: The trial has no such metric.
        """
        if self.name not in metrics:
            known = ", ".join(sorted(metrics)) or "none"
            raise SweepError(
                f"metric {self.name}, which the search chooses by, is not among the trial's metrics: {known}"
            )
        value = float(metrics[self.name])
        return self.worst if math.isnan(value) else value

    def best(self, values: Iterable[float]) -> float:
        """Return the best of some values."""
        return min(values) if self.goal == "minimize" else max(values)

    def reaches(self, value: float, target: float) -> bool:
        """Tell whether a value is at least as good as a target."""
        return value <= target if self.goal == "minimize" else value >= target

    def badness(self, value: float) -> float:
        """Return the value as something that is the lower the better."""
        return value if self.goal == "minimize" else -value
