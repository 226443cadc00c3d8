"""The one writer to MLflow: a thread of the driver that follows the journals of all running trials.

Training never waits for MLflow. When the store does not answer, the thread notes it and tries again; the
journals hold everything meanwhile. What could not be sent by the end is sent by ``paraformer sync``.
"""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType

from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.tracking.projection import TrialProjection, TrialRecord

logger = logging.getLogger(__name__)

Seconds = float
Action = Callable[[str, TrialProjection], bool]
"""Does something with a trial's run; tells whether MLflow was spoken to."""
UPDATE_INTERVAL: Seconds = 5.0
"""Pause between two looks at a trial's journal, and so the most requests: one per trial in this time."""


@dataclass(frozen=True)
class Ending:
    """How a trial ended, for its MLflow run."""

    state: str
    """completed, failed or stopped."""
    attempt: int
    error: str | None = None
    error_kind: str | None = None


class TrackingWriter:
    """Writes the runs of a sweep (or of one trial) from a thread of its own.

    Use as a context manager; leaving it sends the rest, waiting at most ``patience`` seconds.
    """

    def __init__(
        self, store: RunStore, *, interval: Seconds = UPDATE_INTERVAL, patience: Seconds = 30.0
    ) -> None:
        self._store = store
        self._interval = interval
        self._patience = patience
        self._open: dict[str, TrialProjection] = {}
        self._endings: dict[str, Ending] = {}
        self._lock = threading.Lock()
        self._wake = threading.Event()
        self._give_up_at: Seconds | None = None
        self._due: Seconds = 0.0
        self._thread = threading.Thread(target=self._run, name="mlflow-writer", daemon=True)
        self.last_error: str | None = None

    def __enter__(self) -> "TrackingWriter":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._give_up_at = time.monotonic() + self._patience
        self._wake.set()
        self._thread.join(self._patience)

    def follow(self, record: TrialRecord) -> None:
        """Begin to follow the journal of a trial."""
        with self._lock:
            self._endings.pop(record.trial_key, None)
            self._open.setdefault(record.trial_key, TrialProjection(self._store, record))

    def finish(self, trial_key: str, ending: Ending) -> None:
        """Close the run of a followed trial with its final state, soon."""
        with self._lock:
            if trial_key in self._open:
                self._endings[trial_key] = ending
        self._wake.set()

    def close_open(self, ending: Ending) -> None:
        """Close every run that is still open (the sweep was interrupted)."""
        with self._lock:
            for trial_key in self._open:
                self._endings.setdefault(trial_key, ending)
        self._wake.set()

    @property
    def unsent(self) -> list[str]:
        """Trials whose runs are not closed yet."""
        with self._lock:
            return list(self._open)

    def _run(self) -> None:
        while not self._is_over():
            self._wake.wait(max(0.0, self._due - time.monotonic()))
            self._wake.clear()
            self.look(time.monotonic())

    def look(self, now: Seconds) -> None:
        """Send what has come, if it is time for that, and close runs that ended; the thread does little else.

        Args:
            now: Time on any clock that never goes back.
        """
        if now >= self._due:
            self._due = now + self._interval
            self._each(self._update)
        self._each(self._close)

    def _is_over(self) -> bool:
        """Tell whether the last word is sent, or the patience for a store that does not answer is used up."""
        give_up_at = self._give_up_at
        return give_up_at is not None and (not self._open or time.monotonic() > give_up_at)

    def _each(self, action: Action) -> None:
        with self._lock:
            followed = list(self._open.items())
        for trial_key, projection in followed:
            try:
                if action(trial_key, projection):
                    self.last_error = None
            except Exception as error:  # whatever the back end raises; the journal keeps everything
                self._note(error)
                return

    def _update(self, trial_key: str, projection: TrialProjection) -> bool:
        return trial_key not in self._endings and projection.update() > 0

    def _close(self, trial_key: str, projection: TrialProjection) -> bool:
        ending = self._endings.get(trial_key)
        if ending is None:
            return False
        projection.close(ending.state, ending.attempt, ending.error, ending.error_kind)
        with self._lock:
            self._endings.pop(trial_key, None)
            self._open.pop(trial_key, None)
        return True

    def _note(self, error: Exception) -> None:
        message = str(error).splitlines()[0] if str(error) else type(error).__name__
        if self.last_error is None:
            logger.warning("MLflow does not take the results now (%s); they stay in the journals", message)
        self.last_error = message
