"""Checkpoints within an epoch: at a stop, and at a notice that the machine goes away."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.reporter import LocalReporter

STEPS = 12
"""Of an epoch: 24 utterances, two at a time; requests are looked for at step 10."""


class Noticed(LocalReporter):
    """Is told once that its machine goes away, at the look after so many."""

    def __init__(self, at_look: int) -> None:
        super().__init__()
        self.looks_left = at_look

    def should_save(self) -> bool:
        self.looks_left -= 1
        return self.looks_left == 0


class Gone(Exception):
    pass


@pytest.fixture
def slow_epochs(config: ExperimentConfig) -> ExperimentConfig:
    """With dropout and the sampler on: every random number counts."""
    return replace(config, training=replace(config.training, batch_size=2, num_epochs=2))


@pytest.fixture
def whole(slow_epochs: ExperimentConfig, tmp_path: Path) -> Path:
    train(slow_epochs, tmp_path / "whole", LocalReporter())
    return tmp_path / "whole"


def measured(folder: Path) -> list[dict[str, float]]:
    return [
        {name: value for name, value in event["metrics"].items() if not name.startswith("cost/")}
        for event in read_journal(folder / "journal.jsonl")
        if event["kind"] == "metrics"
    ]


def states(folder: Path) -> list[tuple[str, int | None]]:
    events = read_journal(folder / "journal.jsonl")
    return [(event["state"], event.get("step")) for event in events if event["kind"] == "state"]


def test_a_training_stopped_within_an_epoch_goes_on_at_the_step(
    slow_epochs: ExperimentConfig, whole: Path, tmp_path: Path
) -> None:
    reporter = LocalReporter()

    def stop(done: int, total: int) -> None:
        if done == STEPS + 5:
            reporter.stop()

    done: list[int] = []
    stopped = train(slow_epochs, tmp_path / "run", reporter, on_step=stop)
    assert stopped.state == "stopped"
    train(slow_epochs, tmp_path / "run", LocalReporter(), on_step=lambda step, _: done.append(step))
    assert done == [STEPS + 11, STEPS + 12]  # ten of the second epoch's twelve steps were kept
    assert measured(tmp_path / "run") == measured(whole)
    weights, expected = (
        load_checkpoint(folder / "checkpoints/last.pt").weights for folder in (tmp_path / "run", whole)
    )
    assert all(torch.equal(weights[name], expected[name]) for name in expected)


def test_at_a_notice_a_checkpoint_is_written_and_training_goes_on(
    slow_epochs: ExperimentConfig, whole: Path, tmp_path: Path
) -> None:
    def vanish(done: int, total: int) -> None:
        if done == STEPS - 1:
            raise Gone

    with pytest.raises(Gone):
        train(slow_epochs, tmp_path / "run", Noticed(2), on_step=vanish)
    done: list[int] = []
    train(slow_epochs, tmp_path / "run", LocalReporter(), on_step=lambda step, _: done.append(step))
    assert done[0] == 11
    assert states(tmp_path / "run") == [
        ("started", None), ("preempted", 10), ("failed", None), ("resumed", 10), ("completed", None),
    ]  # fmt: skip
    assert measured(tmp_path / "run") == measured(whole)


def test_a_notice_before_the_first_step_of_an_epoch_needs_no_other_checkpoint(
    slow_epochs: ExperimentConfig, tmp_path: Path
) -> None:
    saved: list[Any] = []

    def look(done: int, total: int) -> None:
        saved.append((tmp_path / "run/checkpoints/last.pt").exists())

    train(slow_epochs, tmp_path / "run", Noticed(1), on_step=look)
    assert not any(saved[:STEPS])
    assert states(tmp_path / "run")[1] == ("preempted", 0)
