"""A model with random weights as a recogniser: what is looked at here needs no training."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from paraformer.audio import read_audio
from paraformer.manifest import read_manifest
from paraformer_platform.config.load import load_experiment
from paraformer_platform.training.checkpoint import Checkpoint, copied_weights, new_model, save_checkpoint
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.recogniser import Recogniser

MakeRecogniser = Callable[..., Recogniser]


@pytest.fixture
def checkpoint(tiny_experiment: Path, tiny_corpus: Path, tmp_path: Path) -> Callable[..., Path]:
    """Writes a checkpoint of a model whose configuration is changed as told."""

    def make(*overrides: str) -> Path:
        config = load_experiment(tiny_experiment, overrides).config
        torch.manual_seed(3)
        frontend = Frontend.fitted(config.data, read_manifest(tiny_corpus / "train.tsv"))
        path = tmp_path / "best.pt"
        save_checkpoint(path, Checkpoint(config, frontend.to_state(), copied_weights(new_model(config))))
        return path

    return make


@pytest.fixture
def recogniser(checkpoint: Callable[..., Path]) -> MakeRecogniser:
    return lambda *overrides: Recogniser.load(checkpoint(*overrides))


@pytest.fixture(scope="session")
def spoken_file(tiny_corpus: Path) -> Path:
    return read_manifest(tiny_corpus / "test.tsv")[0].path


@pytest.fixture(scope="session")
def wave(spoken_file: Path) -> Tensor:
    return read_audio(spoken_file)
