"""A corpus of spoken digits small enough to train on within a test, and an experiment on it."""

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
