"""A trial once more from what MLflow kept of it: does it give the same result?

Nothing is written to MLflow or to the ledger; the trial's key has its one result already.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from paraformer_platform.config.conversion import config_from_dict
from paraformer_platform.config.identity import code_version
from paraformer_platform.config.load import read_yaml
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import TrackingError
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore

MEASURED = ("cost/", "train/seconds")
"""Beginnings of metrics that are measured, not computed: they differ from run to run."""


@dataclass(frozen=True)
class KeptTrial:
    """What MLflow kept of a trial."""

    run_id: str
    trial_key: str
    config: ExperimentConfig
    metrics: Mapping[str, float]
    """Last value of every metric."""
    code_version: str | None


def fetch_trial(store: RunStore, run_id: str, folder: Path) -> KeptTrial:
    """Read a trial back from MLflow.

    Args:
        store: The tracking store.
        run_id: The trial's run.
        folder: Where the configuration is downloaded to.

    Raises:
        TrackingError: There is no such run, or it is no trial, or its configuration was not kept.
    """
    from mlflow.exceptions import MlflowException

    try:
        run = store.client.get_run(run_id)
        _check_trial(run_id, run.data.tags)
        folder.mkdir(parents=True, exist_ok=True)
        path = store.client.download_artifacts(run_id, "config.yaml", str(folder))
    except (MlflowException, OSError) as error:
        raise TrackingError(
            f"run {run_id} of {store.uri} holds no trial that can be run again: {str(error).splitlines()[0]}"
        ) from error
    tags = run.data.tags
    config = config_from_dict(read_yaml(Path(path))[0])
    return KeptTrial(run_id, tags[names.TRIAL_KEY], config, run.data.metrics, tags.get(names.CODE))


def _check_trial(run_id: str, tags: Mapping[str, str]) -> None:
    if names.TRIAL_KEY not in tags:
        raise TrackingError(
            f"run {run_id} is not a trial; give the run of a variant and seed, not of a sweep"
        )


def train_again(
    trial: KeptTrial, folder: Path, on_step: Callable[[int, int], None] | None = None
) -> dict[str, float]:
    """Train a kept trial in a folder of its own, and return its final metrics.

    Args:
        trial: What MLflow kept.
        folder: Where to train; an interrupted training there is gone on with.
        on_step: Told how many optimiser steps are done, and of how many.
    """
    from paraformer_platform.training.loop import train
    from paraformer_platform.training.reporter import LocalReporter

    config = replace(trial.config, resources=replace(trial.config.resources, workers=1))
    return dict(train(config, folder, LocalReporter(), on_step=on_step).metrics)


def differences(trial: KeptTrial, again: Mapping[str, float]) -> dict[str, tuple[float, float]]:
    """Return kept and new value of every final metric that differs, measured times and costs apart."""
    return {
        name: (trial.metrics[name], value)
        for name, value in again.items()
        if not name.startswith(MEASURED) and name in trial.metrics and trial.metrics[name] != value
    }


def same_code(trial: KeptTrial) -> bool:
    """Tell whether the code that trained the trial is the code that would train it now."""
    return trial.code_version == code_version()
