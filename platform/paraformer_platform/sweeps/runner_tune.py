"""Ray Tune as the engine that places and runs trials; what runs next and what is final is decided here.

Tune is at-least-once and forgets up to its last snapshot when it is killed, so nothing is restored from it:
the queue (``queue``) suggests trials through Tune's searcher interface, the ledger (``trial``) makes each
exactly-once, and a trial's own failures come back as results. To Tune, all trials succeed, except when
their process dies.
"""

import json
import logging
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler
from ray.tune.search.searcher import Searcher

from paraformer.errors import ParaformerError
from paraformer_platform.sweeps.outcome import (
    ERROR,
    FAILED,
    OUT_OF_MEMORY,
    WORKER_LOST,
    TrialOutcome,
    error_kind,
    failure,
)
from paraformer_platform.sweeps.queue import QueuedTrial, TrialQueue
from paraformer_platform.sweeps.signals import ask_to_stop
from paraformer_platform.sweeps.trial import SweepReporter, TrainFunction, TrialTask, run_trial

TASK = "task"
CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP
CLAIMED = "claimed"
OUTCOME = "outcome"

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
        return {TASK: asdict(self._task_for(trial))}

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


class CooperativeScheduler(TrialScheduler):  # type: ignore[misc]
    """Lets another scheduler judge trials, and asks those it would end to end themselves.

    A trial that Tune ends by force loses its process, and with a Ray Train gang inside it the gang's GPUs
    may stay reserved for minutes. A trial that is asked writes its checkpoint and returns at its next epoch.
    """

    def __init__(self, inner: TrialScheduler, worker_errors: dict[str, str]) -> None:
        self._inner = inner
        self._worker_errors = worker_errors

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """Hand the metric on."""
        return bool(self._inner.set_search_properties(metric, mode, **spec))

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Hand a new trial on."""
        self._inner.on_trial_add(tune_controller, trial)

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep the error for the searcher, which Tune does not tell, and hand it on."""
        self._worker_errors[trial.trial_id] = str(trial.get_error())
        self._inner.on_trial_error(tune_controller, trial)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ask the trial to stop where the inner scheduler would stop it."""
        if OUTCOME in result or not self._judges(trial, result):
            return CONTINUE
        if self._inner.on_trial_result(tune_controller, trial, result) == STOP:
            ask_to_stop(TrialTask(**trial.config[TASK]).stop_folder, "stopped early by the sweep's scheduler")
        return CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """Hand the end of a trial on."""
        if self._judges(trial, result):
            self._inner.on_trial_complete(tune_controller, trial, result)

    def _judges(self, trial: Any, result: Mapping[str, Any]) -> bool:
        """Tell whether the trial may be ended, and the inner scheduler has what it judges by."""
        if trial.config[TASK]["whole"]:
            return False
        return self._inner.metric is None or self._inner.metric in result

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """Hand the removal of a trial on."""
        self._inner.on_trial_remove(tune_controller, trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Let the inner scheduler choose among the waiting trials."""
        return self._inner.choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        """Describe the inner scheduler."""
        return str(self._inner.debug_string())


def make_scheduler(
    kind: str, *, metric: str, mode: str, time_metric: str, min_iter: int, max_iter: int, eta: int
) -> TrialScheduler:
    """Make one of Tune's schedulers.

    Args:
        kind: asha, hyperband or median.
        metric: What trials are judged by.
        mode: min or max.
        time_metric: What is counted.
        min_iter: Epochs that every trial gets.
        max_iter: Epochs of a whole trial.
        eta: One in eta trials goes on at each rung.
    """
    common = {"metric": metric, "mode": mode, "time_attr": time_metric}
    if kind == "median":
        return MedianStoppingRule(**common, grace_period=min_iter)
    brackets = int(math.log(max_iter / min_iter, eta)) + 1 if kind == "hyperband" else 1
    return ASHAScheduler(
        **common, grace_period=min_iter, max_t=max_iter, reduction_factor=eta, brackets=max(1, brackets)
    )


def run_trials(
    queue: TrialQueue,
    task_for: Callable[[QueuedTrial], TrialTask],
    train: TrainFunction,
    *,
    listener: Listener,
    resources: Mapping[str, float],
    max_concurrent: int | None,
    folder: Path,
    scheduler: TrialScheduler | None = None,
) -> None:
    """Run the queue's trials through Ray Tune until it is finished.

    Args:
        queue: What to run.
        task_for: Turns a trial of the queue into a worker's task.
        train: What a trial does, in a worker.
        listener: Told of starts, reports and ends, in this process.
        resources: What Tune reserves per trial: cpu, gpu, memory in bytes.
        max_concurrent: Most trials at once; None for as many as fit.
        folder: Where Tune may write.
        scheduler: Judges running trials; None lets all run to their end.
    """
    for key, value in QUIET_TUNE.items():
        os.environ.setdefault(key, value)
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)
    worker_errors: dict[str, str] = {}
    trainable = tune.with_resources(tune.with_parameters(tune_trial, train=train), dict(resources))
    searcher = QueueSearcher(queue, task_for, listener, worker_errors)
    tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=searcher,
            scheduler=CooperativeScheduler(scheduler or FIFOScheduler(), worker_errors),
            num_samples=-1,
            max_concurrent_trials=max_concurrent,
            reuse_actors=True,
            trial_dirname_creator=lambda trial: str(trial.trial_id),
        ),
        run_config=tune.RunConfig(name="tune", storage_path=str(folder.resolve()), verbose=0, callbacks=[]),
    ).fit()
    if searcher.error is not None:
        raise searcher.error


def tune_trial(config: Mapping[str, Any], train: TrainFunction) -> dict[str, Any]:
    """Make one attempt at a trial in a Tune actor, which is used again for the next one."""
    task = TrialTask(**config[TASK])
    reporter = SweepReporter(task, on_epoch=lambda metrics: tune.report(dict(metrics)))
    try:
        outcome = run_trial(task, train, reporter, on_claim=lambda: tune.report({CLAIMED: True}))
    except Exception as error:  # the ledger or the storage failed: a result like any other failure
        outcome = failure(task.trial_key, error, attempt=1, seconds=0.0)
    return {OUTCOME: json.dumps(outcome.to_dict())}  # Tune flattens what is not plain
