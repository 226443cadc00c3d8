"""Reading from an MLflow tracking store, in as few requests as it allows."""

import logging
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlparse

from paraformer_analysis import names
from paraformer_analysis.errors import AnalysisError

RUNS_PER_PAGE = 1000
READERS = 8
"""Artifacts and histories read at a time; a server answers several at once."""


class TrackingStore:
    """The runs, metrics and artifacts of one MLflow store.

    Raises:
        AnalysisError: there is no store at this address, or it does not answer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        _require_database(uri)
        for key in ("MLFLOW_DISABLE_TELEMETRY", "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"):
            os.environ.setdefault(key, "true")
        # MLflow's own seven retries let a wrong address be waited for over four minutes.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")
        logging.getLogger("alembic").setLevel(logging.ERROR)
        from mlflow import MlflowClient

        self.client = MlflowClient(tracking_uri=uri)

    @cached_property
    def experiment_ids(self) -> list[str]:
        """Ids of all experiments that are not deleted.

        Raises:
            AnalysisError: the store does not answer.
        """
        try:
            return [str(experiment.experiment_id) for experiment in self.client.search_experiments()]
        except Exception as error:  # MLflow raises whatever its back end raises
            reason = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise AnalysisError(
                f"the MLflow store {self.uri} cannot be read: {reason}. "
                "Give another with --tracking-uri or MLFLOW_TRACKING_URI, or start its server"
            ) from error

    def find_sweep(self, name: str) -> Any:
        """Return the newest parent run of the sweep with this name or run id.

        Raises:
            AnalysisError: no such sweep; lists those that the store holds.
        """
        sweeps = list(self.search(self.experiment_ids, f"tags.`{names.KIND}` = 'sweep'"))
        found = [run for run in sweeps if name in (run.data.tags.get(names.SWEEP), run.info.run_id)]
        if not found:
            known = sorted({run.data.tags.get(names.SWEEP, run.info.run_id) for run in sweeps})
            raise AnalysisError(
                f"no sweep named {name!r} in {self.uri}{_nearest(name, known)}; "
                f"it holds {', '.join(known) or 'no sweeps at all'}. "
                "Check the name, or point --tracking-uri at the store that the sweep wrote to"
            )
        return max(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def find_trial(self, name: str) -> Any:
        """Return the trial run with this run id, run name or display name, the newest of several.

        Raises:
            AnalysisError: no such run.
        """
        labels = (names.RUN_NAME, names.DISPLAY_NAME, names.TRIAL_KEY)
        trials = list(self.search(self.experiment_ids, f"tags.`{names.KIND}` = 'trial'"))
        found = [
            run
            for run in trials
            if name == run.info.run_id or name in [run.data.tags.get(key) for key in labels]
        ]
        if not found:
            known = {run.data.tags[key] for run in trials for key in labels[:2] if run.data.tags.get(key)}
            raise AnalysisError(
                f"no trial {name!r} in {self.uri}{_nearest(name, sorted(known))}; "
                "give an MLflow run id, or a run's name as MLflow shows it"
            )
        return max(found, key=lambda run: (run.info.start_time, run.info.run_id))

    def trials(self, experiment_id: str) -> list[Any]:
        """Return all trial runs of an experiment, the oldest first."""
        runs = self.search([experiment_id], f"tags.`{names.KIND}` = 'trial'")
        return sorted(runs, key=lambda run: (run.info.start_time, run.info.run_id))

    def search(self, experiment_ids: Sequence[str], wanted: str) -> Iterator[Any]:
        """Yield the runs that match a filter, page by page."""
        token: str | None = None
        while experiment_ids:
            page = self.client.search_runs(
                list(experiment_ids), wanted, max_results=RUNS_PER_PAGE, page_token=token
            )
            yield from page
            token = page.token
            if not token:
                return

    def artifact(self, run: Any, path: str) -> bytes | None:
        """Return the bytes of one artifact, None if the run has none of that path."""
        local = _local_folder(run.info.artifact_uri)
        if local is not None:
            file = local / path
            return file.read_bytes() if file.is_file() else None
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory() as folder:
            try:
                return Path(self.client.download_artifacts(run.info.run_id, path, folder)).read_bytes()
            except (MlflowException, OSError):
                return None

    def artifacts(self, runs: Iterable[Any], path: str) -> list[bytes | None]:
        """Return the same artifact of many runs, in their order."""
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(lambda run: self.artifact(run, path), runs))

    def histories(self, runs: Sequence[Any], metric: str) -> list[list[Any]]:
        """Return every point of one metric for each run, in their order."""
        with ThreadPoolExecutor(READERS) as pool:
            return list(pool.map(lambda run: self.client.get_metric_history(run.info.run_id, metric), runs))

    def log_folder(self, run_id: str, folder: Path, artifact_path: str) -> None:
        """Upload a folder's files to a run."""
        self.client.log_artifacts(run_id, str(folder), artifact_path)


def _nearest(name: str, known: Sequence[str]) -> str:
    """Return a question after the known name that is spelt nearest, if one is near."""
    found = get_close_matches(name, known, n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def _require_database(uri: str) -> None:
    """Refuse an SQLite file that is not there: MLflow would make an empty one and find nothing in it."""
    if uri.startswith("sqlite:///") and not Path(uri.removeprefix("sqlite:///")).is_file():
        raise AnalysisError(
            f"there is no MLflow store at {uri}; run a sweep first, or point --tracking-uri or "
            "MLFLOW_TRACKING_URI at the store that it wrote to"
        )


def _local_folder(artifact_uri: str) -> Path | None:
    """Return the folder of artifacts that lie on this machine: they are read without MLflow's copying."""
    parsed = urlparse(artifact_uri)
    if parsed.scheme == "file":
        return Path(unquote(parsed.path))
    return Path(artifact_uri) if not parsed.scheme else None
