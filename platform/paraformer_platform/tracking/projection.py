"""One trial's journal as one MLflow run, sent in batches with the journal's own timestamps, again at will.

The journal is the truth and MLflow its picture. MLflow drops a metric point that it already has with the
same timestamp, so sending twice is harmless; sending too little is mended by sending again. The one thing
that cannot be mended by sending is a journal that was cut back on a resume after its last points had been
sent: then the run is deleted and drawn anew (see ``cursor``).
"""

import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraformer_platform.tracking import names
from paraformer_platform.tracking.cursor import Cursor, load_cursor, prefix_hash
from paraformer_platform.tracking.mlflow_store import RunStore, SplitOfData, splits_of_data
from paraformer_platform.tracking.models import draw_models

if TYPE_CHECKING:
    from mlflow.entities import Metric

COMPLETED = "completed"
JOURNAL_FILE = "journal.jsonl"
ARTIFACTS = (
    "config.yaml",
    "environment.json",
    "results/test.csv",
    "results/summary.json",
)


@dataclass(frozen=True)
class TrialRecord:
    """What MLflow is told about a trial besides its journal."""

    trial_key: str
    folder: Path
    """The trial folder, which holds the journal and the results."""
    name: str
    """Display name of the run."""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Sweep, variant, seed, data, code, git commit; see ``names``."""
    params: Mapping[str, object] = field(default_factory=dict)
    """Flat resolved configuration."""
    parent_run_id: str | None = None
    keeps_models: bool = True
    """Whether the checkpoints that a completed trial has are there to stay."""


class TrialProjection:
    """Keeps the MLflow run of one trial up with its journal."""

    def __init__(self, store: RunStore, record: TrialRecord) -> None:
        self._store = store
        self.record = record
        self._cursor: Cursor | None = None

    def update(self) -> int:
        """Send what the journal holds beyond the last time; return the number of metric points sent."""
        journal = _read(self.record.folder / JOURNAL_FILE)
        cursor = self._open(journal)
        complete = journal[: journal.rfind(b"\n") + 1]
        if len(complete) <= cursor.sent:
            return 0
        announced = prefix_hash(complete, len(complete))
        assert announced is not None
        cursor = self._keep(replace(cursor, announced=len(complete), announced_hash=announced))
        points = _metric_points(_events(complete[cursor.sent :]))
        self._store.log_metrics(cursor.run_id, points)
        self._keep(replace(cursor, sent=len(complete)))
        return len(points)

    def close(
        self, state: str, attempt: int, error: str | None = None, error_kind: str | None = None
    ) -> None:
        """Send the rest, the artifacts and the final state (completed, failed or stopped)."""
        self.update()
        assert self._cursor is not None
        run_id = self._cursor.run_id
        self._store.log_artifacts(run_id, self.record.folder, ARTIFACTS)
        if state == COMPLETED and self.record.keeps_models:
            self.draw_models()
        self._store.set_tags(run_id, _final_tags(state, attempt, error, error_kind))
        self._store.terminate(run_id, names.STATUS_OF_STATE[state], self._last_time_ms())
        self._keep(replace(self._cursor, closed=state))

    def draw_models(self) -> None:
        """Make MLflow hold a model for each kept checkpoint of the trial; sends what is missing first."""
        self.update()
        assert self._cursor is not None
        record = self.record
        draw_models(
            self._store,
            self._cursor.run_id,
            record.trial_key,
            name=record.name,
            folder=record.folder,
            events=_events(_read(record.folder / JOURNAL_FILE)),
            params=record.params,
            splits=self._splits(),
        )

    def rebuild(self) -> None:
        """Delete the run, if there is one, and draw it anew from the whole journal."""
        for run in self._store.find({names.TRIAL_KEY: self.record.trial_key}):
            self._store.delete(run.info.run_id)
        self._keep(self._new_cursor(_read(self.record.folder / JOURNAL_FILE)))
        self.update()

    def repair(self) -> str:
        """Make the run hold exactly the journal's points.

        Returns:
            unchanged; completed when points were missing; rebuilt when the run held others.
        """
        self.update()
        assert self._cursor is not None
        there = self._store.metric_points(self._cursor.run_id)
        wanted = _metric_points(_events(_read(self.record.folder / JOURNAL_FILE)))
        wanted_keys = {(point.key, point.step, point.timestamp) for point in wanted}
        if there == wanted_keys:
            return "unchanged"
        if there - wanted_keys:
            self.rebuild()
            return "rebuilt"
        self._store.log_metrics(self._cursor.run_id, wanted)
        return "completed"

    @property
    def closed(self) -> str | None:
        """Final state under which the run was closed, None while it is open or was never made."""
        cursor = self._cursor or load_cursor(self.record.folder, self._store.uri)
        return cursor.closed if cursor else None

    def _open(self, journal: bytes) -> Cursor:
        if self._cursor is not None and self._cursor.still_holds(journal):
            return self._cursor
        stored = self._cursor or load_cursor(self.record.folder, self._store.uri)
        if stored is None:
            return self._keep(self._new_cursor(journal))
        if not stored.still_holds(journal):
            self._store.delete(stored.run_id)
            return self._keep(self._new_cursor(journal))
        return self._keep(self._reopened(stored, journal))

    def _reopened(self, stored: Cursor, journal: bytes) -> Cursor:
        """Go on with a run of an earlier process; one that was deleted meanwhile is made anew."""
        known = [run.info.run_id for run in self._store.find({names.TRIAL_KEY: self.record.trial_key})]
        if stored.run_id not in known:
            return self._new_cursor(journal)
        self._store.reopen(stored.run_id)
        return replace(stored, closed=None)

    def _new_cursor(self, journal: bytes) -> Cursor:
        """Find or make the run, with its parameters and tags; nothing of the journal counts as sent."""
        run = self._store.get_or_create(
            {names.TRIAL_KEY: self.record.trial_key}, self.record.name, self._tags(), _first_time_ms(journal)
        )
        run_id = run.info.run_id
        if run.info.status != names.RUNNING:
            self._store.reopen(run_id)
        self._store.log_params(run_id, self.record.params)
        self._store.log_datasets(run_id, self._splits())
        return Cursor(uri=self._store.uri, run_id=run_id)

    def _splits(self) -> list[SplitOfData]:
        return splits_of_data(self.record.params, self.record.tags.get(names.DATA, ""))

    def _tags(self) -> dict[str, str]:
        parent = {names.PARENT_RUN: self.record.parent_run_id} if self.record.parent_run_id else {}
        return {names.KIND: names.KIND_TRIAL, **self.record.tags, **parent}

    def _keep(self, cursor: Cursor) -> Cursor:
        self._cursor = cursor
        self.record.folder.mkdir(parents=True, exist_ok=True)
        cursor.save(self.record.folder)
        return cursor

    def _last_time_ms(self) -> int | None:
        times = [
            event["time_ms"]
            for event in _events(_read(self.record.folder / JOURNAL_FILE))
            if "time_ms" in event
        ]
        return max(times, default=None)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""


def _events(lines: bytes) -> list[dict[str, Any]]:
    """Parse complete journal lines; one torn by a crash is no event."""
    events = []
    for line in lines.split(b"\n"):
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if isinstance(event, dict):
            events.append(event)
    return events


def _metric_points(events: Iterable[Mapping[str, Any]]) -> "list[Metric]":
    from mlflow.entities import Metric

    return [
        Metric(key=key, value=float(value), timestamp=event["time_ms"], step=event["step"])
        for event in events
        if event.get("kind") in ("metrics", "system")
        for key, value in {**event["metrics"], **_epoch(event)}.items()
    ]


def _epoch(event: Mapping[str, Any]) -> dict[str, int]:
    """The epoch as a metric; the test's results come without one, their step has it already."""
    epoch = event.get("epoch")
    return {} if epoch is None else {"epoch": epoch}


def _first_time_ms(journal: bytes) -> int:
    times = (event["time_ms"] for event in _events(journal) if "time_ms" in event)
    return next(times, int(time.time() * 1000))


def _final_tags(state: str, attempt: int, error: str | None, error_kind: str | None) -> dict[str, str]:
    """Tags of a closed run; the error of an earlier attempt is blanked when a later one succeeds."""
    return {
        names.STATE: state,
        names.ATTEMPT: str(attempt),
        names.ERROR: error or "",
        names.ERROR_KIND: error_kind or "",
    }
