from collections.abc import Mapping
from pathlib import Path

import pytest

from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.reporter import LocalReporter


@pytest.fixture
def config(tiny_experiment: Path) -> ExperimentConfig:
    """Three epochs of three steps."""
    return load_experiment(tiny_experiment).config


class StoppingReporter(LocalReporter):
    """Asks to stop once so many epochs are done."""

    def __init__(self, after: int) -> None:
        super().__init__(self._count)
        self.after = after
        self.seen: list[Mapping[str, float]] = []

    def _count(self, metrics: Mapping[str, float]) -> None:
        self.seen.append(metrics)
        if len(self.seen) == self.after:
            self.stop()


@pytest.fixture
def stopping() -> type[StoppingReporter]:
    return StoppingReporter
