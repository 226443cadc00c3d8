"""Ray Tune's schedulers as judges of running trials, which are asked to stop instead of being killed.

A trial that Tune ends by force loses its process, and with a Ray Train gang inside it the gang's GPUs may
stay reserved for minutes. A trial that is asked keeps its last checkpoint and returns within a few steps.

To the judge a trial is its key: one that is tried again, or gone on with after a resume, is the same trial,
and `learn` tells it what trials of earlier launches had measured.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from ray.tune.schedulers import ASHAScheduler, FIFOScheduler, MedianStoppingRule, TrialScheduler

from paraformer_platform.sweeps.outcome import CLAIMED, OUTCOME
from paraformer_platform.sweeps.signals import ask_to_stop
from paraformer_platform.sweeps.trial import TASK, TrialTask, epochs_of

CONTINUE: str = TrialScheduler.CONTINUE
STOP: str = TrialScheduler.STOP


@dataclass(frozen=True)
class JudgedTrial:
    """All that a judge needs of a trial."""

    trial_id: str
    """Its trial_key."""


class CooperativeScheduler(TrialScheduler):  # type: ignore[misc]
    """Lets another scheduler judge trials, and asks those it would end to end themselves.

    Args (of the constructor):
        inner: The judge; None lets every trial run to its end.
    """

    def __init__(self, inner: TrialScheduler | None = None) -> None:
        self._inner = inner
        self._asked: set[str] = set()
        """Trials that were asked to stop; what they report until they do is nobody's business."""
        self._heard: dict[str, float] = {}
        """Last epoch of each trial that the judge has heard of."""
        self.worker_errors: dict[str, str] = {}
        """Error of each trial whose process died, by Tune's id; Tune does not tell the searcher."""
        self.unjudged: str | None = None
        """Why the judge cannot judge; None while it can."""

    def learn(self, trial_key: str, epochs: Iterable[Mapping[str, float]]) -> None:
        """Tell the judge what a trial of an earlier launch measured, epoch by epoch."""
        if self._inner is None:
            return
        trial = JudgedTrial(trial_key)
        _add(self._inner, trial)
        for epoch in epochs:
            if self._would_end(self._inner, _NoController(), trial, epoch):
                return

    def set_search_properties(self, metric: str | None, mode: str | None, **spec: Any) -> bool:
        """The judge was made with its metric; Tune's own is none."""
        return True

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Hand a new trial on, with what it measured if it was begun before."""
        task = TrialTask(**trial.config[TASK])
        if not task.whole:
            self.learn(task.trial_key, epochs_of(task.folder / "journal.jsonl"))

    def on_trial_error(self, tune_controller: Any, trial: Any) -> None:
        """Keep the error for the searcher; the judge knows of trials only what they measured."""
        self.worker_errors[trial.trial_id] = str(trial.get_error())

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Ask the trial to stop where the judge would stop it."""
        task = TrialTask(**trial.config[TASK])
        if OUTCOME in result or CLAIMED in result or task.trial_key in self._asked:
            return CONTINUE
        if self._inner is None or task.whole:
            return CONTINUE
        if self._would_end(self._inner, tune_controller, JudgedTrial(task.trial_key), result):
            self._asked.add(task.trial_key)
            ask_to_stop(task.stop_folder, "stopped early by the sweep's scheduler")
        return CONTINUE

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial's end says nothing that its epochs did not say."""

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """What a removed trial measured stays known."""

    def choose_trial_to_run(self, tune_controller: Any) -> Any:
        """Let Tune choose among the waiting trials in their order."""
        return FIFOScheduler().choose_trial_to_run(tune_controller)

    def debug_string(self) -> str:
        """Describe the judge."""
        return str(self._inner.debug_string()) if self._inner is not None else "no early termination"

    def _would_end(
        self, judge: TrialScheduler, controller: Any, trial: JudgedTrial, epoch: Mapping[str, Any]
    ) -> bool:
        """Let the judge hear of an epoch, once; False also where it does not report what is judged by."""
        if epoch.get("epoch", 0) <= self._heard.get(trial.trial_id, -1):
            return False
        self._heard[trial.trial_id] = epoch.get("epoch", 0)
        if judge.metric is None or judge.metric in epoch:
            return bool(judge.on_trial_result(controller, trial, dict(epoch)) == STOP)
        known = ", ".join(sorted(name for name in epoch if name.startswith(("dev/", "train/"))))
        self.unjudged = (
            f"early_terminate judges by {judge.metric}, which epochs do not report; they report {known}"
        )
        return False


def _add(judge: TrialScheduler, trial: JudgedTrial) -> None:
    """Tell a judge of a trial; the bracket that hyperband draws for it follows from the trial's key."""
    drawn = np.random.get_state()  # noqa: NPY002  Ray draws from numpy's global generator
    np.random.seed(zlib.crc32(trial.trial_id.encode()))  # noqa: NPY002
    try:
        judge.on_trial_add(None, trial)
    finally:
        np.random.set_state(drawn)  # noqa: NPY002


class _NoController:
    """Stands for Tune where a judge is told of the past: nothing runs."""

    def get_live_trials(self) -> list[Any]:
        """No trial waits."""
        return []


def make_scheduler(
    kind: str, *, metric: str, mode: str, time_metric: str, min_iter: int, max_iter: int, eta: int
) -> TrialScheduler:
    """Make one of Tune's schedulers.

    Args:
        kind: asha, hyperband or median.
        metric: What trials are judged by.
        mode: min or max.
        time_metric: What is counted.
        min_iter: What every trial gets.
        max_iter: Where the last rung lies at most.
        eta: One in eta trials goes on at each rung.
    """
    common = {"metric": metric, "mode": mode, "time_attr": time_metric}
    if kind == "median":
        return MedianStoppingRule(**common, grace_period=min_iter)
    rungs = sum(min_iter * eta**rung <= max_iter for rung in range(max_iter.bit_length()))
    return ASHAScheduler(
        **common,
        grace_period=min_iter,
        max_t=max_iter,
        reduction_factor=eta,
        brackets=rungs if kind == "hyperband" else 1,
        stop_last_trials=False,  # who has passed the last rung trains to its end, and is tested
    )
