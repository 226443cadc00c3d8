"""A trial's kept checkpoints as MLflow LoggedModels: weights, parameters and what was measured of them.

A LoggedModel stands for a file: ``best.pt``, or another epoch that the sweep keeps. The weights are its
artifact; of a file above `MOST_BYTES` it holds a reference by path, since a copy of every large model in the
artifact store would double what a sweep takes. ``last.pt`` is there to go on from and is no model.

MLflow makes a model in several requests. One that a killed writer left half made is not READY; it is deleted
and made again, so drawing twice, or once more after any crash, ends with one model per file.
"""

import json
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import PARAM_CHARACTERS, RunStore, SplitOfData

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Metric

MEGABYTE = 2**20
MOST_BYTES = 64 * MEGABYTE
"""Larger checkpoints are referred to, not copied."""
REFERENCE_FILE = "checkpoint.json"
MODEL_TYPE = "paraformer"
BEST = "best"
LAST = "last"
READY = "READY"
FORBIDDEN = str.maketrans(dict.fromkeys("/:.%\"'", "_"))
"""Characters that MLflow takes in no model's name."""
SPLIT_OF_METRIC = {"dev": "validation", "test": "test"}

Events = Sequence[Mapping[str, Any]]


def draw_models(
    store: RunStore,
    run_id: str,
    trial_key: str,
    *,
    name: str,
    folder: Path,
    events: Events,
    params: Mapping[str, object],
    splits: Iterable[SplitOfData] = (),
) -> None:
    """Make MLflow hold one model for each kept checkpoint of a trial, and no other of this trial.

    Args:
        store: The tracking store.
        run_id: The trial's run.
        trial_key: The trial.
        name: What people call the trial.
        folder: The trial's folder.
        events: Its journal.
        params: Its flat configuration.
        splits: Its manifests, for the metrics measured on them.
    """
    files = {path.stem: path for path in (folder / "checkpoints").glob("*.pt") if path.stem != LAST}
    for model in store.models(trial_key):
        stem = model.tags.get(names.CHECKPOINT, "")
        whole = str(model.status) == READY and model.source_run_id == run_id
        if whole and files.pop(stem, None) is not None:
            continue  # as it should be; a second one of the same file finds it taken
        store.client.delete_logged_model(model.model_id)
    datasets = {split.context: split for split in splits}
    for stem, path in sorted(files.items()):
        measured = _measured(stem, events, params)
        model = store.client.create_logged_model(
            store.experiment_id,
            name=f"{name} {stem}".translate(FORBIDDEN),
            source_run_id=run_id,
            tags={names.TRIAL_KEY: trial_key, names.CHECKPOINT: stem, names.CHECKPOINT_PATH: str(path)},
            params={key: str(value)[:PARAM_CHARACTERS] for key, value in params.items()},
            model_type=MODEL_TYPE,
        )
        _fill(store, run_id, model, path, _points(measured, model.model_id, datasets))


def _fill(store: RunStore, run_id: str, model: "LoggedModel", path: Path, points: "list[Metric]") -> None:
    """Give a new model its metrics and weights; READY comes last."""
    from mlflow.entities import LoggedModelOutput

    store.log_metrics(run_id, points)
    if path.stat().st_size <= MOST_BYTES:
        store.client.log_model_artifact(model.model_id, str(path))
    else:
        with tempfile.TemporaryDirectory() as folder:
            reference = Path(folder) / REFERENCE_FILE
            reference.write_text(json.dumps({"path": str(path.resolve()), "bytes": path.stat().st_size}))
            store.client.log_model_artifact(model.model_id, str(reference))
    step = max((point.step for point in points), default=0)
    store.client.log_outputs(run_id, [LoggedModelOutput(model.model_id, step)])
    store.client.finalize_logged_model(model.model_id, READY)


def _measured(stem: str, events: Events, params: Mapping[str, object]) -> list[Mapping[str, Any]]:
    """Return the events that measured the weights of a checkpoint."""
    epochs = [event for event in events if event.get("epoch") is not None]
    if stem != BEST:
        return [event for event in epochs if stem == f"epoch-{event['epoch']:04d}"]
    tested = [event for event in events if event.get("kind") == "metrics" and event.get("epoch") is None]
    selection = str(params.get("training.selection", ""))
    ranked = [event for event in epochs if selection in event["metrics"]]
    if not ranked or params.get("training.average_checkpoints", 1) != 1:
        return tested  # averaged weights are not those of any epoch
    return [min(ranked, key=lambda event: (event["metrics"][selection], event["epoch"])), *tested]


def _points(
    measured: Iterable[Mapping[str, Any]], model_id: str, datasets: Mapping[str, SplitOfData]
) -> "list[Metric]":
    """Return the run's own metric points once more, as the model's: to the run they are known already."""
    from mlflow.entities import Metric

    points = []
    for event in measured:
        for key, value in event["metrics"].items():
            split = datasets.get(SPLIT_OF_METRIC.get(key.partition("/")[0], ""))
            dataset = {"dataset_name": split.name, "dataset_digest": split.digest} if split else {}
            points.append(Metric(key, float(value), event["time_ms"], event["step"], model_id, **dataset))
    return points
