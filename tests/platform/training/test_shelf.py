"""Which epochs' weights are on disk while a training runs and after it, and that they are those epochs'."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.reporter import LocalReporter
from paraformer_platform.training.shelf import Retention, prune
from paraformer_platform.training.trial_folder import TrialFolder


@pytest.fixture(scope="module")
def config(tiny_experiment: Path) -> ExperimentConfig:
    return load_experiment(tiny_experiment).config


@pytest.fixture(scope="module")
def kept(config: ExperimentConfig, tmp_path_factory: pytest.TempPathFactory) -> tuple[TrialFolder, dict]:
    """A training that was interrupted once, and the weights of each epoch as they were then."""
    place = TrialFolder(tmp_path_factory.mktemp("shelf"))
    weights: dict[int, dict[str, torch.Tensor]] = {}
    for stops_after in (1, 99):

        class Watching(LocalReporter):
            def epoch_finished(self, metrics, stops_after=stops_after):
                weights[int(metrics["epoch"])] = load_checkpoint(place.last_checkpoint).weights
                if metrics["epoch"] == stops_after:
                    self.stop()

        train(config, place.path, Watching(), retention=Retention(latest=2, best=2))
    return place, weights


def scores(place: TrialFolder) -> dict[int, float]:
    events = read_journal(place.journal)
    return {event["epoch"]: event["metrics"]["dev/cer"] for event in events if event.get("epoch")}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


def test_every_kept_epoch_holds_its_own_weights(kept):
    place, weights = kept
    ranked = sorted(scores(place), key=lambda epoch: (scores(place)[epoch], epoch))
    prune(place, Retention(latest=2, best=2))
    prune(place, Retention(latest=2, best=2))
    expected = {ranked[1], 2}  # the second best and the last but one; the first ones have their own names
    files = {int(path.stem[6:]): path for path in place.checkpoints.glob("epoch-*.pt")}
    assert set(files) == expected
    assert all(same(load_checkpoint(path).weights, weights[epoch]) for epoch, path in files.items())
    assert same(load_checkpoint(place.best_checkpoint).weights, weights[ranked[0]])
    assert same(load_checkpoint(place.last_checkpoint).weights, weights[3])


def test_a_training_keeps_one_best_and_one_last_file_unless_more_is_asked(config, tmp_path):
    place = TrialFolder(tmp_path)
    train(config, tmp_path, LocalReporter())
    assert {path.name for path in place.checkpoints.iterdir()} == {"best.pt", "last.pt"}


def test_a_best_file_of_an_epoch_that_was_taken_back_is_put_right(config, tmp_path):
    """On a GPU an epoch that a crash took back may come out otherwise; best.pt is then of no epoch."""
    place, straight = TrialFolder(tmp_path / "crashed"), TrialFolder(tmp_path / "straight")

    class Crashing(LocalReporter):
        def epoch_finished(self, metrics):
            place.best_checkpoint.write_bytes(b"of an epoch that never was")

    train(replace(config, training=replace(config.training, num_epochs=1)), place.path, Crashing())
    train(replace(config, training=replace(config.training, num_epochs=1)), straight.path, LocalReporter())
    assert same(
        load_checkpoint(place.best_checkpoint).weights, load_checkpoint(straight.best_checkpoint).weights
    )
