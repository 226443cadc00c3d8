"""Disks that are full or read-only in the middle of a training: a clear word, and it goes on bit for bit."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import StorageError
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.journal import Journal, read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.reporter import LocalReporter
from paraformer_platform.training.trial_folder import TrialFolder


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    return [
        (event["step"], {name: value for name, value in event["metrics"].items() if name[:4] != "cost"})
        for event in read_journal(folder / "journal.jsonl")
        if event["kind"] == "metrics"
    ]


class After(LocalReporter):
    """Does something once so many epochs are done."""

    def __init__(self, epochs: int, action: Callable[[], None]) -> None:
        super().__init__(self._count)
        self._left, self._action = epochs, action

    def _count(self, metrics: object) -> None:
        self._left -= 1
        if self._left == 0:
            self._action()


@pytest.fixture
def whole(config: ExperimentConfig, tmp_path: Path) -> Path:
    train(config, tmp_path / "whole", LocalReporter())
    return tmp_path / "whole"


@pytest.mark.parametrize("room", [0, 16_384], ids=["no room at all", "room for the journal"])
def test_a_disk_that_is_full_for_a_while(config, whole, make_disk, room):
    disk = make_disk("8m")
    trial = disk.folder / "trial"
    with pytest.raises(StorageError, match="cannot be written: the disk is full; free some space"):
        train(config, trial, After(1, lambda: disk.fill(but=room)))
    assert [step for step, _ in measured(trial)][:1] == [3]
    assert load_checkpoint(TrialFolder(trial).last_checkpoint).training["epoch"] == 1
    disk.empty()
    train(config, trial, LocalReporter())
    assert measured(trial) == measured(whole)
    weights = [load_checkpoint(TrialFolder(folder).best_checkpoint).weights for folder in (trial, whole)]
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[1])
    assert not list(trial.rglob("*.partial"))


def test_a_disk_that_is_read_only_for_a_while(config, whole, make_disk):
    disk = make_disk("8m")
    trial = disk.folder / "trial"
    with pytest.raises(StorageError, match="cannot be written: the storage is read-only"):
        train(config, trial, After(1, disk.make_read_only))
    disk.make_writable()
    train(config, trial, LocalReporter())
    assert measured(trial) == measured(whole)


def test_a_journal_on_a_full_disk_keeps_whole_lines(make_disk):
    disk = make_disk("64k")
    journal = Journal(disk.folder / "journal.jsonl")
    journal.metrics(1, 1, {"dev/loss": 1.0})
    disk.fill()
    for step in range(2, 400):
        try:
            journal.metrics(step, step, {"dev/loss": 1.0})
        except StorageError as error:
            assert "the disk is full" in str(error)  # noqa: PT017
            break
    else:
        pytest.fail("the disk took everything")
    disk.empty()
    Journal(journal.path).metrics(step, step, {"dev/loss": 1.0})
    assert [event["step"] for event in read_journal(journal.path)] == list(range(1, step + 1))
