import json
from pathlib import Path

import pytest
import torch

from paraformer_platform.config.load import load_experiment
from paraformer_platform.training import machine_load
from paraformer_platform.training.journal import Journal, read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.machine_load import MachineLoad
from paraformer_platform.training.reporter import LocalReporter

CPU = torch.device("cpu")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def system_steps(path: Path) -> list[int]:
    return [event["step"] for event in read_journal(path) if event["kind"] == "system"]


def test_values_are_those_of_the_machine():
    import psutil

    clock = Clock()
    load = MachineLoad(CPU, clock)
    clock.now = 2.0
    [(time_ms, values)] = load.take()
    memory = psutil.virtual_memory()
    assert time_ms > 1.7e12
    assert 0 <= values["system/cpu_utilization_percentage"] <= 100
    assert values["system/system_memory_usage_megabytes"] == pytest.approx(memory.used / 1e6, rel=0.3)
    assert 0 < values["system/system_memory_usage_percentage"] < 100


def test_short_epochs_are_not_sampled_every_time():
    clock = Clock()
    load = MachineLoad(CPU, clock)
    taken = []
    for now in (0.2, 0.9, 1.1, 1.5, 2.2):
        clock.now = now
        taken.append(len(load.take()))
    assert taken == [0, 0, 1, 0, 1]


def test_long_epochs_are_sampled_within(monkeypatch):
    monkeypatch.setattr(machine_load, "INTERVAL", 0.01)
    clock = Clock()
    with MachineLoad(CPU, clock) as load:
        samples = []
        while len(samples) < 3:
            samples += load.take()
    assert len(samples) >= 3


def test_samples_are_numbered_through_the_journal_and_cut_back_with_what_is_computed_again(tmp_path):
    path = tmp_path / "journal.jsonl"
    sample = (1, {"system/cpu_utilization_percentage": 1.0})
    journal = Journal(path)
    journal.system([sample, sample])
    journal.metrics(10, 1, {})
    size = journal.size
    journal.system([sample])
    journal.metrics(20, 2, {})
    assert system_steps(path) == [0, 1, 2]
    again = Journal(path)  # the checkpoint knows only the first epoch
    again.cut_back(size)
    assert system_steps(path) == [0, 1]
    again.system([sample])
    again.system([])
    assert system_steps(path) == [0, 1, 2]


def test_a_training_samples_and_a_resume_numbers_on(tiny_experiment, tmp_path, monkeypatch):
    monkeypatch.setattr(machine_load, "LEAST_PAUSE", 0.0)
    config = load_experiment(tiny_experiment).config

    class StopsAfterTwo(LocalReporter):
        def epoch_finished(self, metrics):
            if metrics["epoch"] == 2:
                self.stop()

    train(config, tmp_path, StopsAfterTwo())
    train(config, tmp_path, LocalReporter())
    assert system_steps(tmp_path / "journal.jsonl") == [0, 1, 2]
    kinds = [json.loads(line)["kind"] for line in (tmp_path / "journal.jsonl").read_text().splitlines()]
    assert kinds.count("metrics") == 4
