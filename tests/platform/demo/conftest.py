"""A model that knows three recorded sentences by heart, so that a page which works must show them."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from paraformer.batch import collate
from paraformer.losses import TrainingObjective
from paraformer.manifest import Utterance, write_manifest
from paraformer_platform.config.conversion import config_from_dict
from paraformer_platform.training.checkpoint import Checkpoint, copied_weights, new_model, save_checkpoint
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.recogniser import Recogniser

MOST_STEPS = 800
CPU = torch.device("cpu")
SIZE = {"hidden_dim": 64, "num_heads": 2, "ffn_dim": 128, "dropout": 0.0}


@dataclass(frozen=True)
class Trained:
    """A model and what it was trained on."""

    checkpoint: Path
    utterances: list[Utterance]


@pytest.fixture(scope="session")
def trained(recorded_speech: Path, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Three sentences of about two seconds by three children; they are the model's test set too."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("demo")
    utterances = _sentences(recorded_speech / "speechocean762")
    write_manifest(folder / "test.tsv", utterances)
    config = config_from_dict(
        {
            "model": {
                "encoder": {"num_layers": 2, **SIZE},
                "predictor": {"num_layers": 1, "hidden_dim": 64, "dropout": 0.0},
                "decoder": {"num_layers": 1, **SIZE},
                "loss": {"label_smoothing": 0.0},
            },
            "data": {"folder": str(folder), "vocab_size": 40},
        }
    )
    torch.manual_seed(0)
    frontend, model = Frontend.fitted(config.data, utterances), new_model(config)
    dataset = frontend.dataset(utterances)
    batch = collate([dataset[place] for place in range(len(dataset))])
    objective = TrainingObjective(model, config.model.loss)
    optimiser = torch.optim.AdamW(model.parameters(), lr=3e-3)
    path = folder / "best.pt"
    for step in range(1, MOST_STEPS + 1):
        optimiser.zero_grad()
        objective(batch).total.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if step % 40 == 0 and _knows(
            Recogniser(model.eval(), frontend, CPU, "greedy", "fp32", 3.0, 3), utterances
        ):
            break
        model.train()
    save_checkpoint(path, Checkpoint(config, frontend.to_state(), copied_weights(model)))
    return Trained(path, utterances)


@pytest.fixture(scope="session")
def recogniser(trained: Trained) -> Recogniser:
    return Recogniser.load(trained.checkpoint)


def _sentences(folder: Path) -> list[Utterance]:
    with (folder / "manifest.tsv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if float(row["seconds"]) < 2.1][:3]
    return [Utterance(f"sentence{n}", folder / row["path"], row["text"]) for n, row in enumerate(rows)]


def _knows(recogniser: Recogniser, utterances: list[Utterance]) -> bool:
    """By heart and without doubt: what a browser makes of a recording differs by a rounding."""
    from paraformer.audio import read_audio

    found = recogniser.transcribe([read_audio(one.path) for one in utterances])
    sure = min((token.confidence for one in found for token in one.tokens), default=0.0)
    return [one.text for one in found] == [one.text for one in utterances] and sure > 0.9
