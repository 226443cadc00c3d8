"""What a few steps of the baseline say of a sweep's cost, on a clock of the test's and for real."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.sweeps.calibration import Calibration, calibrate
from paraformer_platform.sweeps.cost import count_parameters
from paraformer_platform.training import loop

TEN_EPOCHS = ExperimentConfig(training=replace(ExperimentConfig().training, num_epochs=10))


class TrainingOfKnownTimes:
    """A training whose steps take 2 seconds each, the first ones more, and whose decoding takes 30."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, steps_per_epoch: int) -> None:
        self.steps_per_epoch = steps_per_epoch
        self.now = 100.0
        self.steps = 0
        monkeypatch.setattr(loop, "train", self.train)
        monkeypatch.setattr(time, "perf_counter", lambda: self.now)

    def train(self, config, folder, reporter, *, on_step):
        self.now += 7.0  # reading data, building the model
        for epoch in range(config.training.num_epochs):
            for _ in range(self.steps_per_epoch):
                if self.steps % 10 == 0 and reporter.should_stop():
                    return
                self.steps += 1
                self.now += 9.0 if self.steps <= 3 else 2.0
                on_step(self.steps, self.steps_per_epoch * config.training.num_epochs)
            self.now += 30.0
            reporter.epoch_finished({"epoch": epoch + 1})
            if reporter.should_stop():
                return


def test_of_a_long_epoch_the_steps_are_measured(monkeypatch):
    training = TrainingOfKnownTimes(monkeypatch, steps_per_epoch=100)
    found = calibrate(TEN_EPOCHS, 1000)
    assert training.steps == 20
    assert (found.steps, found.with_decoding, found.seconds) == (20, False, 2.0 * 1000)


def test_of_a_short_epoch_its_decoding_too(monkeypatch):
    TrainingOfKnownTimes(monkeypatch, steps_per_epoch=8)
    found = calibrate(TEN_EPOCHS, 1000)
    assert (found.steps, found.with_decoding) == (8, True)
    assert found.seconds == 2.0 * 80 + 30.0 * 10


def test_another_variant_costs_in_proportion_to_its_parameters_and_epochs():
    made = Calibration(600.0, 12, True, "cpu", parameters=1000, epochs=10)
    longer = replace(TEN_EPOCHS, training=replace(TEN_EPOCHS.training, num_epochs=20))
    assert made.of(TEN_EPOCHS, 1000) == 600
    assert made.of(longer, 2500) == 600 * 2.5 * 2


def test_a_real_training_is_begun_and_nothing_of_it_is_kept(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_experiment(tiny_experiment).config
    found = calibrate(config, count_parameters(config))
    assert (found.steps, found.with_decoding, found.device) == (3, True, "cpu")  # 24 utterances, 8 a batch
    assert 0.0 < found.seconds < 600.0
    assert not list(Path(config.storage).glob("*"))
