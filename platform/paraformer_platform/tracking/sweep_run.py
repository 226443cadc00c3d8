"""The parent run of a sweep: its plan, its lock file and, later, its report."""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.whole_file import write_whole

PARENT_FILE = "mlflow_parent.json"
ARTIFACT_FOLDER = "sweep"


class SweepRun:
    """One parent run per sweep folder, found again by the folder's note of it, else by name and plan."""

    def __init__(self, store: RunStore, name: str, plan_hash: str, folder: Path) -> None:
        self._store = store
        self._name = name
        self._plan_hash = plan_hash
        self._folder = folder
        self.run_id = ""

    def open(self, tags: Mapping[str, str]) -> str:
        """Find or make the run, mark it RUNNING and return its id."""
        identity = {names.KIND: names.KIND_SWEEP, names.SWEEP: self._name, names.PLAN: self._plan_hash}
        self.run_id = self._noted() or self._create(identity, tags)
        self._store.reopen(self.run_id)
        self._store.set_tags(self.run_id, {**tags, **identity})
        note = {"uri": self._store.uri, "run_id": self.run_id}
        write_whole(self._folder / PARENT_FILE, json.dumps(note) + "\n")
        return self.run_id

    def _create(self, identity: Mapping[str, str], tags: Mapping[str, str]) -> str:
        run = self._store.get_or_create(identity, self._name, tags, int(time.time() * 1000))
        return str(run.info.run_id)

    def _noted(self) -> str | None:
        """Return the run that the sweep folder remembers, if this store still has it."""
        try:
            note = json.loads((self._folder / PARENT_FILE).read_text())
        except (OSError, ValueError):
            return None
        if note.get("uri") != self._store.uri:
            return None
        mine = self._store.find({names.KIND: names.KIND_SWEEP, names.SWEEP: self._name})
        return next((str(run.info.run_id) for run in mine if run.info.run_id == note.get("run_id")), None)

    def log_files(self, files: Sequence[Path]) -> None:
        """Upload the sweep's own files under ``sweep/``."""
        for path in files:
            if path.is_file():
                self._store.client.log_artifact(self.run_id, str(path), ARTIFACT_FOLDER)

    def close(self, status: str) -> None:
        """Close the run, if it was opened, with MLflow's status FINISHED, FAILED or KILLED."""
        if self.run_id:
            self._store.terminate(self.run_id, status)
