"""Which trial starts next: planned or proposed, stored already, to be tried again, or none any more.

The queue knows nothing of Ray. Whoever runs trials asks ``next`` for one, and tells ``ended`` how it went.

::

    source ──> waiting ──> running ──> done
                  ^            │
                  └── retry ───┘     a failure with tries left; a trial that another launcher is at work on
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from paraformer_platform.sweeps.outcome import (
    BUSY,
    FAILED,
    OUT_OF_MEMORY,
    WORKER_LOST,
    TrialOutcome,
)

Seconds = float
LOOK_AGAIN_AFTER: Seconds = 2.0
"""Pause before a trial that another launcher holds is looked at again."""


class QueuedTrial(Protocol):
    """What the queue needs to know of a trial; ``plan.PlannedTrial`` is one."""

    @property
    def trial_key(self) -> str:
        """Content hash that the trial is known by."""


class TrialSource(Protocol):
    """Where trials come from: a plan's list, or a search that proposes them one by one."""

    def propose(self) -> QueuedTrial | None:
        """Return the next trial, None when there is none at the moment."""

    def tell(self, trial: Any, outcome: TrialOutcome) -> None:
        """Learn how a trial ended, one that this source proposed."""

    @property
    def exhausted(self) -> bool:
        """Whether no further trial will ever be proposed."""

    @property
    def total(self) -> int:
        """How many trials there will be in all, at most."""


class PlannedTrials:
    """The trials of a plan in their order."""

    def __init__(self, trials: Sequence[QueuedTrial]) -> None:
        self._left = deque(trials)
        self.total = len(trials)
        self.proposed: Sequence[Any] = ()
        """A plan adds nothing to itself."""

    def propose(self) -> QueuedTrial | None:
        """Return the next trial of the plan."""
        return self._left.popleft() if self._left else None

    def tell(self, trial: QueuedTrial, outcome: TrialOutcome) -> None:
        """A plan does not depend on results."""

    @property
    def exhausted(self) -> bool:
        """Whether all trials were handed out."""
        return not self._left


@dataclass(frozen=True)
class Limits:
    """When to try again and when to admit no more; a limit never ends a running trial."""

    max_failures: int = 1
    """Further tries after an error of the trial itself."""
    max_worker_losses: int = 3
    """Further tries after the worker was lost (killed, preempted, node gone), counted apart."""
    retry_out_of_memory: bool = False
    """Whether to try again after memory ran out; the same trial would run out again."""
    max_failed: int | None = None
    """Failed trials after which no more are admitted."""
    wall_seconds: Seconds | None = None
    """Wall time after which no more trials are admitted."""
    gpu_seconds: Seconds | None = None
    """GPU time after which no more trials are admitted."""
    gpus_per_trial: float = 0.0


@dataclass
class _Tries:
    failures: int = 0
    worker_losses: int = 0


@dataclass
class TrialQueue:
    """The state of a sweep in its driver.

    The constructor takes where trials come from, what the ledger already knows of one, and the limits.
    """

    source: TrialSource
    stored: Callable[[str], TrialOutcome | None]
    limits: Limits = Limits()
    clock: Callable[[], Seconds] = time.monotonic
    running: dict[str, QueuedTrial] = field(default_factory=dict)
    outcomes: dict[str, TrialOutcome] = field(default_factory=dict)
    """The final outcome of every trial that has one."""
    stop_reason: str | None = None
    """Why no more trials are admitted; None while they are."""
    seconds_before: Seconds = 0.0
    """Time that earlier launches spent on trials of the sweep."""
    asked_to_stop: Callable[[], str | None] = lambda: None
    """Looked at before each admission; a reason ends it."""
    on_outcome: Callable[[QueuedTrial, TrialOutcome], None] = lambda trial, outcome: None
    """Called for every final outcome, also for those the ledger knew."""

    def __post_init__(self) -> None:
        self._again: deque[tuple[Seconds, QueuedTrial]] = deque()
        self._tries: dict[str, _Tries] = {}
        self._begun = self.clock()
        self._seconds = self.seconds_before

    def next(self) -> QueuedTrial | None:
        """Return a trial to start now and count it as running; None when there is none at the moment."""
        while not self._admission_over():
            trial = self._take()
            if trial is None:
                return None
            known = self.stored(trial.trial_key)
            if known is None:
                self.running[trial.trial_key] = trial
                return trial
            if known.state == BUSY:
                self._again.append((self.clock() + LOOK_AGAIN_AFTER, trial))
            else:
                self._settle(trial, known)
        return None

    @property
    def finished(self) -> bool:
        """Whether no trial will be started any more; some may still be running."""
        if self._admission_over():
            return True
        return not self._again and not self.running and self.source.exhausted

    def ended(self, outcome: TrialOutcome) -> None:
        """Take note of how a running trial ended, and decide whether it is tried again."""
        trial = self.running.pop(outcome.trial_key)
        self._seconds += outcome.seconds
        if outcome.state == BUSY:
            self._again.append((self.clock() + LOOK_AGAIN_AFTER, trial))
        elif outcome.state == FAILED and self.stop_reason is None and self._has_tries_left(outcome):
            self._again.appendleft((self.clock(), trial))
        else:
            self._settle(trial, outcome)

    def put_back(self, trial: QueuedTrial) -> None:
        """Take back a trial that ``next`` gave and that was not started."""
        self.running.pop(trial.trial_key)
        self._again.appendleft((self.clock(), trial))

    def stop(self, reason: str) -> None:
        """Admit no more trials."""
        self.stop_reason = self.stop_reason or reason

    def count(self, state: str) -> int:
        """Return how many trials ended in this state."""
        return sum(outcome.state == state for outcome in self.outcomes.values())

    @property
    def left(self) -> int:
        """Return how many trials have no final outcome yet, at most."""
        return max(0, self.source.total - len(self.outcomes))

    def _take(self) -> QueuedTrial | None:
        """Take a trial that is to be tried again and whose time has come, else a new one."""
        for _ in range(len(self._again)):
            due, waiting = self._again.popleft()
            if due <= self.clock():
                return waiting
            self._again.append((due, waiting))
        while (trial := self.source.propose()) is not None:
            if trial.trial_key not in self.outcomes:
                return trial
            self.source.tell(trial, self.outcomes[trial.trial_key])
        return None

    def _settle(self, trial: QueuedTrial, outcome: TrialOutcome) -> None:
        self.outcomes[trial.trial_key] = outcome
        if outcome.is_final:
            self.source.tell(trial, outcome)
        self.on_outcome(trial, outcome)

    def _has_tries_left(self, outcome: TrialOutcome) -> bool:
        tries = self._tries.setdefault(outcome.trial_key, _Tries())
        if outcome.error_kind == OUT_OF_MEMORY and not self.limits.retry_out_of_memory:
            return False
        if outcome.error_kind == WORKER_LOST:
            tries.worker_losses += 1
            return tries.worker_losses <= self.limits.max_worker_losses
        tries.failures += 1
        return tries.failures <= self.limits.max_failures

    def _admission_over(self) -> bool:
        if self.stop_reason is None:
            self.stop_reason = self.asked_to_stop() or self._exceeded_limit()
        return self.stop_reason is not None

    def _exceeded_limit(self) -> str | None:
        limits = self.limits
        if limits.max_failed is not None and self.count(FAILED) >= limits.max_failed:
            return f"budget.max_failed: {self.count(FAILED)} trials failed"
        wall = self.clock() - self._begun
        if limits.wall_seconds is not None and wall >= limits.wall_seconds:
            return f"budget.wall: {wall / 3600:.2f} hours are over"
        gpu_seconds = self._seconds * limits.gpus_per_trial
        if limits.gpu_seconds is not None and gpu_seconds >= limits.gpu_seconds:
            return f"budget.gpu_hours: {gpu_seconds / 3600:.2f} GPU-hours are used"
        return None
