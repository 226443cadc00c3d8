"""One training from its configuration to its test results.

::

    claim folder ─ corpus ─ front end ─ model ─┬─> epoch: steps ─ decode dev ─ journal ─ checkpoint ─┐
                     (resume from last.pt) ────┘<────────────────────────────────────────────────────┘
                                               └─> best (or averaged) weights ─ decode test ─ summary

`train` knows nothing of who runs it: this process, a trial of Ray Tune, or every worker of a gang. An epoch's
randomness is a pure function of seed, epoch and rank, and checkpoints are taken between epochs, so a resumed
training computes exactly what an uninterrupted one would. The test set is decoded once, at the end.
Only a training that is told to stop, or that its machine goes away, writes a checkpoint within an epoch.
"""

import hashlib
import json
import math
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from paraformer_platform.config.conversion import flat_params
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import RemoteError, TrainingError
from paraformer_platform.storage.archive import Archive
from paraformer_platform.tracking.environment import describe_environment
from paraformer_platform.training import journal as events
from paraformer_platform.training.batches import TrainingBatches
from paraformer_platform.training.checkpoint import (
    Checkpoint,
    copied_weights,
    load_checkpoint,
    new_model,
)
from paraformer_platform.training.cost import PeakMemory, count_parameters, flops_per_second_of_speech
from paraformer_platform.training.evaluation import Evaluator, scores
from paraformer_platform.training.fitting import Fitting
from paraformer_platform.training.folder_lock import only_writer
from paraformer_platform.training.gang import device_of_rank, gathered, wait_for_all
from paraformer_platform.training.journal import Journal
from paraformer_platform.training.kernel_caches import limit_kernel_caches
from paraformer_platform.training.log import epoch_line, log_file, logger
from paraformer_platform.training.machine_load import MachineLoad
from paraformer_platform.training.partial_epoch import PartialEpoch
from paraformer_platform.training.precision import allow_tf32
from paraformer_platform.training.preparation import Preparation, prepare
from paraformer_platform.training.reporter import Reporter
from paraformer_platform.training.results import result_rows, totals, write_rows
from paraformer_platform.training.shelf import DEFAULT_RETENTION, Retention, Shelf
from paraformer_platform.training.stopwatch import Stopwatch
from paraformer_platform.training.trial_folder import TrialFolder
from paraformer_platform.whole_file import write_whole

StepListener = Callable[[int, int], None]
"""Is told how many optimiser steps are done, and of how many."""
Metrics = dict[str, float]

STEPS_BETWEEN_LOOKS = 10
"""How often within an epoch the reporter is asked whether to stop."""
UTTERANCES_FOR_FLOPS = 8


@dataclass(frozen=True)
class TrialResult:
    """How a training ended."""

    trial_key: str
    state: str
    """completed or stopped."""
    metrics: Metrics
    """Final metrics; of a stopped training those of its last epoch."""
    folder: Path


class _Stopped(Exception):
    """The reporter asked for an end within an epoch."""


def train(
    config: ExperimentConfig,
    folder: str | Path,
    reporter: Reporter,
    *,
    preparation: Preparation | None = None,
    on_step: StepListener | None = None,
    retention: Retention = DEFAULT_RETENTION,
) -> TrialResult:
    """Train a model, or go on with its training, or find that it is trained.

    Args:
        config: The experiment.
        folder: The trial's folder; what an interrupted training left there is gone on with.
        reporter: Told of every epoch; says when to stop.
        preparation: The corpus and what belongs to it, where the caller has looked at it already.
        on_step: Called after every optimiser step.
        retention: How many checkpoints the caller will want of it.

    Raises:
        ConfigError: if the folder holds another training.
        DataError: if manifests or audio are faulty.
        TrainingError: if the losses are no longer finite.
        RemoteError: if the archive does not answer at the start or at the end.
    """
    limit_kernel_caches()
    place = TrialFolder(Path(folder))
    preparation = preparation or prepare(config)
    key = preparation.identity.trial_key
    writes = reporter.rank == 0
    archive = None if config.archive is None else Archive(config.archive, key, place.path)
    with only_writer(place.path) if writes else nullcontext():
        if writes:
            if archive is not None:
                archive.fetch()
            place.claim(preparation.identity, config)
        # Whoever wrote here before is gone now, and all ranks find the same.
        wait_for_all(reporter.world_size)
        if archive is not None and not writes:
            archive.fetch()  # into the disk of another machine; in a shared folder it is there already
        if (stored := place.stored_metrics()) is not None:
            return TrialResult(key, events.COMPLETED, stored, place.path)
        with log_file(place.log if writes else None):
            return _Training(config, place, reporter, preparation, on_step, retention, archive).run()


class _Training:
    """The state of one training; each method is one stretch of the way."""

    def __init__(
        self,
        config: ExperimentConfig,
        place: TrialFolder,
        reporter: Reporter,
        preparation: Preparation,
        on_step: StepListener | None,
        retention: Retention,
        archive: Archive | None,
    ) -> None:
        self._config, self._place, self._reporter = config, place, reporter
        self._key, self._corpus = preparation.identity.trial_key, preparation.corpus
        self._frontend = preparation.frontend
        self._own_metrics = preparation.metrics
        self._on_step = on_step or (lambda done, total: None)
        self._writes = reporter.rank == 0
        self._archive = archive if self._writes else None
        self._world_size = reporter.world_size
        self._device = device_of_rank()
        self._journal = Journal(place.journal) if self._writes else None
        self._memory = PeakMemory(self._device)
        self._load = MachineLoad(self._device)
        allow_tf32(config.training)
        self._batches = TrainingBatches(
            config, self._frontend, self._corpus.train, reporter.rank, reporter.world_size
        )
        self._total_steps = self._batches.steps_per_epoch * config.training.num_epochs
        torch.manual_seed(config.training.seed)
        self._model = new_model(config).to(self._device)
        self._fitting = Fitting(self._model, config, self._total_steps, self._device, self._world_size)
        self._dev = self._frontend.dataset(self._corpus.dev)
        ranks = (reporter.rank, reporter.world_size)
        self._evaluator = Evaluator(self._model, self._frontend, config, self._device, *ranks)
        self._shelf = Shelf(place, config.training.average_checkpoints, retention)
        self._epoch = 0
        self._part: PartialEpoch | None = None
        self._watch = Stopwatch(self._world_size if self._device.type == "cuda" else 0)
        self._metrics: Metrics = {}

    def run(self) -> TrialResult:
        """Train what is left to train, then test."""
        self._resume_or_start()
        try:
            with self._load if self._writes else nullcontext():
                self._run_epochs()
            self._metrics = self._test()
        except _Stopped:
            return self._end(events.STOPPED)
        except KeyboardInterrupt:
            self._note(events.STOPPED)
            raise
        except Exception as error:
            self._note(events.FAILED, error=f"{type(error).__name__}: {error}")
            raise
        return self._end(events.COMPLETED)

    def _run_epochs(self) -> None:
        while not self._finished():
            self._metrics = self._run_epoch()
            self._reporter.epoch_finished({**self._metrics, **self._progress()})
            if self._reporter.should_stop() and not self._finished():
                raise _Stopped

    def _resume_or_start(self) -> None:
        if self._place.last_checkpoint.exists():
            self._go_on_from(load_checkpoint(self._place.last_checkpoint))
        self._require_agreement()
        if self._fitting.steps > 0:
            self._note(events.RESUMED, step=self._fitting.steps, workers=self._world_size)
            logger.info("resumed after epoch %d, step %d", self._epoch, self._fitting.steps)
            return
        if self._journal is not None:
            self._journal.cut_back(0)
            write_whole(self._place.environment, json.dumps(describe_environment(), indent=1) + "\n")
        self._note(events.STARTED, workers=self._world_size)
        if self._journal is not None:
            self._journal.params(flat_params(self._config))
        logger.info("started %s with %d parameters", self._key, count_parameters(self._model))

    def _require_agreement(self) -> None:
        """Refuse to go on where the machines of a gang read different checkpoints from the storage."""
        steps = gathered([self._fitting.steps], self._world_size)
        if len(set(steps)) > 1:
            raise TrainingError(
                f"the workers of this gang read checkpoints of different steps in {self._place.checkpoints}: "
                f"{', '.join(map(str, steps))}; mount the storage so that every node sees a new file at once"
            )

    def _progress(self) -> Metrics:
        return {"epoch": float(self._epoch), "step": float(self._fitting.steps)}

    def _finished(self) -> bool:
        patience = self._config.training.early_stop_patience
        waited = self._shelf.ranking.epochs_without_progress()
        return self._epoch >= self._config.training.num_epochs or (
            patience is not None and waited >= patience
        )

    def _run_epoch(self) -> Metrics:
        self._watch.start()
        measured = self._fit_epoch()
        self._epoch += 1
        measured |= self._evaluator.losses(self._dev)
        _require_finite(measured, self._epoch)  # a model of NaNs cannot be decoded
        measured |= scores(self._evaluator.decode(self._dev), "dev", self._own_metrics)
        self._shelf.ranking.add(self._epoch, measured[self._config.training.selection])
        self._watch.stop()
        self._keep(measured)
        logger.info("%s", epoch_line(self._epoch, self._config.training.num_epochs, measured))
        return measured

    def _fit_epoch(self) -> Metrics:
        part = self._part = self._part or self._new_part()
        for group in self._batches.epoch(self._epoch, part.steps):
            part.take_up_random_numbers()
            if part.steps % STEPS_BETWEEN_LOOKS == 0:
                self._look_for_requests(part)
            part.add(self._fitting.step(group))
            self._on_step(self._fitting.steps, self._total_steps)
        self._part = None
        return {
            **dict(part.meter.means("train")),
            "train/learning_rate": part.learning_rate,
            "train/gradient_norm": _finite_mean(torch.stack(part.norms)),
        }

    def _new_part(self) -> PartialEpoch:
        self._seed()
        return PartialEpoch(self._fitting.learning_rate, self._device, self._world_size)

    def _seed(self, steps: int = 0) -> None:
        """Let what is random from here on depend on nothing that came before."""
        where = (self._config.training.seed, self._epoch, self._reporter.rank, *([steps] if steps else []))
        torch.manual_seed(_seed_of(*where))

    def _look_for_requests(self, part: PartialEpoch) -> None:
        if self._reporter.should_stop():
            self._keep_part(part)
            raise _Stopped
        if self._reporter.should_save():
            self._keep_part(part)
            self._note(events.PREEMPTED, step=self._fitting.steps)
            logger.info("a machine will be taken away: checkpoint at step %d", self._fitting.steps)

    def _keep_part(self, part: PartialEpoch) -> None:
        """Write a checkpoint within the epoch; at its first step the one of the last epoch says it all."""
        if part.steps == 0:
            return
        state = part.to_state()
        self._watch.stop()
        if self._writes:
            checkpoint = Checkpoint(self._config, self._frontend.to_state(), copied_weights(self._model))
            self._shelf.keep_last(replace(checkpoint, training=self._state(state)))
        self._archive_if_possible()
        self._watch.start()

    def _keep(self, measured: Metrics) -> None:
        """Write an epoch: journal first, since a resume cuts off what its checkpoint does not know."""
        if self._journal is None:
            return
        checkpoint = Checkpoint(self._config, self._frontend.to_state(), copied_weights(self._model))
        self._shelf.keep_if_good(self._epoch, checkpoint)
        self._journal.system(self._load.take())
        self._journal.metrics(self._fitting.steps, self._epoch, measured)
        self._shelf.keep_last(replace(checkpoint, training=self._state()))
        self._archive_if_possible()

    def _archive_if_possible(self) -> None:
        """Copy the trial; what does not answer now is tried again, and at the end it is an error."""
        if self._archive is None:
            return
        try:
            self._archive.store()
        except RemoteError as error:
            logger.warning("not archived, tried again after the next epoch: %s", error)

    def _state(self, part: dict[str, object] | None = None) -> dict[str, object]:
        assert self._journal is not None
        return {
            "epoch": self._epoch,
            "part": part,
            "watch": self._watch.to_state(),
            "journal_size": self._journal.size,
            "ranking": self._shelf.ranking.to_state(),
            "fitting": self._fitting.to_state(),
        }

    def _go_on_from(self, checkpoint: Checkpoint) -> None:
        state = checkpoint.training
        assert state is not None, "last.pt holds the state of its training"
        self._model.load_state_dict(checkpoint.weights)
        self._fitting.load_state(state["fitting"])
        self._shelf.ranking.load_state(state["ranking"])
        self._epoch = state["epoch"]
        self._watch.load_state(state["watch"])
        if state["part"] is not None:
            self._part = self._new_part()
            if not self._part.load_state(state["part"], self._reporter.rank):
                self._seed(self._part.steps)
        if self._journal is not None:
            self._journal.cut_back(state["journal_size"])

    def _test(self) -> Metrics:
        """Take the best weights, decode the test set, write everything that is final."""
        self._take_best()
        dataset = self._frontend.dataset(self._corpus.test)
        decoded = self._evaluator.decode(dataset, oracle=True)
        heard = [frames * self._shift for frames in dataset.frames()]
        rows = result_rows(self._corpus.test, decoded, heard, self._own_metrics)
        metrics = totals(rows, decoded, self._own_metrics)
        metrics |= self._costs(sum(row.decode_seconds for row in decoded), sum(heard))
        if self._journal is not None:
            write_rows(self._place.test_rows, rows)
            self._journal.metrics(self._fitting.steps, None, metrics)
            self._place.complete(self._key, metrics)
        logger.info("test WER %.2f %%, CER %.2f %%", 100 * metrics["test/wer"], 100 * metrics["test/cer"])
        return metrics

    def _take_best(self) -> None:
        if self._writes:
            self._shelf.settle()
        wait_for_all(self._world_size)
        self._model.load_state_dict(load_checkpoint(self._place.best_checkpoint).weights)

    def _costs(self, decode_seconds: float, heard_seconds: float) -> Metrics:
        dataset = self._frontend.dataset(self._corpus.test[:UTTERANCES_FOR_FLOPS])
        features = [dataset[index].features.to(self._device) for index in range(len(dataset))]
        memory = self._memory.megabytes()
        return {
            "cost/parameters": float(count_parameters(self._model)),
            "cost/train_seconds": self._watch.seconds,
            "cost/gpu_hours": self._watch.gpu_seconds / 3600,
            "cost/peak_memory_mb": memory,
            "cost/rtf": decode_seconds / heard_seconds,
            "cost/flops_per_second_of_speech": flops_per_second_of_speech(
                self._model, features, self._shift, self._config.decoding.strategy
            ),
        }

    @property
    def _shift(self) -> float:
        return self._frontend.extractor.config.frame_shift_seconds

    def _note(self, state: str, **details: object) -> None:
        if self._journal is not None:
            self._journal.state(state, **details)

    def _end(self, state: str) -> TrialResult:
        self._note(state)
        logger.info("%s", state)
        if self._archive is not None:
            self._archive.store()
        return TrialResult(self._key, state, self._metrics, self._place.path)


def _seed_of(*where: int) -> int:
    digest = hashlib.sha256("/".join(map(str, where)).encode()).digest()
    return int.from_bytes(digest[:7], "little")


def _finite_mean(values: torch.Tensor) -> float:
    """Mean of the finite values: fp16 now and then overflows, and such a step is left out."""
    finite = values[values.isfinite()]
    return float((finite if len(finite) else values).mean())


def _require_finite(metrics: Metrics, epoch: int) -> None:
    wrong = [f"{name} is {value}" for name, value in metrics.items() if not math.isfinite(value)]
    if wrong:
        raise TrainingError(
            f"training broke down in epoch {epoch} ({', '.join(wrong)}); try a lower "
            "training.learning_rate, more training.warmup_steps, or training.precision=fp32"
        )
