"""Checkpoints: everything a model needs to be used, and everything a training needs to go on.

A checkpoint stands alone: it holds the configuration, the tokenizer and the features' statistics beside the
weights. It is read without unpickling code (``weights_only``), so a stranger's file can do no harm.
"""

import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from paraformer.errors import CheckpointError
from paraformer.model import Paraformer
from paraformer_platform.config.conversion import config_from_dict, config_to_dict
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.storage.uri import fetched_file, is_uri
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.whole_file import whole_file

Weights = dict[str, Tensor]
FORMAT = 1
"""Version of the layout; a file of another one is refused."""


@dataclass(frozen=True)
class Checkpoint:
    """A trained model, and in a training's last checkpoint also what going on takes."""

    config: ExperimentConfig
    frontend: dict[str, Any]
    """State of tokenizer and normalisation."""
    weights: Weights
    training: dict[str, Any] | None = None
    """State of the training, on the CPU; None in checkpoints that are only for use."""


def save_checkpoint(path: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint, at once or not at all, and have it on disk."""
    content = {
        "format": FORMAT,
        "config": config_to_dict(checkpoint.config),
        "frontend": checkpoint.frontend,
        "weights": checkpoint.weights,
        "training": checkpoint.training,
    }
    with whole_file(path) as file:
        torch.save(content, file)


def load_checkpoint(path: str | Path) -> Checkpoint:
    """Read a checkpoint, from this machine or by URI.

    Raises:
        RemoteError: if a URI cannot be read.
        CheckpointError: if it is missing, damaged or no checkpoint of ours.
    """
    path = fetched_file(path) if is_uri(path) else Path(path)
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"there is no checkpoint {path}; `paraformer train` writes runs/<run-name>/checkpoints/best.pt"
        ) from error
    except IsADirectoryError as error:
        raise CheckpointError(f"{path} is a folder; name the checkpoint in it, such as best.pt") from error
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(f"{path} is damaged or no checkpoint: {reason}") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise CheckpointError(f"{path} is not a checkpoint of this program's format {FORMAT}")
    return Checkpoint(
        config_from_dict(content["config"]), content["frontend"], content["weights"], content["training"]
    )


def build_model(checkpoint: Checkpoint) -> Paraformer:
    """Make the model of a checkpoint, on the CPU, ready to be used.

    Raises:
        CheckpointError: if the weights are not of the configured model.
    """
    model = new_model(checkpoint.config)
    try:
        model.load_state_dict(checkpoint.weights)
    except RuntimeError as error:
        raise CheckpointError(f"the weights do not fit the configured model: {error}") from error
    return model.eval()


def new_model(config: ExperimentConfig) -> Paraformer:
    """Make the model of a configuration with random weights from torch's own generator."""
    sizes = {"vocab_size": config.data.vocab_size, "feature_dim": config.data.feature_dim}
    return Paraformer.from_config(config.model, **sizes)


def build_frontend(checkpoint: Checkpoint) -> Frontend:
    """Make the tokenizer and features of a checkpoint."""
    return Frontend.from_state(checkpoint.config.data, checkpoint.frontend)


def copied_weights(model: torch.nn.Module) -> Weights:
    """The weights as they are now, on the CPU; later steps do not change them."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}


def average_weights(parts: Sequence[Weights]) -> Weights:
    """Mean of some checkpoints' weights; what counts in whole numbers is taken from the first."""
    first = parts[0]
    return {
        name: torch.stack([part[name].double() for part in parts]).mean(0).to(value.dtype)
        if value.is_floating_point()
        else value
        for name, value in first.items()
    }
