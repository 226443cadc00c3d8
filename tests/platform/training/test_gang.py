"""Two processes that share the batch train the same model as one."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
    def epoch_finished(self, metrics): pass
    def should_stop(self): return False

experiment, folder, rank, size, store, *overrides = sys.argv[1:]
rank, size = int(rank), int(size)
if size > 1:
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
train(load_experiment(experiment, overrides).config, folder, Rank(rank, size))
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


def _train(experiment: Path, folder: Path, size: int) -> list[dict[str, float]]:
    store = folder.with_suffix(".store")
    arguments = [[str(experiment), str(folder), str(rank), str(size), str(store)] for rank in range(size)]
    workers = [
        subprocess.Popen([sys.executable, "-c", WORKER, *arguments[rank], *CHANGES]) for rank in range(size)
    ]
    assert [worker.wait(timeout=120) for worker in workers] == [0] * size
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
