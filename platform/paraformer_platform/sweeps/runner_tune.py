"""Ray Tune as the engine that places and runs trials; what runs next and what is final is decided here.

Tune is at-least-once and forgets up to its last snapshot when it is killed, so nothing is restored from it:
the queue (``queue``) suggests trials through Tune's searcher interface, the ledger (``trial``) makes each
exactly-once, and a trial's own failures come back as results. To Tune, all trials succeed, except when
their process dies.
"""

import json
import logging
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.search.searcher import Searcher

from paraformer.errors import ParaformerError
from paraformer_platform.sweeps.outcome import (
    CLAIMED,
    ERROR,
    FAILED,
    OUT_OF_MEMORY,
    OUTCOME,
    WORKER_LOST,
    TrialOutcome,
    error_kind,
    failure,
)
from paraformer_platform.sweeps.queue import QueuedTrial, TrialQueue
from paraformer_platform.sweeps.runner_scheduler import CooperativeScheduler
from paraformer_platform.sweeps.trial import TASK, SweepReporter, TrainFunction, TrialTask, run_trial

QUIET_TUNE = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_WARN_THRESHOLD_S": "60",
    "TUNE_WARN_INSUFFICENT_RESOURCE_THRESHOLD_S": "100000",
    "TUNE_RESULT_BUFFER_LENGTH": "0",
    # Nothing is restored from Tune's snapshots, so writing them is only cost.
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
}


class Listener(Protocol):
    """What the driver does as trials start, report and leave Tune."""

    def claimed(self, trial: QueuedTrial) -> None:
        """A trial's worker holds the trial and begins to train."""

    def reported(self, trial_key: str, metrics: Mapping[str, float]) -> None:
        """A trial finished an epoch."""

    def left(self, trial: QueuedTrial, outcome: TrialOutcome) -> None:
        """An attempt is over, for good or to be made again."""


class QueueSearcher(Searcher):  # type: ignore[misc]
    """Suggests to Tune what the queue wants run, and tells the queue how it went."""

    def __init__(
        self,
        queue: TrialQueue,
        task_for: Callable[[QueuedTrial], TrialTask],
        listener: Listener,
        worker_errors: Mapping[str, str],
    ) -> None:
        super().__init__()
        self._queue = queue
        self._worker_errors = worker_errors
        self._task_for = task_for
        self._listener = listener
        self._trials: dict[str, QueuedTrial] = {}
        self.error: ParaformerError | None = None
        """What went wrong in the driver itself; Tune would bury it under its own errors."""

    def __getstate__(self) -> dict[str, object]:
        """Leave the driver's own state out when Tune pickles its settings."""
        return {}

    def suggest(self, trial_id: str) -> Any:
        """Return the next trial as Tune's configuration, None to be asked again, FINISHED at the end."""
        try:
            trial = self._queue.next()
        except ParaformerError as error:
            self._give_up(error)
            trial = None
        if trial is None:
            return Searcher.FINISHED if self._queue.finished else None
        self._trials[trial_id] = trial
        # Tune writes this to disk, so the ledger's address, which may hold a password, goes another way.
        return {TASK: {**asdict(self._task_for(trial)), "ledger_url": ""}}

    def on_trial_result(self, trial_id: str, result: Mapping[str, Any]) -> None:
        """Pass on that a trial began, or an epoch's metrics."""
        trial = self._trials[trial_id]
        try:
            if CLAIMED in result:
                self._listener.claimed(trial)
            elif OUTCOME not in result:
                self._listener.reported(trial.trial_key, result)
        except ParaformerError as fault:
            self._give_up(fault)

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        """Pass the outcome of an attempt on; a trial that left none lost its process."""
        trial = self._trials.pop(trial_id)
        outcome = _outcome(trial.trial_key, result, self._worker_errors.get(trial_id, ""))
        try:
            self._queue.ended(outcome)
            self._listener.left(trial, outcome)
        except ParaformerError as fault:
            self._give_up(fault)

    def _give_up(self, error: ParaformerError) -> None:
        """Admit no more trials; the error is raised once the running ones have ended."""
        self.error = self.error or error
        self._queue.stop(str(error))

    def save(self, checkpoint_path: str) -> None:
        """Nothing is kept in Tune's snapshots."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing is kept in Tune's snapshots."""

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Nothing is kept in Tune's snapshots."""


def _outcome(trial_key: str, result: Mapping[str, Any] | None, worker_error: str) -> TrialOutcome:
    if result is not None and OUTCOME in result:
        return TrialOutcome(**json.loads(result[OUTCOME]))
    kind = WORKER_LOST if error_kind(worker_error) == ERROR else OUT_OF_MEMORY
    error = "WorkerLost: the process of the trial died"
    return TrialOutcome(trial_key, FAILED, error=error, error_kind=kind, trace=worker_error)


def run_trials(
    queue: TrialQueue,
    task_for: Callable[[QueuedTrial], TrialTask],
    train: TrainFunction,
    *,
    ledger_url: str,
    listener: Listener,
    resources: Mapping[str, float],
    max_concurrent: int | None,
    folder: Path,
    scheduler: CooperativeScheduler,
) -> None:
    """Run the queue's trials through Ray Tune until it is finished.

    Args:
        queue: What to run.
        task_for: Turns a trial of the queue into a worker's task.
        train: What a trial does, in a worker.
        ledger_url: The ledger that a trial asks.
        listener: Told of starts, reports and ends, in this process.
        resources: What Tune reserves per trial: cpu, gpu, memory in bytes.
        max_concurrent: Most trials at once; None for as many as fit.
        folder: Where Tune may write.
        scheduler: Judges running trials.
    """
    for key, value in QUIET_TUNE.items():
        os.environ.setdefault(key, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    trainable = tune.with_resources(
        tune.with_parameters(tune_trial, train=train, ledger_url=ledger_url), dict(resources)
    )
    searcher = QueueSearcher(queue, task_for, listener, scheduler.worker_errors)
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=scheduler,
            num_samples=-1,
            max_concurrent_trials=max_concurrent,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder.resolve()), verbose=0, callbacks=[]),
    ).fit()
    if searcher.error is not None:
        raise searcher.error


def tune_trial(config: Mapping[str, Any], train: TrainFunction, ledger_url: str) -> dict[str, Any]:
    """Make one attempt at a trial in a Tune actor, which is used again for the next one."""
    task = TrialTask(**{**config[TASK], "ledger_url": ledger_url})
    reporter = SweepReporter(task, on_epoch=lambda metrics: tune.report(dict(metrics)))
    try:
        outcome = run_trial(task, train, reporter, on_claim=lambda: tune.report({CLAIMED: True}))
    except Exception as error:  # the ledger or the storage failed: a result like any other failure
        outcome = failure(task.trial_key, error, attempt=1, seconds=0.0)
    return {OUTCOME: json.dumps(outcome.to_dict())}  # Tune flattens what is not plain
