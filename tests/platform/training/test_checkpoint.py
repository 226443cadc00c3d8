from pathlib import Path

import pytest
import torch

from paraformer.errors import CheckpointError
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.checkpoint import (
    Checkpoint,
    average_weights,
    build_frontend,
    build_model,
    copied_weights,
    load_checkpoint,
    new_model,
    save_checkpoint,
)
from paraformer_platform.training.corpus import read_corpus
from paraformer_platform.training.frontend import Frontend


@pytest.fixture
def checkpoint(config: ExperimentConfig) -> Checkpoint:
    frontend = Frontend.fitted(config.data, read_corpus(config.data).train)
    return Checkpoint(config, frontend.to_state(), copied_weights(new_model(config)))


def test_a_checkpoint_stands_alone(checkpoint: Checkpoint, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "best.pt", checkpoint)
    loaded = load_checkpoint(tmp_path / "best.pt")
    assert loaded.config == checkpoint.config
    weights = build_model(loaded).state_dict()
    assert all(torch.equal(weights[name], checkpoint.weights[name]) for name in weights)
    wave = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    frontend = build_frontend(loaded)
    before = Frontend.from_state(checkpoint.config.data, checkpoint.frontend)
    assert torch.equal(frontend.features(wave), before.features(wave))
    assert frontend.tokenizer.encode("one") == before.tokenizer.encode("one")
    assert [path.name for path in tmp_path.iterdir()] == ["best.pt"]


def test_weights_are_copied(config: ExperimentConfig) -> None:
    model = new_model(config)
    weights = copied_weights(model)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1.0
    assert not any(torch.equal(weights[name], value) for name, value in model.named_parameters())


def test_average() -> None:
    parts = [
        {"weight": torch.tensor([1.0, 2.0]), "count": torch.tensor(3)},
        {"weight": torch.tensor([3.0, 6.0]), "count": torch.tensor(4)},
    ]
    averaged = average_weights(parts)
    assert averaged["weight"].tolist() == [2.0, 4.0]
    assert averaged["count"].item() == 3


def test_files_that_are_no_checkpoints(checkpoint: Checkpoint, tmp_path: Path) -> None:
    with pytest.raises(
        CheckpointError, match=r"there is no checkpoint .*gone\.pt; `paraformer train` writes"
    ):
        load_checkpoint(tmp_path / "gone.pt")
    with pytest.raises(CheckpointError, match=r"is a folder; name the checkpoint in it"):
        load_checkpoint(tmp_path)
    save_checkpoint(tmp_path / "whole.pt", checkpoint)
    half = (tmp_path / "whole.pt").read_bytes()
    for content in (b"", b"no checkpoint", half[: len(half) // 2]):
        (tmp_path / "broken.pt").write_bytes(content)
        with pytest.raises(CheckpointError, match=r"broken\.pt is damaged or no checkpoint"):
            load_checkpoint(tmp_path / "broken.pt")
    torch.save({"model": 1}, tmp_path / "other.pt")
    with pytest.raises(CheckpointError, match=r"other\.pt is not a checkpoint of this program"):
        load_checkpoint(tmp_path / "other.pt")


def test_weights_of_another_model(checkpoint: Checkpoint) -> None:
    weights = dict(list(checkpoint.weights.items())[1:])
    with pytest.raises(CheckpointError, match="the weights do not fit the configured model"):
        build_model(Checkpoint(checkpoint.config, checkpoint.frontend, weights))
