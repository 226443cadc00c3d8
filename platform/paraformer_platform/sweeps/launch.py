"""From a sweep file to a sweep that is ready to run: plan, lock, ledger and where everything goes."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraformer_platform.clusters.preflight import Request
from paraformer_platform.config.conversion import config_to_dict, flat_params
from paraformer_platform.config.identity import code_version
from paraformer_platform.config.schema import DataConfig, ExperimentConfig
from paraformer_platform.errors import SweepError
from paraformer_platform.passwords import without_passwords
from paraformer_platform.storage.uri import is_uri
from paraformer_platform.sweeps.confirmation import ConfirmedTrials
from paraformer_platform.sweeps.early_stop import scheduler_for
from paraformer_platform.sweeps.job import SweepJob, TrialSheet, choose_execution
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.lock import LOCK_FILE, check_resume, lock_of, plan_hash, read_lock, write_lock
from paraformer_platform.sweeps.objective import Objective
from paraformer_platform.sweeps.plan import Plan, PlannedTrial, Planner, load_base, make_plan
from paraformer_platform.sweeps.queue import Limits, PlannedTrials, TrialSource
from paraformer_platform.sweeps.search import SearchTrials
from paraformer_platform.sweeps.spec import SEARCHES, SweepSpec, load_sweep
from paraformer_platform.sweeps.sync import SOURCE_FILE, SWEEP_FILE, ledger_url, read_sweep, sweep_folder
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import resolve_tracking_uri
from paraformer_platform.training.corpus import ensure_corpus, read_corpus
from paraformer_platform.training.custom_metrics import find_metrics
from paraformer_platform.whole_file import remove_leftovers, write_whole

if TYPE_CHECKING:
    from paraformer_platform.training.corpus import Progress

PROPOSALS_FILE = "proposals.jsonl"
CONFIRMED_FILE = "confirmed.json"
NO_LIMIT = 10**9


@dataclass(frozen=True)
class LaunchOptions:
    """What the command line says beside the sweep file."""

    overrides: Sequence[str] = ()
    """``key=value`` changes to the sweep file."""
    address: str | None = None
    """Address of a Ray; None starts one on this machine."""
    tracking_uri: str | None = None
    max_concurrent: int | None = None
    extend: bool = False
    """Allow a plan that adds to the one the sweep began with."""
    command: str = ""
    """The command, for the lock file."""


class Launch:
    """A sweep file with everything that follows from it.

    Making one reads the data (and makes a synthetic corpus that is missing), since trials are named by it.

    Args:
        file: The sweep's YAML file.
        options: What the command line says.
        progress: Told of utterances that are made.
        count_parameters: Tells the size of a model, for the printed plan.

    Raises:
        SweepError: The sweep file cannot be read or run.
        ConfigError: Its base file cannot be read or run.
        DataError: Its data cannot be read.
    """

    def __init__(
        self,
        file: Path,
        options: LaunchOptions,
        progress: "Progress | None" = None,
        count_parameters: Callable[[ExperimentConfig], int] | None = None,
    ) -> None:
        self.file = file
        self.options = options
        self.spec = load_sweep(file, options.overrides)
        self.base = load_base(self.spec).config
        self.storage = Path(self.base.storage)
        self._progress = progress
        find_metrics(self.base.decoding.metrics)
        version = code_version()
        self.plan = self._make_plan(version, count_parameters)
        self._planner = Planner(self.spec, self.base, self._fingerprint, version)
        self.lock = lock_of(self.plan, options.command)

    def _make_plan(self, version: str, count_parameters: Callable[[ExperimentConfig], int] | None) -> Plan:
        try:
            return make_plan(
                self.spec,
                self.base,
                data_fingerprint=self._fingerprint,
                code_version=version,
                count_parameters=count_parameters,
            )
        except SweepError as error:
            raise SweepError(f"{self.file}: {error}") from error

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.storage / "sweeps" / self.spec.name

    def write_lock(self) -> None:
        """Write the lock and a copy of the sweep file, after refusing drift from an earlier launch.

        Raises:
            SweepError: The sweep was begun with another plan, data or code.
        """
        if self._begun():
            check_resume(self.folder / LOCK_FILE, self.lock, extend=self.options.extend)
        write_lock(self.folder / LOCK_FILE, self.lock)
        write_whole(self.folder / SWEEP_FILE, self.file.read_text(encoding="utf-8"))
        source = {"file": str(self.file.resolve()), "overrides": list(self.options.overrides)}
        write_whole(self.folder / SOURCE_FILE, json.dumps(source, indent=1) + "\n")
        remove_leftovers(self.folder)

    def _begun(self) -> bool:
        """Whether a trial of an earlier lock was started; a plan that was only looked at binds nobody."""
        before = read_lock(self.folder / LOCK_FILE)
        if before is None:
            return False
        keys = [trial["trial_key"] for trial in before["trials"]]
        known = Ledger(self.ledger_url).records(keys).values()
        return before["search"] is not None or any(record.attempts for record in known)

    def job(self) -> SweepJob:
        """Return the sweep for the runner."""
        resources, spec = self.base.resources, self.spec
        request = Request(
            resources.least_workers,
            resources.cpus_per_worker,
            resources.gpus_per_worker,
            most_workers=resources.most_workers,
            gpu_mem_gb=spec.resources.gpu_mem_gb or 0.0,
        )
        source, refresh = self._source()
        return SweepJob(
            name=spec.name,
            storage=self.storage,
            ledger_url=self.ledger_url,
            source=source,
            describe=self._describe,
            metric=Objective.of(spec.metric).name if spec.method in SEARCHES else spec.metric.name,
            goal=spec.metric.goal,
            request=request,
            execution=choose_execution(resources.execution, request),
            limits=limits_of(spec, request),
            max_concurrent=self._max_concurrent(),
            address=self.options.address,
            tracking_uri=self.tracking_uri,
            experiment=self.base.tracking.experiment,
            plan_hash=plan_hash(self.lock),
            tags={**spec.tracking.tags, names.CODE: self.plan.code_version},
            files=(self.folder / LOCK_FILE, self.folder / SWEEP_FILE),
            scheduler=scheduler_for(spec, self.base.training.num_epochs),
            secondary_metrics=tuple(metric.name for metric in spec.secondary_metrics),
            description="\n\n".join(filter(None, (spec.hypothesis, spec.description))),
            checkpoints=spec.checkpoints,
            refresh_files=refresh,
        )

    @property
    def ledger_url(self) -> str:
        """Where the ledger is; it may hold a password."""
        return ledger_url(self.storage, self.spec.ledger)

    @property
    def tracking_uri(self) -> str:
        """Where MLflow's runs go."""
        return resolve_tracking_uri(self.options.tracking_uri or self.base.tracking.uri, self.storage)

    def _fingerprint(self, config: ExperimentConfig) -> str:
        ensure_corpus(config.data, self._progress)
        return read_corpus(config.data).fingerprint()

    def _source(self) -> tuple[TrialSource, Callable[[], None]]:
        """Return where trials come from, and what enters into the lock what they added to the plan."""
        planned = PlannedTrials(self.plan.trials)
        searched: SearchTrials | PlannedTrials = planned
        if self.plan.searched is not None:
            searched = SearchTrials(self._planner, self.plan, self.folder / PROPOSALS_FILE)
        if self.spec.confirm is None:
            return searched, lambda: self._note(searched.proposed)
        trials = ConfirmedTrials(self._planner, self.plan, searched, self.folder / CONFIRMED_FILE)
        return trials, lambda: self._note(trials.proposed, trials.confirmed)

    def _note(self, proposed: Sequence[Any], confirmed: Sequence[Any] = ()) -> None:
        """Enter what a search proposed, and what of it is confirmed, into the lock; the report reads it."""
        if proposed or confirmed:
            self.lock = lock_of(self.plan, self.options.command, proposed, confirmed)
            write_lock(self.folder / LOCK_FILE, self.lock)

    def _describe(self, trial: PlannedTrial) -> TrialSheet:
        config = shown = without_passwords(trial.config)
        if self.options.address is not None:  # a worker's current folder is the upload, not this one
            config = replace(config, data=absolute(config.data))
        return TrialSheet(
            variant=trial.variant,
            seed=trial.seed,
            config=config_to_dict(config),
            params=flat_params(shown),
            data_fingerprint=self._planner.fingerprint(trial.config),
            code_version=self.plan.code_version,
            whole=self.spec.confirm is not None and trial.seed in self.spec.confirm.seeds,
        )

    def _max_concurrent(self) -> int | None:
        asked = self.options.max_concurrent or self.spec.resources.max_concurrent
        return asked if isinstance(asked, int) else None


def sweep_source(name: str, storage: Path) -> tuple[Path, list[str]]:
    """Return the file and overrides that a sweep was launched with.

    Raises:
        SweepError: There is no such sweep in the storage.
    """
    folder = sweep_folder(name, storage)
    read_sweep(name, storage)
    source = json.loads((folder / SOURCE_FILE).read_text())
    return Path(source["file"]), list(source["overrides"])


def limits_of(spec: SweepSpec, request: Request) -> Limits:
    """Return a sweep file's budget and retries as the queue's limits."""
    retries, budget = spec.retries, spec.budget
    return Limits(
        max_failures=retries.max_failures,
        max_worker_losses=NO_LIMIT if retries.max_preemptions < 0 else retries.max_preemptions,
        retry_out_of_memory=retries.oom == "retry",
        max_failed=budget.max_failed,
        wall_seconds=budget.wall_seconds,
        gpu_seconds=None if budget.gpu_hours is None else budget.gpu_hours * 3600,
        gpus_per_trial=request.most_workers * request.gpus_per_worker,
    )


def absolute(data: DataConfig) -> DataConfig:
    """Return the same data by absolute paths, for workers that start in another folder."""
    recipe = None if data.recipe is None else str(Path(data.recipe).resolve())
    folder = data.folder if is_uri(data.folder) else str(Path(data.folder).resolve())
    return replace(data, folder=folder, recipe=recipe)
