"""One MLflow tracking store and experiment: runs found by what they are, created from one process only.

MLflow has no unique key for runs: two processes that search and then create make two runs. So the driver of
a sweep is the only one that creates, and every creation is followed by a second look that deletes the
younger of two.
"""

import json
import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraformer_platform.errors import TrackingError
from paraformer_platform.passwords import without_password
from paraformer_platform.storage.uri import only_one
from paraformer_platform.tracking import names

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModel, Metric, Run

PARAMS_PER_REQUEST = 100
METRICS_PER_REQUEST = 1000
PARAM_CHARACTERS = 6000
TAG_CHARACTERS = 8000
DIGEST_CHARACTERS = 36
RUNS_PER_PAGE = 1000

QUIET_MLFLOW = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    # A server that is down is noticed in seconds; what was not sent stays in the journals.
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}


def resolve_tracking_uri(explicit: str | None, storage: str | Path) -> str:
    """Choose the tracking store: what was asked for, MLFLOW_TRACKING_URI, or SQLite in the storage folder."""
    chosen = explicit or os.environ.get("MLFLOW_TRACKING_URI")
    if chosen:
        return chosen
    return f"sqlite:///{Path(storage).resolve() / 'mlflow.db'}"


@dataclass(frozen=True)
class SplitOfData:
    """A manifest that a run used."""

    context: str
    """training, validation or test: MLflow's words for what it was used for."""
    name: str
    """Path of the manifest."""
    digest: str
    """Beginning of the fingerprint of the corpus, which covers every transcript and recording."""


def splits_of_data(params: Mapping[str, object], fingerprint: str) -> list[SplitOfData]:
    """Return the manifests of a run.

    Args:
        params: Its flat configuration; without one there are no manifests.
        fingerprint: Fingerprint of its corpus.
    """
    used = {"training": "data.train", "validation": "data.dev", "test": "data.test"}
    folder, digest = str(params.get("data.folder", "")), fingerprint[:DIGEST_CHARACTERS]
    return [
        SplitOfData(context, f"{folder}/{params[key]}", digest)
        for context, key in used.items()
        if key in params
    ]


class RunStore:
    """The runs of one experiment in one tracking store.

    Raises:
        TrackingError: the store cannot be opened; names the address and the remedy.
    """

    def __init__(self, uri: str, experiment: str) -> None:
        self.uri = uri
        self.experiment = experiment
        with _one_at_a_time(uri):
            self.client = _open_client(uri)
            self.experiment_id = self._find_or_create_experiment()

    def _find_or_create_experiment(self) -> str:
        with reachable(self.uri):
            found = self.client.get_experiment_by_name(self.experiment)
            if found is None:
                return str(
                    self.client.create_experiment(self.experiment, artifact_location=_artifact_root(self.uri))
                )
            if found.lifecycle_stage == "deleted":
                self.client.restore_experiment(found.experiment_id)
            return str(found.experiment_id)

    def find(self, tags: Mapping[str, str]) -> "list[Run]":
        """Return the runs that carry all these tags, the oldest first."""
        wanted = " and ".join(f"tags.`{key}` = '{value}'" for key, value in tags.items())
        return sorted(self._search(wanted), key=lambda run: (run.info.start_time, run.info.run_id))

    def trial_runs(self) -> "dict[str, Run]":
        """Return the run of every trial of the experiment by its trial_key."""
        runs: dict[str, Run] = {}
        for run in self.find({names.KIND: names.KIND_TRIAL}):
            runs.setdefault(run.data.tags[names.TRIAL_KEY], run)
        return runs

    def _search(self, wanted: str) -> "Iterator[Run]":
        token: str | None = None
        while True:
            page = self.client.search_runs(
                [self.experiment_id], wanted, max_results=RUNS_PER_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def get_or_create(
        self, identity: Mapping[str, str], name: str, tags: Mapping[str, str], start_ms: int
    ) -> "Run":
        """Return the one run with these identifying tags, made now if there is none.

        Args:
            identity: Tags that no second run may carry.
            name: Display name of a new run.
            tags: Further tags of a new run.
            start_ms: Start time of a new run, milliseconds since 1970.
        """
        if not self.find(identity):
            labels = {key: value[:TAG_CHARACTERS] for key, value in {**tags, **identity}.items()}
            self.client.create_run(self.experiment_id, start_time=start_ms, tags=labels, run_name=name)
        return self.remove_duplicates(identity)

    def remove_duplicates(self, identity: Mapping[str, str]) -> "Run":
        """Delete all but the oldest run with these tags and return that one."""
        oldest, *younger = self.find(identity)
        for run in younger:
            self.client.set_tag(run.info.run_id, names.DUPLICATE_OF, oldest.info.run_id)
            self.client.delete_run(run.info.run_id)
        return oldest

    def log_params(self, run_id: str, params: Mapping[str, object]) -> None:
        """Log parameters in as few requests as MLflow allows; the same values again change nothing."""
        from mlflow.entities import Param

        entries = [Param(key, str(value)[:PARAM_CHARACTERS]) for key, value in params.items()]
        for start in range(0, len(entries), PARAMS_PER_REQUEST):
            self.client.log_batch(run_id, params=entries[start : start + PARAMS_PER_REQUEST])

    def log_metrics(self, run_id: str, metrics: "Sequence[Metric]") -> None:
        """Log metric points in as few requests as MLflow allows; points sent before are dropped by MLflow."""
        for start in range(0, len(metrics), METRICS_PER_REQUEST):
            self.client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_REQUEST])

    def metric_points(self, run_id: str) -> set[tuple[str, int, int]]:
        """Return key, step and timestamp of every metric point of a run."""
        keys = self.client.get_run(run_id).data.metrics
        histories = (self.client.get_metric_history(run_id, key) for key in keys)
        return {(point.key, point.step, point.timestamp) for history in histories for point in history}

    def log_datasets(self, run_id: str, datasets: "Sequence[SplitOfData]") -> None:
        """Name the data of a run; the same again changes nothing."""
        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.utils.mlflow_tags import MLFLOW_DATASET_CONTEXT

        inputs = [
            DatasetInput(
                Dataset(item.name, item.digest, source_type="local", source=json.dumps({"uri": item.name})),
                tags=[InputTag(MLFLOW_DATASET_CONTEXT, item.context)],
            )
            for item in datasets
        ]
        if inputs:
            self.client.log_inputs(run_id, datasets=inputs)

    def models(self, trial_key: str) -> "list[LoggedModel]":
        """Return the models of a trial, the oldest first."""
        wanted = f"tags.`{names.TRIAL_KEY}` = '{trial_key}'"
        found = self.client.search_logged_models([self.experiment_id], filter_string=wanted)
        return sorted(found, key=lambda model: (model.creation_timestamp, model.model_id))

    def set_tags(self, run_id: str, tags: Mapping[str, str]) -> None:
        """Set tags in one request."""
        from mlflow.entities import RunTag

        self.client.log_batch(
            run_id, tags=[RunTag(key, value[:TAG_CHARACTERS]) for key, value in tags.items()]
        )

    def log_artifacts(self, run_id: str, folder: Path, files: Sequence[str]) -> None:
        """Upload those of the files (relative to folder) that exist, each under its own relative path."""
        for relative in files:
            path = folder / relative
            if path.is_file():
                parent = str(Path(relative).parent)
                self.client.log_artifact(run_id, str(path), None if parent == "." else parent)

    def reopen(self, run_id: str) -> None:
        """Mark a run as RUNNING again."""
        self.client.update_run(run_id, status=names.RUNNING)

    def terminate(self, run_id: str, status: str, end_ms: int | None = None) -> None:
        """Close a run with MLflow's status FINISHED, FAILED or KILLED."""
        self.client.set_terminated(run_id, status=status, end_time=end_ms)

    def delete(self, run_id: str) -> None:
        """Delete a run."""
        self.client.delete_run(run_id)


@contextmanager
def reachable(uri: str) -> Iterator[None]:
    """Within it a store that does not answer is told of as such.

    Raises:
        TrackingError: the store failed; names the address and the remedy.
    """
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise TrackingError(_unreachable(uri, error)) from error


def _open_client(uri: str) -> "MlflowClient":
    for key, value in QUIET_MLFLOW.items():
        os.environ.setdefault(key, value)
    logging.getLogger("alembic").setLevel(logging.ERROR)
    import mlflow

    logging.getLogger("mlflow").setLevel(logging.ERROR)
    # It prints the traceback of every error that it raises as well.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    _make_sqlite_folder(uri)
    try:
        return mlflow.MlflowClient(tracking_uri=uri)
    except Exception as error:  # MLflow raises whatever its back end raises
        raise TrackingError(_unreachable(uri, error)) from error


def _one_at_a_time(uri: str) -> AbstractContextManager[None]:
    """Let one process make a SQLite store: MLflow's own making of tables breaks when two begin at once."""
    path = _sqlite_path(uri)
    return nullcontext() if path is None else only_one(path)


def _make_sqlite_folder(uri: str) -> None:
    path = _sqlite_path(uri)
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrackingError(_unreachable(uri, error)) from error


def _sqlite_path(uri: str) -> Path | None:
    return Path(uri.removeprefix("sqlite:///")) if uri.startswith("sqlite:///") else None


def _artifact_root(uri: str) -> str | None:
    """Keep artifacts beside a SQLite store (MLflow would take the current folder); a server knows its own."""
    path = _sqlite_path(uri)
    return None if path is None else (path.resolve().parent / "mlartifacts").as_uri()


def _unreachable(uri: str, error: Any) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"the MLflow store {without_password(uri)} cannot be opened: {without_password(reason)}. "
        "Give another one with --tracking-uri or MLFLOW_TRACKING_URI, or start its server"
    )
