"""One attempt at one trial, wherever it runs: ask the ledger, train, tell the ledger.

::

    claim ──> stored result: hand it back, train nothing
      │   └─> busy: another launcher is at work on it
      └─> heartbeat while training ──> completed | failed | stopped

The training itself is handed in, so that the same attempt trains in this process, in a Tune actor or in a
gang.
"""

import ctypes
import gc
import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from paraformer_platform.errors import ClaimLostError, ClusterError, WorkerLostError
from paraformer_platform.lookout import Lookout
from paraformer_platform.sweeps.ledger import Busy, Claim, Ledger, StoredResult
from paraformer_platform.sweeps.outcome import (
    BUSY,
    COMPLETED,
    FAILED,
    STOPPED,
    WORKER_LOST,
    TrialOutcome,
    failure,
)
from paraformer_platform.sweeps.owners import owner_name
from paraformer_platform.sweeps.signals import stop_folder, stop_reason
from paraformer_platform.training.journal import PREEMPTED, read_journal
from paraformer_platform.training.reporter import Reporter

Seconds = float
LEASE: Seconds = 30.0
"""A claim whose heartbeat is older than this belongs to a dead process."""
HEARTBEAT: Seconds = 5.0
LOOK_INTERVAL: Seconds = 0.5
"""Pause between two looks for a request to stop."""
TASK = "task"
"""Key of a worker's configuration under which its `TrialTask` travels."""
OUTPUT_FILE = "output.log"
"""What a trial prints, beside its own log."""


@dataclass(frozen=True)
class TrialTask:
    """Everything a worker needs for one attempt; plain data, so that it travels."""

    trial_key: str
    config: Mapping[str, Any]
    """The resolved configuration."""
    storage: str
    """Folder with the ledger's trials and sweeps."""
    sweep: str
    ledger_url: str
    data_fingerprint: str = ""
    code_version: str = ""
    threads: int = 1
    """CPU threads of the training."""
    keep_latest: int = 1
    """Newest checkpoints that will be kept."""
    keep_best: int = 1
    """Best checkpoints that will be kept."""
    whole: bool = False
    """Whether it is never ended early, since it confirms what others found."""

    @property
    def folder(self) -> Path:
        """The trial folder."""
        return Path(self.storage) / "trials" / self.trial_key

    @property
    def sweep_folder(self) -> Path:
        """The folder of the sweep that this attempt belongs to."""
        return Path(self.storage) / "sweeps" / self.sweep

    @property
    def stop_folder(self) -> Path:
        """Where the sweep asks this trial to stop."""
        return stop_folder(self.sweep_folder, self.trial_key)


TrainFunction = Callable[[TrialTask, Reporter], Mapping[str, float] | None]
"""Trains one trial in its folder and returns its final metrics; None when the reporter had it stop."""


class SweepReporter:
    """Passes metrics on, and stops when the sweep or the trial was asked to (see ``signals``)."""

    def __init__(
        self,
        task: TrialTask,
        on_epoch: Callable[[Mapping[str, float]], None] | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.rank = rank
        self.world_size = world_size
        self._task = task
        self._on_epoch = on_epoch
        self._asked = False
        self._look_again_at: Seconds = 0.0

    def epoch_finished(self, metrics: Mapping[str, float]) -> None:
        """Hand the metrics of a finished epoch on; whoever hears of them may ask for an end at once."""
        if self._on_epoch is not None:
            self._on_epoch(metrics)
        self._look_again_at = 0.0

    def stop(self) -> None:
        """Stop at the next look."""
        self._asked = True

    def should_stop(self) -> bool:
        """Look for a request to stop, not at every step: the storage may be far away."""
        if not self._asked and time.monotonic() >= self._look_again_at:
            self._asked = stop_reason(self._task.sweep_folder, self._task.stop_folder) is not None
            self._look_again_at = time.monotonic() + LOOK_INTERVAL
        return self._asked

    def should_save(self) -> bool:
        """A reused actor is told nothing of its machine; Ray starts it again elsewhere."""
        return False


def run_trial(
    task: TrialTask,
    train: TrainFunction,
    reporter: SweepReporter,
    on_claim: Callable[[], None] = lambda: None,
) -> TrialOutcome:
    """Make one attempt at a trial; what the training raises is in the outcome.

    Args:
        task: What to train, and where.
        train: The training.
        reporter: Told of epochs; says when to stop.
        on_claim: Called once the trial is ours to train.

    Returns:
        The stored result without training when the ledger has one, busy when another launcher holds it.
    """
    ledger = Ledger(task.ledger_url)
    claim = ledger.claim(task.trial_key, owner_name(), LEASE)
    if isinstance(claim, StoredResult):
        return TrialOutcome(task.trial_key, COMPLETED, claim.result, attempt=claim.attempts, stored=True)
    if isinstance(claim, Busy):
        return TrialOutcome(task.trial_key, BUSY)
    on_claim()
    return _attempt(task, train, reporter, ledger, claim)


def _attempt(
    task: TrialTask, train: TrainFunction, reporter: SweepReporter, ledger: Ledger, claim: Claim
) -> TrialOutcome:
    begun, known = time.monotonic(), _preemptions(task)
    try:
        with Heartbeat(ledger, claim, on_lost=reporter.stop), _quiet(task):
            metrics = train(task, reporter)
    except Exception as error:  # a trial that fails is a result of the sweep
        outcome = failure(task.trial_key, error, claim.attempt, time.monotonic() - begun)
        if isinstance(error, WorkerLostError):
            outcome = replace(outcome, error_kind=WORKER_LOST)
    else:
        seconds = time.monotonic() - begun
        if metrics is None:
            outcome = stopped(task.sweep_folder, task.folder, claim.attempt, seconds)
        else:
            outcome = TrialOutcome(task.trial_key, COMPLETED, metrics, attempt=claim.attempt, seconds=seconds)
    try:
        _tell(ledger, claim, outcome, preemptions=_preemptions(task) - known)
    except ClaimLostError:  # another process has the trial since; what comes of it there is awaited
        return TrialOutcome(task.trial_key, BUSY)
    return outcome


def _tell(ledger: Ledger, claim: Claim, outcome: TrialOutcome, preemptions: int) -> None:
    """Enter how an attempt ended."""
    if outcome.error_kind == WORKER_LOST:
        ledger.give_back(claim, outcome.seconds)
        return
    if outcome.state == FAILED:
        ledger.fail(claim, outcome.error or "", outcome.trace or "", outcome.seconds)
        return
    ledger.add_preemptions(claim, preemptions)
    if outcome.state == STOPPED:
        ledger.stop(claim, outcome.seconds)
    else:
        ledger.complete(claim, dict(outcome.metrics), outcome.seconds)


def _preemptions(task: TrialTask) -> int:
    """How often the trial's machines were taken away from under it with notice, by its journal."""
    return sum(event.get("state") == PREEMPTED for event in read_journal(task.folder / "journal.jsonl"))


def stopped(sweep_folder: Path, trial_folder: Path, attempt: int, seconds: Seconds) -> TrialOutcome:
    """Describe a trial that was asked to stop, by its sweep's scheduler for good or else for now."""
    trial_key = trial_folder.name
    return TrialOutcome(
        trial_key,
        STOPPED,
        last_scores(trial_folder / "journal.jsonl"),
        attempt=attempt,
        seconds=seconds,
        ended_early=stop_reason(stop_folder(sweep_folder, trial_key)) is not None,
    )


class Heartbeat(Lookout):
    """Renews a claim from a thread while the training runs, and tells when it is lost.

    A process that was held up for longer than its lease, as on a machine that slept, finds its trial with
    another one; it has to leave it alone then.
    """

    def __init__(
        self,
        ledger: Ledger,
        claim: Claim,
        interval: Seconds = HEARTBEAT,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(interval)
        self._ledger = ledger
        self._claim = claim
        self._on_lost = on_lost

    def look(self) -> bool:
        """Renew the claim; one that is lost is told of, once."""
        try:
            self._ledger.heartbeat(self._claim, LEASE)
        except ClaimLostError:
            self._on_lost()
            return False
        except Exception:
            logging.getLogger(__name__).warning(
                "heartbeat of %s failed", self._claim.trial_key, exc_info=True
            )
        return True


@contextmanager
def _quiet(task: TrialTask) -> Iterator[None]:
    """Send what the training prints to the trial's own file, and give it its share of the CPU threads."""
    task.folder.mkdir(parents=True, exist_ok=True)
    with (task.folder / OUTPUT_FILE).open("a") as output, redirect_stdout(output), redirect_stderr(output):
        _limit_threads(task.threads)
        try:
            yield
        finally:
            _return_memory()


def _limit_threads(threads: int) -> None:
    import torch

    torch.set_num_threads(threads)


def _return_memory() -> None:
    """Give memory back: the process trains the next trial, and its peak is the next trial's figure too."""
    gc.collect()
    with suppress(OSError, AttributeError):  # only glibc keeps freed memory and can be told not to
        ctypes.CDLL(None).malloc_trim(0)


def train_configured(task: TrialTask, reporter: Reporter) -> Mapping[str, float] | None:
    """Train what the task's configuration says; a sweep's trials are this.

    Raises:
        ClusterError: This worker would run other code than the driver that planned the trial.
    """
    from paraformer_platform.config.conversion import config_from_dict
    from paraformer_platform.config.identity import code_version
    from paraformer_platform.training.loop import train
    from paraformer_platform.training.preparation import prepare
    from paraformer_platform.training.shelf import Retention
    from paraformer_platform.training.trial_folder import Identity

    if task.code_version != code_version():
        raise ClusterError(
            f"this worker's code is {code_version()}, but the sweep was planned with {task.code_version}: "
            "the sources were edited meanwhile, or an older copy is installed on this node. "
            "Run the sweep from sources that stay as they are, and remove installed copies"
        )
    identity = Identity(task.trial_key, task.data_fingerprint, task.code_version)
    config = config_from_dict(task.config)
    retention = Retention(task.keep_latest, task.keep_best)
    result = train(config, task.folder, reporter, preparation=prepare(config, identity), retention=retention)
    if result.state != COMPLETED:
        return None
    return {**best_dev_scores(task.folder / "journal.jsonl", config.training.selection), **result.metrics}


def best_dev_scores(journal: Path, selection: str) -> dict[str, float]:
    """Return the dev scores of the epoch whose weights were tested; a search chooses by these, never by test.

    Args:
        journal: The trial's journal.
        selection: The score that says which epoch is best, the lower the better.
    """
    epochs = [event["metrics"] for event in read_journal(journal) if selection in event.get("metrics", {})]
    best: Mapping[str, float] = min(epochs, key=lambda metrics: float(metrics[selection]), default={})
    return {name: value for name, value in best.items() if name.startswith("dev/")}


def last_scores(journal: Path) -> dict[str, float]:
    """Return what the last epoch of a journal measured; nothing where no epoch was finished."""
    return next(reversed(epochs_of(journal)), {})


def epochs_of(journal: Path) -> list[dict[str, float]]:
    """Return what each epoch of a journal measured, with its number and steps, as trials report it."""
    from paraformer_platform.training.journal import read_journal

    return [
        {**event["metrics"], "epoch": event["epoch"], "step": event["step"]}
        for event in read_journal(journal)
        if event.get("epoch") is not None
    ]
