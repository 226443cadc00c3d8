"""Two processes that share the batch train the same model as one."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.journal import read_journal

WORKER = """
import sys
import torch.distributed as dist
from dataclasses import dataclass
from paraformer_platform.config.load import load_experiment
from paraformer_platform.training.loop import train

@dataclass
class Rank:
    rank: int
    world_size: int
    looks: int  # before it asks to stop
    def epoch_finished(self, metrics): pass
    def should_stop(self):
        self.looks -= 1
        return self.looks == 0
    def should_save(self): return False

experiment, folder, rank, size, store, looks, *overrides = sys.argv[1:]
rank, size, looks = int(rank), int(size), int(looks)
if size > 1:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
train(load_experiment(experiment, overrides).config, folder, Rank(rank, size, looks))
if size > 1:
    dist.destroy_process_group()
"""
CHANGES = [
    "training.accumulate=2",
    "model.encoder.dropout=0",
    "model.predictor.dropout=0",
    "model.decoder.dropout=0",
    "model.sampler.ratio=0",
]


NEVER = 10**6


def _train(
    experiment: Path, folder: Path, size: int, *changes: str, looks: int = NEVER
) -> list[dict[str, float]]:
    """Train on so many processes, until the so-many-th look for a request to stop."""
    workers = _start(experiment, folder, size, *CHANGES, *changes, looks=looks)
    assert [worker.wait(timeout=250) for worker in workers] == [0] * size
    return _measured(folder)


def _start(
    experiment: Path, folder: Path, size: int, *changes: str, looks: int = NEVER
) -> list[subprocess.Popen[bytes]]:
    store = folder.with_suffix(f".store{size}")
    arguments = [
        [str(experiment), str(folder), str(rank), str(size), str(store), str(looks), *changes]
        for rank in range(size)
    ]
    return [subprocess.Popen([sys.executable, "-c", WORKER, *arguments[rank]]) for rank in range(size)]


def _measured(folder: Path) -> list[dict[str, float]]:
    events = read_journal(folder / "journal.jsonl")
    return [event["metrics"] for event in events if event["kind"] == "metrics"]


def test_two_workers_give_the_curve_of_one(tiny_experiment: Path, tmp_path: Path) -> None:
    """Steps of two accumulated batches, then of one: three batches make an epoch."""
    alone = _train(tiny_experiment, tmp_path / "one", 1)
    together = _train(tiny_experiment, tmp_path / "two", 2)
    assert len(alone) == len(together) == 4
    for one, two in zip(alone[:3], together[:3], strict=True):
        assert one.keys() == two.keys()
        for name in ("train/loss", "train/gradient_norm", "dev/loss"):
            assert one[name] == pytest.approx(two[name], rel=1e-3), name
    assert together[3]["test/cer"] == pytest.approx(alone[3]["test/cer"], abs=0.05)
    rows = (tmp_path / "two" / "results" / "test.csv").read_text().splitlines()
    assert len(rows) == 1 + 7
    assert json.loads((tmp_path / "two" / "results" / "summary.json").read_text())["metrics"] == together[3]


def test_a_training_whose_workers_become_fewer_within_an_epoch_keeps_its_curve(
    tiny_experiment: Path, tmp_path: Path
) -> None:
    """12 batches an epoch, of at most 900 frames; after ten of the first epoch one worker goes on alone."""
    changes = ("training.accumulate=1", "training.batch_size=2", "training.batch_frames=900")
    alone = _train(tiny_experiment, tmp_path / "one", 1, *changes)
    _train(tiny_experiment, tmp_path / "both", 2, *changes, looks=2)
    states = [event.get("state") for event in read_journal(tmp_path / "both/journal.jsonl")]
    assert states[-1] == "stopped"
    both = _train(tiny_experiment, tmp_path / "both", 1, *changes)
    [resumed] = [
        event for event in read_journal(tmp_path / "both/journal.jsonl") if event.get("state") == "resumed"
    ]
    assert (resumed["step"], resumed["workers"]) == (10, 1)
    assert len(alone) == len(both) == 4
    for one, two in zip(alone[:3], both[:3], strict=True):
        for name in ("train/loss", "train/gradient_norm", "dev/loss"):
            assert one[name] == pytest.approx(two[name], rel=1e-3), name


def test_a_killed_gang_goes_on_to_the_same_bits(tiny_experiment: Path, tmp_path: Path) -> None:
    """With dropout and glancing on; killed in its second epoch, it ends as one that was not."""
    more = "training.num_epochs=4"
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert [worker.wait(timeout=250) for worker in _start(tiny_experiment, whole, 2, more)] == [0, 0]
    gang = _start(tiny_experiment, killed, 2, more)
    while not (killed / "checkpoints/last.pt").exists():
        assert gang[0].poll() is None
        time.sleep(0.002)
    for worker in gang:
        worker.kill()
        worker.wait()
    assert not (killed / "results/summary.json").exists()
    (tmp_path / "killed.store2").unlink()
    assert [worker.wait(timeout=250) for worker in _start(tiny_experiment, killed, 2, more)] == [0, 0]
    assert "resumed" in (killed / "journal.jsonl").read_text()
    curves = [
        [{name: value for name, value in one.items() if name[:4] != "cost"} for one in _measured(folder)]
        for folder in (whole, killed)
    ]
    assert curves[0] == curves[1]
    for name in ("best.pt", "last.pt"):
        one, two = (load_checkpoint(folder / "checkpoints" / name).weights for folder in (whole, killed))
        assert all(torch.equal(one[key], two[key]) for key in one)
