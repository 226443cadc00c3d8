"""A sweep ready to run, what is known of its trials, and how it ended."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from paraformer_platform.clusters.preflight import Request
from paraformer_platform.sweeps.queue import Limits, TrialSource
from paraformer_platform.sweeps.settings import CheckpointsConfig

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

INTERRUPTED = "interrupted"
RAY_TRAIN = "ray_train"
IN_TRIAL = "in_trial"


@dataclass(frozen=True)
class TrialSheet:
    """What the driver knows of a trial besides its key."""

    variant: str
    seed: int
    config: Mapping[str, Any]
    """Resolved configuration, as the worker gets it."""
    params: Mapping[str, object]
    """The same, flat, for MLflow."""

    data_fingerprint: str = ""
    code_version: str = ""
    whole: bool = False
    """Whether it is never ended early."""

    @property
    def label(self) -> str:
        """Name the trial for people."""
        return f"{self.variant} · seed {self.seed}"


@dataclass(frozen=True)
class SweepJob:
    """A sweep, ready to run."""

    name: str
    storage: Path
    ledger_url: str
    source: TrialSource
    describe: Callable[[Any], TrialSheet]
    """Tells what a trial of the source is."""
    metric: str
    """Name of the metric that is shown: what the sweep is about; of a search, what it chooses by."""
    goal: str = "minimize"
    request: Request = field(default_factory=lambda: Request(1, cpus_per_worker=1, gpus_per_worker=0))
    execution: str = IN_TRIAL
    """in_trial or ray_train."""
    limits: Limits = field(default_factory=Limits)
    max_concurrent: int | None = None
    address: str | None = None
    """Address of a Ray; None starts one on this machine."""
    tracking_uri: str = ""
    experiment: str = "paraformer"
    plan_hash: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    """Tags of the parent run and of every trial."""
    files: tuple[Path, ...] = ()
    """Files of the sweep that its parent run keeps; read at the start and again at the end."""
    refresh_files: Callable[[], None] = lambda: None
    """Brings these files up to date; called as trials begin, and at the end."""
    scheduler: "Callable[[], TrialScheduler] | None" = None
    """Makes what judges running trials, for early stopping."""
    secondary_metrics: tuple[str, ...] = ()
    """Names of metrics that are shown too."""
    description: str = ""
    """What MLflow shows on the parent run's page."""
    checkpoints: CheckpointsConfig = field(default_factory=CheckpointsConfig)
    """How many checkpoints are kept; the lock in the sweep's folder says the same."""

    @property
    def folder(self) -> Path:
        """The sweep's own folder."""
        return self.storage / "sweeps" / self.name


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended."""

    completed: int
    failed: int
    stopped: int
    """Trials that were stopped, for now or for good."""
    ended_early: int
    """Those that ``early_terminate`` ended for good."""
    settled: int
    """Trials that have an outcome."""
    planned: int
    """Trials that there were to be at most; a search may end before."""
    stop_reason: str | None
    """Why trials were left out; None when none were."""
    run_id: str
    """Parent run in MLflow."""
    unsent: tuple[str, ...]
    """Trials whose results MLflow did not take, and the sweep's own run if it did not take its end."""
    failures: Mapping[str, str]
    """Error of every failed trial by its label."""

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C or SIGTERM ended the sweep."""
        return self.stop_reason == INTERRUPTED

    @property
    def whole(self) -> bool:
        """Whether the sweep is through: every trial is completed, or was meant to be ended early."""
        return self.stop_reason is None and self.completed + self.ended_early == self.settled


def choose_execution(asked: str, request: Request) -> str:
    """Resolve ``auto``: Ray Train for GPUs and gangs, the trial's own reused actor for one CPU worker."""
    if asked != "auto":
        return asked
    return RAY_TRAIN if request.most_workers > 1 or request.gpus_per_worker > 0 else IN_TRIAL
