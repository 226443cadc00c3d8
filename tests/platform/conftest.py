"""A corpus of spoken digits small enough to train on within a test, and an experiment on it."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from paraformer.synthesis import synthesise
from paraformer_platform.config.recipe import load_recipe

RECIPE = """
name: tiny
seed: 5
grammar: {start: string, rules: {string: ["<digit>[1,2]"], digit: [one, two, three]}}
splits:
  train: {utterances: 24, voices: [en-us+m1, en-gb+f1, en-us+f2]}
  dev: {utterances: 6, voices: [en-us+m3]}
  test: {utterances: 7, voices: [en-gb+f4]}
"""

EXPERIMENT = """
model:
  encoder: {{num_layers: 1, hidden_dim: 32, num_heads: 2, ffn_dim: 64}}
  predictor: {{num_layers: 1, hidden_dim: 32}}
  decoder: {{num_layers: 1, hidden_dim: 32, num_heads: 2, ffn_dim: 64}}
data: {{folder: {folder}, vocab_size: 40}}
training: {{batch_size: 8, num_epochs: 3, learning_rate: 1e-3}}
"""


@pytest.fixture(scope="session")
def tiny_corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of train.tsv, dev.tsv and test.tsv with 37 utterances."""
    folder = tmp_path_factory.mktemp("corpus")
    recipe = folder / "tiny.yaml"
    recipe.write_text(RECIPE)
    return synthesise(load_recipe(recipe), folder / "tiny")


@pytest.fixture(scope="session")
def tiny_experiment(tiny_corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Experiment file of a model that trains an epoch on it in a fraction of a second."""
    path = tmp_path_factory.mktemp("experiment") / "tiny.yaml"
    path.write_text(EXPERIMENT.format(folder=tiny_corpus))
    return path


@pytest.fixture(scope="session")
def untrained(tiny_experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Checkpoint of that model with random weights: it writes something into every sound."""
    import torch

    from paraformer_platform.config.load import load_experiment
    from paraformer_platform.training.checkpoint import Checkpoint, copied_weights, new_model, save_checkpoint
    from paraformer_platform.training.corpus import read_corpus
    from paraformer_platform.training.frontend import Frontend

    config = load_experiment(tiny_experiment).config
    torch.manual_seed(3)
    frontend = Frontend.fitted(config.data, read_corpus(config.data).train)
    path = tmp_path_factory.mktemp("untrained") / "best.pt"
    save_checkpoint(path, Checkpoint(config, frontend.to_state(), copied_weights(new_model(config))))
    return path


class Disk:
    """A small file system of its own, which can be filled up and made read-only."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir()
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))

    def fill(self, but: int = 0) -> None:
        """Leave so many bytes free."""
        free = os.statvfs(self.folder)
        (self.folder / "filler").write_bytes(b"x" * max(0, free.f_bavail * free.f_bsize - but))

    def empty(self) -> None:
        (self.folder / "filler").unlink()

    def make_read_only(self) -> None:
        """From now on nothing can be opened for writing; root too is refused."""
        mount("--bind", str(self.folder), str(self.folder))
        mount("-o", "remount,bind,ro", str(self.folder))

    def make_writable(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def remove(self) -> None:
        while os.path.ismount(self.folder):
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a file system of its own takes root: {done.stderr.strip()}")


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Make a small file system; the test is skipped where that is not allowed."""
    disks: list[Disk] = []

    def make(size: str) -> Disk:
        disks.append(Disk(tmp_path / f"disk-{len(disks)}", size))
        return disks[-1]

    yield make
    for disk in disks:
        disk.remove()
