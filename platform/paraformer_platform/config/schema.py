"""An experiment as frozen dataclasses: everything that an experiment file may say, with its default.

An experiment file gives only what differs; ``load.load_experiment`` fills these classes in. Each class lists
everything impossible about itself at once, see `ExperimentConfig.faults`.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from paraformer.augment import AugmentConfig
from paraformer.config import ModelConfig
from paraformer.errors import Fault
from paraformer.features import FeatureConfig

SCHEDULES = ("inverse_sqrt", "cosine", "constant")
PRECISIONS = ("fp32", "bf16", "fp16")
EXECUTIONS = ("auto", "ray_train", "in_trial")
SELECTIONS = ("dev/cer", "dev/wer", "dev/loss")
TOKENIZERS = ("char", "char_from_texts", "bpe")
STRATEGIES = ("greedy", "nucleus", "ctc_greedy", "beam")
OUR_METRICS = (
    *("loss", "ce", "ctc", "quantity", "token_accuracy"),
    *(f"{kind}{unit}" for kind in ("", "ctc_", "oracle_length_") for unit in ("wer", "cer")),
    *(f"{unit}_{edit}" for unit in ("word", "char") for edit in ("substitutions", "deletions", "insertions")),
    "length_mae",
)
"""What dev/… and test/… are called already."""

WINDOW_SECONDS = 0.025
HOP_SECONDS = 0.010


@dataclass(frozen=True)
class DataConfig:
    """Which speech, and what becomes of it before the network."""

    folder: str = "data/digits"
    """Folder of the manifests, or a URI such as s3://bucket/digits, of which every machine fetches a copy."""
    recipe: str | None = None
    """YAML of synthetic speech; the corpus is made first where the folder does not hold it."""
    reader: str | None = None
    """Import path of a function, `package.module:function`, that takes the path of a manifest and gives its
    utterances; none reads tab-separated text."""
    train: str = "train.tsv"
    """Manifest to train on, relative to the folder."""
    dev: str = "dev.tsv"
    """Manifest decoded after every epoch; it chooses the best checkpoint."""
    test: str = "test.tsv"
    """Manifest decoded once, at the end."""
    tokenizer: str = "char"
    """char (printable ASCII), char_from_texts, bpe, or the import path of a class, `package.module:Class`."""
    vocab_size: int = 100
    """Number of token ids, the width of the logits."""
    features: str = "log_mel"
    """log_mel, or kaldi_fbank."""
    feature_dim: int = 80
    """Mel bins."""
    sample_rate: int = 16_000
    """Hertz; audio of another rate is resampled."""
    dither: float = 0.0
    """Noise added to the samples in training, as a share of a 16-bit step; never at evaluation."""
    max_feat_len: int = 300
    """Frames of 10 ms; longer training utterances are left out and counted, dev and test are kept whole."""
    max_token_len: int = 60
    """Tokens; longer training utterances are left out and counted, dev and test are kept whole."""
    cmvn: bool = True
    """Normalise features by mean and deviation over the training set."""
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    """Changes to training speech."""

    @property
    def feature_config(self) -> FeatureConfig:
        """The feature extraction these values stand for: windows of 25 ms every 10 ms."""
        return FeatureConfig(
            kind=self.features,
            sample_rate=self.sample_rate,
            n_fft=round(self.sample_rate * WINDOW_SECONDS),
            hop_length=round(self.sample_rate * HOP_SECONDS),
            num_mels=self.feature_dim,
            dither=self.dither,
        )

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("features", self.features, ("log_mel", "kaldi_fbank"))
        yield from _choice_or_path("tokenizer", self.tokenizer, TOKENIZERS)
        if self.reader is not None:
            yield from _import_path("reader", self.reader)
        yield from _at_least("vocab_size", self.vocab_size, 5)
        yield from _at_least("sample_rate", self.sample_rate, 1000)
        for name in ("feature_dim", "max_feat_len", "max_token_len"):
            yield from _at_least(name, getattr(self, name), 1)
        yield from _at_least("dither", self.dither, 0)
        for fault in self.augment.faults():
            yield replace(fault, path=f"augment.{fault.path}")


@dataclass(frozen=True)
class TrainingConfig:
    """How the network is fitted."""

    seed: int = 11
    """Decides initial weights, batches, dropout and augmentation."""
    batch_size: int = 16
    """Utterances of a batch over all workers together."""
    batch_frames: int | None = None
    """Frames of a batch over all workers together, padding included; a second limit beside batch_size."""
    accumulate: int = 1
    """Batches whose gradients make one optimiser step."""
    num_epochs: int = 100
    """Passes over the training set."""
    learning_rate: float = 1e-4
    """Highest learning rate of AdamW, reached at the end of the warm-up."""
    warmup_steps: int = 200
    """Optimiser steps over which the learning rate rises from 0; at most a tenth of the training is used."""
    schedule: str = "cosine"
    """After the warm-up: cosine (to 0 at the last step), inverse_sqrt (Vaswani et al. 2017) or constant."""
    weight_decay: float = 0.01
    """AdamW's decoupled decay of matrices; biases and normalisations have none."""
    gradient_clip: float = 5.0
    """Greatest norm of all gradients together; 0 turns clipping off."""
    precision: str = "fp32"
    """fp32, or bf16 or fp16 for matrix products; weights, losses and CIF stay in fp32."""
    tf32: bool = True
    """Let NVIDIA GPUs round fp32 matrix products to TF32."""
    compile: bool = False
    """Compile the network with torch.compile; worth its minutes on GPUs."""
    gradient_checkpointing: bool = False
    """Keep only what goes into each encoder and decoder layer and compute the rest again in the backward
    pass: less memory, about a third more computing, the same gradients."""
    early_stop_patience: int | None = None
    """Epochs without a better dev score after which training ends; none trains to the end."""
    average_checkpoints: int = 1
    """Weights of so many of the best epochs are averaged for the test; 1 takes the best epoch's."""
    selection: str = "dev/cer"
    """Score that tells which epoch is best, the lower the better: dev/cer, dev/wer or dev/loss."""
    loader_workers: int = 0
    """Processes that prepare batches beside each training worker; 0 leaves it to a thread of the worker,
    which keeps speech in memory from epoch to epoch where processes read it anew."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("schedule", self.schedule, SCHEDULES)
        yield from _choice("precision", self.precision, PRECISIONS)
        yield from _choice("selection", self.selection, SELECTIONS)
        for name in ("batch_size", "accumulate", "num_epochs", "average_checkpoints"):
            yield from _at_least(name, getattr(self, name), 1)
        for name in ("seed", "warmup_steps", "weight_decay", "gradient_clip", "loader_workers"):
            yield from _at_least(name, getattr(self, name), 0)
        for name in ("batch_frames", "early_stop_patience"):
            if (value := getattr(self, name)) is not None:
                yield from _at_least(name, value, 1)
        if self.learning_rate <= 0:
            message = f"learning_rate ({self.learning_rate}) must be above 0"
            yield Fault("learning_rate", self.learning_rate, message)


@dataclass(frozen=True)
class DecodingConfig:
    """How dev and test are decoded; the true length is never known."""

    strategy: str = "greedy"
    """greedy, nucleus, ctc_greedy, beam (autoregressive decoder), or the import path of a function,
    `package.module:function`."""
    batch_size: int = 16
    """Utterances decoded at once; cost/rtf is measured with it."""
    metrics: tuple[str, ...] = ()
    """Further metrics beside the error rates: import paths of functions, `package.module:function`, that
    score a reference and a hypothesis. They become dev/<function>, test/<function>, columns of test.csv."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice_or_path("strategy", self.strategy, STRATEGIES)
        yield from _at_least("batch_size", self.batch_size, 1)
        for path in self.metrics:
            yield from _import_path("metrics", path)
        names = [path.rpartition(":")[2] for path in self.metrics]
        for name in sorted({name for name in names if names.count(name) > 1 or name in OUR_METRICS}):
            taken = "ours" if name in OUR_METRICS else "there twice"
            message = (
                f"metrics ({', '.join(self.metrics)}): the name {name} is {taken}; give the function another"
            )
            yield Fault("metrics", self.metrics, message)


@dataclass(frozen=True)
class ResourcesConfig:
    """What one training runs on; nothing here changes its result."""

    workers: int | tuple[int, ...] = 1
    """Processes that train one model together (DDP) and share the batch: a number, or [least, most] to train
    on as many as there is room for, from the last checkpoint on whenever that changes."""
    cpus_per_worker: float = 1
    """CPU cores of each."""
    gpus_per_worker: float = 0
    """GPUs of each; a fraction lets trials share one."""
    execution: str = "auto"
    """ray_train, in_trial (within the reused process of a sweep), or auto: ray_train for GPUs and gangs."""

    def faults(self) -> Iterator[Fault]:
        """Everything impossible about these values."""
        yield from _choice("execution", self.execution, EXECUTIONS)
        yield from worker_faults(self.workers)
        for name in ("cpus_per_worker", "gpus_per_worker"):
            yield from _at_least(name, getattr(self, name), 0)
        if self.execution == "in_trial" and self.workers not in (1, (1, 1)):
            message = f"execution (in_trial) trains in one process, workers is {_shown(self.workers)}"
            yield Fault("execution", self.execution, message)

    @property
    def least_workers(self) -> int:
        """Fewest processes that a training runs on."""
        return self.workers if isinstance(self.workers, int) else self.workers[0]

    @property
    def most_workers(self) -> int:
        """Most processes that a training runs on."""
        return self.workers if isinstance(self.workers, int) else self.workers[-1]


@dataclass(frozen=True)
class TrackingConfig:
    """Where MLflow keeps the runs."""

    uri: str | None = None
    """Tracking store; none means MLFLOW_TRACKING_URI, or else SQLite in the storage folder."""
    experiment: str = "paraformer"
    """MLflow experiment."""


@dataclass(frozen=True)
class ExperimentConfig:
    """One training, whole."""

    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    decoding: DecodingConfig = field(default_factory=DecodingConfig)
    resources: ResourcesConfig = field(default_factory=ResourcesConfig)
    tracking: TrackingConfig = field(default_factory=TrackingConfig)
    storage: str = "runs"
    """Folder of trials, sweeps and the ledger."""
    archive: str | None = None
    """URI, such as s3://bucket/trials, to which every trial is copied after each epoch, and from which one is
    fetched that this storage does not have."""

    def faults(self) -> list[Fault]:
        """Everything impossible about this experiment at once, with paths such as `training.batch_size`."""
        parts = {
            "model": self.model.faults(),
            "data": self.data.faults(),
            "training": self.training.faults(),
            "decoding": self.decoding.faults(),
            "resources": self.resources.faults(),
        }
        inner = [
            replace(fault, path=f"{name}.{fault.path}") for name, faults in parts.items() for fault in faults
        ]
        return inner + list(self._joint_faults())

    def _batch_faults(self) -> Iterator[Fault]:
        """The batch must be shared evenly by every number of workers that may come."""
        batch, resources = self.training.batch_size, self.resources
        if batch < 1 or any(worker_faults(resources.workers)):
            return
        sizes = range(resources.least_workers, resources.most_workers + 1)
        uneven = [size for size in sizes if batch % size]
        if not uneven:
            return
        message = f"batch_size ({batch}) must be divisible by resources.workers ({_shown(resources.workers)})"
        if len(sizes) > 1:
            step = math.lcm(*sizes)
            message += (
                f" at every size between, but {', '.join(map(str, uneven))} "
                f"{'leaves' if len(uneven) == 1 else 'leave'} a remainder; multiples of {step} do not"
            )
        yield Fault("training.batch_size", batch, message)

    def _joint_faults(self) -> Iterator[Fault]:
        if "://" in self.storage:
            message = (
                f"storage ({self.storage}) must be a folder, with the ledger and requests to stop in it; "
                "for copies of all trials in an object store use archive"
            )
            yield Fault("storage", self.storage, message)
        if self.archive is not None and "://" not in self.archive:
            message = f"archive ({self.archive}) must be a URI such as s3://bucket/trials"
            yield Fault("archive", self.archive, message)
        yield from self._batch_faults()
        if self.decoding.strategy == "beam" and self.model.decoder.kind != "autoregressive":
            message = (
                f"strategy (beam) needs model.decoder.kind autoregressive, not {self.model.decoder.kind}"
            )
            yield Fault("decoding.strategy", "beam", message)


def worker_faults(workers: int | tuple[int, ...] | None) -> Iterator[Fault]:
    """What is impossible about a number of workers, or about the two of an elastic training."""
    if workers is None:
        return
    shown = _shown(workers)
    if not isinstance(workers, int) and len(workers) != 2:
        yield Fault("workers", shown, f"workers ({shown}) must be a number or [least, most]")
    elif not isinstance(workers, int) and workers[0] > workers[1]:
        yield Fault("workers", shown, f"workers ({shown}): the least must not be above the most")
    elif (workers if isinstance(workers, int) else workers[0]) < 1:
        yield Fault("workers", shown, f"workers ({shown}) must be at least 1")


def _shown(workers: int | tuple[int, ...]) -> int | list[int]:
    """As a YAML file says it."""
    return workers if isinstance(workers, int) else list(workers)


def _choice(name: str, value: str, allowed: tuple[str, ...], more: str = "") -> Iterator[Fault]:
    if value not in allowed:
        yield Fault(name, value, f"{name} ({value}) must be one of {', '.join(allowed)} {more}".rstrip())


def _choice_or_path(name: str, value: str, allowed: tuple[str, ...]) -> Iterator[Fault]:
    if ":" not in value:
        yield from _choice(name, value, allowed, "or an import path 'package.module:name'")


def _import_path(name: str, value: str) -> Iterator[Fault]:
    module, _, function = value.partition(":")
    if not module or not function:
        yield Fault(name, value, f"{name} ({value}) must be an import path 'package.module:function'")


def _at_least(name: str, value: float, least: float) -> Iterator[Fault]:
    if value < least:
        yield Fault(name, value, f"{name} ({value}) must be at least {least}")
