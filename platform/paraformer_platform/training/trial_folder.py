"""The folder of one trial.

::

    config.yaml           resolved configuration
    identity.json         trial_key and the fingerprints it is made of
    environment.json      source, versions, processor, accelerator
    journal.jsonl         what happened, see ``journal``
    train.log             the same for people
    checkpoints/          last.pt, best.pt, and the epochs that are averaged
    results/test.csv      one row per test utterance
    results/summary.json  final metrics; written last, so its presence means: completed
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from paraformer.errors import ConfigError
from paraformer_platform.config.conversion import config_to_dict
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.whole_file import write_whole


@dataclass(frozen=True)
class Identity:
    """Which training a folder holds."""

    trial_key: str
    data_fingerprint: str
    code_version: str


@dataclass(frozen=True)
class TrialFolder:
    """Paths within the folder of a trial."""

    path: Path

    @property
    def config(self) -> Path:
        """Resolved configuration."""
        return self.path / "config.yaml"

    @property
    def identity(self) -> Path:
        """The trial's key and what it is made of."""
        return self.path / "identity.json"

    @property
    def environment(self) -> Path:
        """Where it ran."""
        return self.path / "environment.json"

    @property
    def journal(self) -> Path:
        """What happened."""
        return self.path / "journal.jsonl"

    @property
    def log(self) -> Path:
        """What happened, for people."""
        return self.path / "train.log"

    @property
    def checkpoints(self) -> Path:
        """Folder of the checkpoints."""
        return self.path / "checkpoints"

    @property
    def last_checkpoint(self) -> Path:
        """Where a resumed training goes on."""
        return self.checkpoints / "last.pt"

    @property
    def best_checkpoint(self) -> Path:
        """The model to use."""
        return self.checkpoints / "best.pt"

    @property
    def test_rows(self) -> Path:
        """One row per test utterance."""
        return self.path / "results" / "test.csv"

    @property
    def summary(self) -> Path:
        """Final metrics."""
        return self.path / "results" / "summary.json"

    def claim(self, identity: Identity, config: ExperimentConfig) -> None:
        """Make the folder this training's, or find that it is.

        Raises:
            ConfigError: if it holds another training.
        """
        held = self.held_identity()
        if held is not None and held.trial_key != identity.trial_key:
            raise ConfigError(_other_training(self.path, held, identity))
        self.path.mkdir(parents=True, exist_ok=True)
        if held is None:
            write_whole(self.identity, json.dumps(vars(identity), indent=1) + "\n")
        write_whole(self.config, OmegaConf.to_yaml(OmegaConf.create(config_to_dict(config))))

    def held_identity(self) -> Identity | None:
        """Which training the folder holds, if any."""
        try:
            return Identity(**json.loads(self.identity.read_text()))
        except FileNotFoundError:
            return None

    def stored_metrics(self) -> dict[str, float] | None:
        """Final metrics of a completed training, None of any other."""
        try:
            summary: dict[str, Any] = json.loads(self.summary.read_text())
        except FileNotFoundError:
            return None
        metrics: dict[str, float] = summary["metrics"]
        return metrics

    def complete(self, trial_key: str, metrics: Mapping[str, float]) -> None:
        """Write the final metrics, which makes the trial completed."""
        summary = {"trial_key": trial_key, "metrics": dict(metrics)}
        write_whole(self.summary, json.dumps(summary, indent=1) + "\n")


def _other_training(path: Path, held: Identity, asked: Identity) -> str:
    parts = {
        "data": (held.data_fingerprint, asked.data_fingerprint),
        "code": (held.code_version, asked.code_version),
    }
    changed = [name for name, (before, now) in parts.items() if before != now] or ["configuration"]
    return (
        f"{path} holds training {held.trial_key}, but training {asked.trial_key} was asked for "
        f"(changed: {' and '.join(changed)}); choose another --run-name, or remove that folder first"
    )
