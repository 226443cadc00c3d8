"""The parts of a sweep file that say how it runs, as frozen dataclasses; `spec.SweepSpec` holds them.

None of them changes the result of a trial, so none of them enters its ``trial_key``.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from paraformer.errors import Fault
from paraformer_platform.config.schema import worker_faults
from paraformer_platform.sweeps.reading import Strict

Hours = float
Seconds = float

GOALS = ("minimize", "maximize")
EXECUTIONS = ("auto", "ray_train", "in_trial")
EARLY_TERMINATIONS = ("asha", "hyperband", "median")
TIME_METRICS = ("epoch", "step")
JUDGED = ("dev/", "train/", "test/")
"""Beginnings of metrics that early_terminate can judge by; of a test score the dev score is taken."""
SAMPLERS = ("tpe", "gp", "cmaes", "qmc", "random", "nsgaii")
OUT_OF_MEMORY_ANSWERS = ("fail", "retry")
SECONDS_OF_UNIT = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class MetricConfig(Strict):
    """What the sweep is about."""

    name: str = "test/wer"
    """Name of the metric."""
    goal: str = "minimize"
    """minimize or maximize."""
    target: float | None = None
    """A search ends once a variant is at least this good."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("goal", self.goal, GOALS)


@dataclass(frozen=True)
class DesignConfig(Strict):
    """Method fractional: how much of the full factorial is run."""

    resolution: str = "IV"
    """III: main effects clear of each other; IV: of two-factor interactions too; V: these of each other."""
    generators: str | tuple[str, ...] = "auto"
    """auto, or words such as ``D=ABC``; factors are lettered in the order of the file."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("resolution", self.resolution, ("III", "IV", "V"))
        if isinstance(self.generators, str) and self.generators != "auto":
            yield Fault(
                "generators", self.generators, f"generators ({self.generators}) must be auto or a list"
            )


@dataclass(frozen=True)
class SearchConfig(Strict):
    """Method bayes: who proposes. The same seed proposes the same variants, also after a resume."""

    sampler: str = "tpe"
    """tpe, gp (Gaussian process), cmaes, qmc, random or nsgaii: Optuna's samplers."""
    seed: int = 0
    """Seed of the sampler; the seeds of the trainings stand in the sweep's ``seeds``."""
    startup_trials: int = 10
    """Random proposals before a model of the results is used."""
    lookahead: int = 4
    """Variants at work at once. Proposal n knows the results of all up to n - lookahead and of no others,
    so that it does not depend on which trial happened to end first."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("sampler", self.sampler, SAMPLERS)
        yield from _at_least("lookahead", self.lookahead, 1)
        yield from _at_least("startup_trials", self.startup_trials, 0)
        yield from _at_least("seed", self.seed, 0)


@dataclass(frozen=True)
class ConfirmConfig(Strict):
    """Methods random and bayes: the best variants and the baseline once more, when the search has ended.

    What a search found best was partly lucky. Only numbers from seeds that chose nothing enter the table.
    """

    seeds: tuple[int, ...]
    """Fresh seeds, none of the sweep's ``seeds``."""
    top: int = 1
    """How many of the best variants."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _at_least("top", self.top, 1)
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            message = f"seeds {list(self.seeds)} must be different numbers from 0, at least one"
            yield Fault("seeds", self.seeds, message)


@dataclass(frozen=True)
class EarlyTerminateConfig(Strict):
    """Ending trials that fall behind; refused where it would bias a comparison.

    Trials are judged by the sweep's metric at their epochs, of ``test/wer`` by ``dev/wer``. One that falls
    behind is asked to stop, returns within a few steps, and stays stopped when the sweep is resumed.
    """

    type: str
    """asha (the worst of each rung end), hyperband (asha with several brackets, of which some begin to judge
    later), or median (who is worse than the median of the others' means so far ends)."""
    min_iter: int = 1
    """What every trial gets, in epochs; the first rung."""
    max_iter: int | None = None
    """The last rung lies at or below it; none means the training's own number of epochs. Who has passed the
    last rung is trained to the end."""
    eta: int = 3
    """One in eta trials goes on at each rung, and each rung lies eta times as far as the one before; asha and
    hyperband."""
    time_metric: str = "epoch"
    """What min_iter and max_iter count: epoch, or step for optimiser steps."""
    allow_biased: bool = False
    """Run it on ablation and fractional cells all the same; the report marks what was cut short."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("type", self.type, EARLY_TERMINATIONS)
        yield from _choice("time_metric", self.time_metric, TIME_METRICS)
        yield from _at_least("min_iter", self.min_iter, 1)
        yield from _at_least("eta", self.eta, 2)
        if self.max_iter is not None and self.max_iter < self.min_iter:
            message = f"max_iter ({self.max_iter}) must not be below min_iter ({self.min_iter})"
            yield Fault("max_iter", self.max_iter, message)
        if self.type == "median":
            for name, value, default in (("eta", self.eta, 3), ("max_iter", self.max_iter, None)):
                if value != default:
                    yield Fault(name, value, f"type median has no rungs and does not use {name}")
        elif self.max_iter is None and self.time_metric == "step":
            yield Fault("max_iter", None, "time_metric step needs max_iter, in optimiser steps")


@dataclass(frozen=True)
class BudgetConfig(Strict):
    """When to admit no more trials; running ones are never ended."""

    gpu_hours: Hours | None = None
    """GPU-hours that the trials of this sweep took, in earlier launches too."""
    wall: str | float | None = None
    """Wall time since the launch: 24h, 90m, or a number of seconds."""
    max_failed: int | None = None
    """Trials that failed in this launch, with their retries used up; the next launch tries them again."""

    @property
    def wall_seconds(self) -> Seconds | None:
        """The wall time in seconds."""
        if not isinstance(self.wall, str):
            return self.wall
        parts = re.findall(r"([\d.]+)\s*([smhd])", self.wall)
        return sum(float(number) * SECONDS_OF_UNIT[unit] for number, unit in parts)

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if isinstance(self.wall, str) and not re.fullmatch(r"(\s*\d+(\.\d+)?\s*[smhd])+\s*", self.wall):
            yield Fault("wall", self.wall, f"wall ({self.wall}) must be a time such as 24h, 90m or 1h30m")
        for name in ("gpu_hours", "max_failed"):
            if (value := getattr(self, name)) is not None:
                yield from _at_least(name, value, 0)


@dataclass(frozen=True)
class ResourcesConfig(Strict):
    """What one trial gets; a key left out keeps the base file's value."""

    workers: int | tuple[int, ...] | None = None
    """Workers of one training; more than one train together (DDP), [least, most] as many as have room."""
    cpus_per_worker: float | None = None
    """CPU cores."""
    gpus_per_worker: float | None = None
    """GPUs; a fraction lets trials share one."""
    execution: str | None = None
    """auto, ray_train or in_trial."""
    gpu_mem_gb: float | None = None
    """GPU memory that each worker needs, in units of 2^30 bytes. It then asks for such a share of a GPU that
    as many workers use a card as its memory holds; a larger `gpus_per_worker` stays. Refused before anything
    waits where there is no GPU, or one is too small."""
    max_concurrent: int | str = "auto"
    """Trials at once; auto fills the cluster."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if self.execution is not None:
            yield from _choice("execution", self.execution, EXECUTIONS)
        if isinstance(self.max_concurrent, str):
            yield from _choice("max_concurrent", self.max_concurrent, ("auto",), "or a number")
        else:
            yield from _at_least("max_concurrent", self.max_concurrent, 1)
        yield from worker_faults(self.workers)
        for name in ("cpus_per_worker", "gpus_per_worker", "gpu_mem_gb"):
            if (value := getattr(self, name)) is not None:
                yield from _at_least(name, value, 0)

    def overrides(self) -> dict[str, object]:
        """Return what the sweep says of ``resources`` in the experiment's configuration."""
        names = ("workers", "cpus_per_worker", "gpus_per_worker", "execution")
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {
            f"resources.{name}": list(value) if isinstance(value, tuple) else value
            for name, value in given.items()
        }


@dataclass(frozen=True)
class RetriesConfig(Strict):
    """How often one launch tries a trial again, from its last checkpoint."""

    max_failures: int = 1
    """After an error of the trial itself."""
    max_preemptions: int = -1
    """After its worker was lost; counted apart, -1 is without limit."""
    oom: str = "fail"
    """fail or retry when memory ran out; the same trial would most likely run out again."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _at_least("max_failures", self.max_failures, 0)
        yield from _at_least("max_preemptions", self.max_preemptions, -1)
        yield from _choice("oom", self.oom, OUT_OF_MEMORY_ANSWERS)


@dataclass(frozen=True)
class CheckpointsConfig(Strict):
    """How many checkpoints outlive the trials and the sweep; Determined's words.

    A trial that may be gone on with keeps everything, whatever these say. What another sweep of the storage
    keeps of a shared trial stays too.
    """

    save_trial_latest: int = 1
    """Newest epochs kept of every trial; the newest one, last.pt, can be gone on with."""
    save_trial_best: int = 1
    """Best epochs kept of every trial, by its dev score; the first is best.pt."""
    save_experiment_best: int = 1
    """Trials, the best of the sweep by its metric, whose best.pt is kept though save_trial_best be 0."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        for name in ("save_trial_latest", "save_trial_best", "save_experiment_best"):
            yield from _at_least(name, getattr(self, name), 0)


@dataclass(frozen=True)
class TrackingConfig(Strict):
    """Where MLflow is; a key left out keeps the base file's value."""

    uri: str | None = None
    """MLflow's address."""
    experiment: str | None = None
    """MLflow's experiment."""
    tags: dict[str, str] = field(default_factory=dict)
    """More tags for the sweep's run."""

    def overrides(self) -> dict[str, object]:
        """Return what the sweep says of ``tracking`` in the experiment's configuration."""
        given = {"tracking.uri": self.uri, "tracking.experiment": self.experiment}
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True)
class ReportConfig(Strict):
    """The statistics of the report."""

    alpha: float = 0.05
    """Family-wise error rate; intervals cover 1 - alpha."""
    correction: str = "holm"
    """Correction for many comparisons: holm or none."""
    bootstrap: int = 10000
    """Resamples of an interval."""
    block: str = "speaker"
    """What is resampled as one: speaker or utterance."""
    equivalence_margin: float | None = None
    """A difference to the baseline within this many points (hundredths of the error rate) counts as none."""
    slices: tuple[str, ...] | None = None
    """Groups of test utterances that are compared too: length, and further columns of the test manifest such
    as gender. None: all that there are."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        if not 0 < self.alpha < 1:
            yield Fault("alpha", self.alpha, f"alpha ({self.alpha}) must lie between 0 and 1")
        yield from _at_least("bootstrap", self.bootstrap, 1)
        yield from _choice("correction", self.correction, ("holm", "none"))
        yield from _choice("block", self.block, ("speaker", "utterance"))


def _choice(name: str, value: str, allowed: tuple[str, ...], more: str = "") -> Iterator[Fault]:
    if value not in allowed:
        yield Fault(name, value, f"{name} ({value}) must be one of {', '.join(allowed)} {more}".rstrip())


def _at_least(name: str, value: float, least: float) -> Iterator[Fault]:
    if value < least:
        yield Fault(name, value, f"{name} ({value}) must be at least {least}")
