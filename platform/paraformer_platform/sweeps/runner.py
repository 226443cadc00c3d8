"""Running a sweep from its driver: queue, Ray, the MLflow writer and the display, opened and closed in order.

Whatever ends a sweep — its last trial, Ctrl-C, SIGTERM, an error — no process of ours stays, no claim and
no MLflow run stays open, and the same command goes on from there. A driver that is killed outright cannot
clean up: its Ray dies with it, and the next driver finds the claims of a process that is gone.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rich.console import Console

from paraformer_platform.clusters.connection import Connection
from paraformer_platform.clusters.gpu_memory import measured, share_gpus
from paraformer_platform.clusters.preflight import Node, check_request, gangs_at_once
from paraformer_platform.clusters.ray_traps import GroupReaper
from paraformer_platform.clusters.ray_watch import RayWatch
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.interrupts import Interrupts
from paraformer_platform.sweeps.job import INTERRUPTED, RAY_TRAIN, SweepJob, SweepOutcome, TrialSheet
from paraformer_platform.sweeps.keeper import CheckpointKeeper
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.outcome import COMPLETED, FAILED, STOPPED, TrialOutcome
from paraformer_platform.sweeps.progress import Progress
from paraformer_platform.sweeps.queue import QueuedTrial, TrialQueue
from paraformer_platform.sweeps.signals import ask_to_stop, clear_stop, stop_folder, stop_reason
from paraformer_platform.sweeps.trial import TrainFunction, TrialTask, epochs_of, stopped
from paraformer_platform.tracking import names
from paraformer_platform.tracking.environment import source_state
from paraformer_platform.tracking.mlflow_store import RunStore, reachable
from paraformer_platform.tracking.projection import TrialProjection, TrialRecord
from paraformer_platform.tracking.sweep_run import SweepRun
from paraformer_platform.tracking.writer import Ending, TrackingWriter

if TYPE_CHECKING:
    from paraformer_platform.sweeps.runner_scheduler import CooperativeScheduler

RAY_DIED = "Ray died under the sweep"
PARENT = "the sweep's own run"
GANG_DRIVER = {"cpu": 0, "gpu": 0, "memory": 1e6}
"""What Tune reserves for a trial whose work is done by Ray Train workers, which reserve their own: no CPU, or
two workers would not fit on two CPUs; and a megabyte, since nothing at all cannot be reserved."""


def run_sweep(job: SweepJob, train: TrainFunction, console: Console | None = None) -> SweepOutcome:
    """Run what is left of a sweep, from the main thread.

    Args:
        job: The sweep.
        train: What a trial does in a worker.
        console: Where progress is shown.

    Raises:
        ClusterError: no Ray, or one that can never run these trials.
        TrackingError: the MLflow store cannot be opened.
        LedgerError: the ledger cannot be opened.
    """
    with Interrupts() as interrupts:
        driver = _Driver(job, train, console or Console(), interrupts)
        return driver.run()


class _Driver:
    """One run of a sweep in its driver; what Tune reports comes in through the listener methods."""

    def __init__(self, job: SweepJob, train: TrainFunction, console: Console, interrupts: Interrupts) -> None:
        self._job = job
        self._train = train
        self._interrupts = interrupts
        self._request = job.request
        self._failures: dict[str, str] = {}
        self._untold_parent: tuple[str, ...] = ()
        self._completed: list[QueuedTrial] = []
        self._scheduler: CooperativeScheduler | None = None
        job.folder.mkdir(parents=True, exist_ok=True)
        clear_stop(job.folder)
        self._ledger = Ledger(job.ledger_url)
        self._records = self._ledger.records()
        self._keeper = CheckpointKeeper(job.name, job.storage, self._ledger)
        self._queue = TrialQueue(
            job.source,
            self._stored,
            job.limits,
            seconds_before=sum(
                self._records[key].seconds for key in self._keeper.trial_keys() if key in self._records
            ),
            asked_to_stop=lambda: stop_reason(job.folder),
            on_outcome=self._on_outcome,
        )
        self._progress = Progress(
            self._queue,
            metric=job.metric,
            goal=job.goal,
            secondary=job.secondary_metrics,
            concurrency=job.max_concurrent or 1,
            gpus_per_trial=job.request.most_workers * job.request.gpus_per_worker,
            console=console,
        )
        self._store = RunStore(job.tracking_uri, job.experiment)
        with reachable(self._store.uri):
            self._finished_runs = {
                key for key, run in self._store.trial_runs().items() if run.info.status == names.FINISHED
            }
        self._writer = TrackingWriter(self._store)
        self._parent = SweepRun(self._store, job.name, job.plan_hash, job.folder)
        self._tags = {**job.tags, **source_state().tags(), names.SWEEP: job.name}

    def run(self) -> SweepOutcome:
        status = names.KILLED
        try:
            with reachable(self._job.tracking_uri):
                self._parent.open({**self._tags, **self._description()})
                self._parent.log_files(self._job.files)
            with self._writer:
                self._run_and_put_away()
            self._clean(self._keeper.sweep_ended)
            self._draw_best_models()
            status = names.FAILED if self._queue.count(FAILED) else names.FINISHED
            status = names.KILLED if self._was_cut_short() else status
            self._job.refresh_files()
            self._tell_parent(lambda: self._parent.log_files(self._job.files))
        finally:
            self._interrupts.put_away()
            self._tell_parent(lambda: self._parent.close(status))
        return self._result()

    def _was_cut_short(self) -> bool:
        reason = self._queue.stop_reason
        return reason is not None and reason.startswith((INTERRUPTED, RAY_DIED))

    def _tell_parent(self, action: Callable[[], None]) -> None:
        """Tell the parent run how the sweep ended; a store that is down then is no reason to fail."""
        try:
            action()
        except Exception as error:  # whatever the back end raises, as in the writer
            self._untold_parent = (PARENT,)
            self._progress.note(f"MLflow does not take the end of the sweep: {str(error).splitlines()[0]}")

    def _description(self) -> dict[str, str]:
        return {names.DESCRIPTION: self._job.description} if self._job.description else {}

    def _run_and_put_away(self) -> None:
        """Run trials; whatever happens, leave no claim and no MLflow run open."""
        try:
            with self._progress:
                if not self._nothing_to_run():
                    self._run_on_ray()
        except KeyboardInterrupt:
            self._queue.stop(INTERRUPTED)
        finally:
            self._interrupts.put_away()
            self._writer.close_open(Ending(STOPPED, attempt=1))

    def _nothing_to_run(self) -> bool:
        """Settle all trials that the ledger knows; Ray is not started for them."""
        trial = self._queue.next()
        if trial is not None:
            self._queue.put_back(trial)
        return trial is None and self._queue.finished

    def _run_on_ray(self) -> None:
        job = self._job
        with Connection(job.address) as connection, RayWatch(self._ray_died), GroupReaper():
            self._interrupts.install()
            nodes = connection.capacity()
            self._settle_request(measured(nodes) if job.request.gpu_mem_gb else nodes)
            at_once = min(gangs_at_once(self._request, nodes), job.max_concurrent or 10**6)
            self._progress.concurrency = at_once
            self._interrupts.ask_first(self._ask_trials_to_stop)
            self._run_trials(
                at_once if job.execution == RAY_TRAIN else job.max_concurrent,
                gang_driver={**GANG_DRIVER, **connection.driver_resources()},
            )

    def _settle_request(self, nodes: Sequence[Node]) -> None:
        """Turn GPU memory into a share of a GPU, and refuse what these nodes can never hold."""
        self._request = share_gpus(self._job.request, nodes)
        check_request(self._request, nodes)
        gpus = self._request.most_workers * self._request.gpus_per_worker
        self._queue.limits = replace(self._queue.limits, gpus_per_trial=gpus)
        self._progress.gpus_per_trial = gpus

    def _run_trials(self, max_concurrent: int | None, gang_driver: Mapping[str, float]) -> None:
        from paraformer_platform.sweeps.runner_gang import gang_training
        from paraformer_platform.sweeps.runner_tune import run_trials

        job, request = self._job, self._request
        gang = job.execution == RAY_TRAIN
        run_trials(
            self._queue,
            self._task,
            gang_training(self._train, request) if gang else self._train,
            ledger_url=job.ledger_url,
            listener=self,
            resources=gang_driver
            if gang
            else {"cpu": request.cpus_per_worker, "gpu": request.gpus_per_worker},
            max_concurrent=max_concurrent,
            folder=job.folder,
            scheduler=self._make_scheduler(),
        )

    def _ray_died(self, name: str) -> None:
        """End the sweep in good order when its own Ray is gone (called from a thread)."""
        self._queue.stop(f"{RAY_DIED}: its process {name} is gone, killed or out of memory")
        self._interrupts.end()

    def _make_scheduler(self) -> "CooperativeScheduler":
        """Make the judge of running trials, and tell it of those of earlier launches."""
        from paraformer_platform.sweeps.runner_scheduler import CooperativeScheduler

        self._scheduler = CooperativeScheduler(self._job.scheduler() if self._job.scheduler else None)
        for trial_key in self._queue.outcomes:
            self._tell_scheduler(trial_key)
        return self._scheduler

    def _tell_scheduler(self, trial_key: str) -> None:
        if self._scheduler is not None and self._job.scheduler is not None:
            folder = self._job.storage / "trials" / trial_key
            self._scheduler.learn(trial_key, epochs_of(folder / "journal.jsonl"))

    def _ask_trials_to_stop(self) -> None:
        """On the first Ctrl-C: admit no more, and let running trials write their checkpoints."""
        self._queue.stop(INTERRUPTED)
        ask_to_stop(self._job.folder, INTERRUPTED)
        self._progress.note("Stopping: trials write their checkpoints (Ctrl-C again ends them at once)")

    def _task(self, trial: QueuedTrial) -> TrialTask:
        job, sheet = self._job, self._job.describe(trial)
        return TrialTask(
            trial_key=trial.trial_key,
            config=sheet.config,
            data_fingerprint=sheet.data_fingerprint,
            code_version=sheet.code_version,
            storage=str(job.storage.resolve()),
            sweep=job.name,
            ledger_url=job.ledger_url,
            threads=max(1, int(job.request.cpus_per_worker)),
            keep_latest=job.checkpoints.save_trial_latest,
            keep_best=job.checkpoints.save_trial_best,
            whole=sheet.whole,
        )

    def _record(self, trial: QueuedTrial) -> TrialRecord:
        sheet = self._job.describe(trial)
        return TrialRecord(
            trial_key=trial.trial_key,
            folder=self._job.storage / "trials" / trial.trial_key,
            name=f"{self._job.name} {sheet.label}",
            tags={**self._tags, **_trial_tags(sheet)},
            params=sheet.params,
            parent_run_id=self._parent.run_id,
            keeps_models=self._job.checkpoints.save_trial_best > 0,
        )

    def _stored(self, trial_key: str) -> TrialOutcome | None:
        """Return the result that the ledger has of a trial, or that it was stopped for good."""
        record = self._records.pop(trial_key, None) or self._ledger.record(trial_key)
        if record is None or record.state not in (COMPLETED, STOPPED):
            return None
        known: dict[str, Any] = {"attempt": record.attempts, "seconds": record.seconds}
        if record.state == STOPPED:
            outcome = stopped(self._job.folder, self._job.storage / "trials" / trial_key, **known)
            # Where only the sweep was interrupted, this trial goes on.
            return replace(outcome, stored=True) if outcome.ended_early else None
        return TrialOutcome(trial_key, COMPLETED, record.result or {}, stored=True, **known)

    def claimed(self, trial: QueuedTrial) -> None:
        """Show the trial, and draw its run in MLflow."""
        self._job.refresh_files()
        self._progress.started(trial.trial_key, self._job.describe(trial).label)
        self._writer.follow(self._record(trial))

    def reported(self, trial_key: str, metrics: Mapping[str, float]) -> None:
        """Show an epoch's metrics."""
        self._progress.reported(trial_key, metrics)
        if self._scheduler is not None and self._scheduler.unjudged is not None:
            ask_to_stop(self._job.folder, self._scheduler.unjudged)
            raise SweepError(self._scheduler.unjudged)

    def left(self, trial: QueuedTrial, outcome: TrialOutcome) -> None:
        """Show an attempt that is not final as over."""
        if trial.trial_key not in self._queue.outcomes:
            self._progress.set_aside(trial.trial_key)

    def _on_outcome(self, trial: QueuedTrial, outcome: TrialOutcome) -> None:
        """Show and write a final outcome; one that was stored only if MLflow does not have it."""
        label = self._job.describe(trial).label
        self._progress.ended(label, outcome)
        if outcome.state == COMPLETED:
            self._completed.append(trial)
        if outcome.state == FAILED:
            self._failures[label] = outcome.error or ""
        if outcome.stored:
            self._tell_scheduler(trial.trial_key)
        else:
            self._clean(lambda: self._keeper.trial_ended(trial.trial_key))
        if outcome.stored and trial.trial_key in self._finished_runs:
            return
        self._writer.follow(self._record(trial))
        error = outcome.error
        if outcome.state == STOPPED:  # by the sweep's scheduler; the report tells it from an interruption
            error = stop_reason(stop_folder(self._job.folder, trial.trial_key))
        ending = Ending(outcome.state, outcome.attempt, error, outcome.error_kind)
        self._writer.finish(trial.trial_key, ending)

    def _draw_best_models(self) -> None:
        """Draw the models of the sweep's best trials, where only theirs are kept; the end shows whose."""
        if self._job.checkpoints.save_trial_best or self._queue.stop_reason is not None:
            return
        for trial in self._completed:
            record = self._record(trial)
            if not any((record.folder / "checkpoints").glob("*.pt")):
                continue
            try:
                attempt = self._queue.outcomes[trial.trial_key].attempt
                TrialProjection(self._store, replace(record, keeps_models=True)).close(COMPLETED, attempt)
            except Exception as error:  # whatever MLflow's back end raises
                self._progress.note(
                    f"MLflow did not take the models ({error}): paraformer sync {self._job.name}"
                )
                return

    def _clean(self, delete: Callable[[], None]) -> None:
        """Delete checkpoints; what cannot be deleted does not end the sweep, the next launch tries again."""
        try:
            delete()
        except OSError as error:
            self._progress.note(f"Checkpoints cannot be deleted: {error}")

    def _result(self) -> SweepOutcome:
        queue = self._queue
        return SweepOutcome(
            completed=queue.count(COMPLETED),
            failed=queue.count(FAILED),
            stopped=queue.count(STOPPED),
            ended_early=sum(outcome.ended_early for outcome in queue.outcomes.values()),
            settled=len(queue.outcomes),
            planned=queue.source.total,
            stop_reason=queue.stop_reason,
            run_id=self._parent.run_id,
            unsent=(*self._writer.unsent, *self._untold_parent),
            failures=self._failures,
        )


def _trial_tags(sheet: TrialSheet) -> dict[str, str]:
    """Return the tags that tell a trial from the others of its sweep."""
    tags = {
        names.VARIANT: sheet.variant,
        names.SEED: str(sheet.seed),
        names.DATA: sheet.data_fingerprint,
        names.CODE: sheet.code_version,
    }
    return {name: value for name, value in tags.items() if value}
