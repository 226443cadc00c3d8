"""What a training step costs, part by part.

A step of the configured model is taken several times on random features of the configured size: once to count
operations, once to weigh what autograd keeps, some times against the clock, once for the trace. Counting and
weighing would slow the clock down, so each has a step of its own.
"""

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from paraformer.dataset import Batch
from paraformer.losses import TrainingObjective
from paraformer.model import Paraformer
from paraformer.recompute import recompute_layers
from paraformer.tokenizer import NUM_SPECIAL
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.inspection.matrix_rate import matrix_rate
from paraformer_platform.inspection.measures import Clock, KeptTensors, OperationCount, TraceMarks, wait_for
from paraformer_platform.inspection.regions import Watcher, parts_of, watched
from paraformer_platform.training.checkpoint import new_model
from paraformer_platform.training.cost import MEGABYTE, PeakMemory, count_parameters
from paraformer_platform.training.gang import device_of_rank
from paraformer_platform.training.optimiser import build_optimiser, clip_gradients
from paraformer_platform.training.precision import autocast, gradient_scaler

Seconds = float
Progress = Callable[[int, int], None]
"""Is told how many steps are done, and of how many."""

STAGES = ("forward", "backward", "update")
_FRAMES_PER_TOKEN = 2
"""Encoder frames for each random token: CTC needs one, and a second between equal ones."""


@dataclass(frozen=True)
class PartCost:
    """The forward pass of one part, the parts within it included."""

    name: str
    calls: int
    """In one step; the sampler runs the decoder twice."""
    seconds: Seconds
    """Median over the timed steps."""
    share: float
    """Of the whole forward pass."""
    operations: int
    matrix_share: float
    """Operations a second, as a share of the machine's matrix rate."""
    parameter_mb: float
    """In 10^6 bytes."""
    kept_mb: float
    """What autograd keeps of it until the backward pass, in 10^6 bytes."""


@dataclass(frozen=True)
class Profile:
    """What one training step costs."""

    device: str
    precision: str
    utterances: int
    frames: int
    """Feature frames of each utterance."""
    tokens: int
    """Tokens of each."""
    parameters: int
    matrix_rate: float
    """Operations a second of a large matrix product in this precision, here, at its best."""
    stages: dict[str, Seconds]
    """Median time of forward, backward and update."""
    operations: int
    """Of forward and backward together."""
    matrix_share: float
    """Operations of a step over its time, as a share of the matrix rate."""
    kept_mb: float
    """What autograd keeps of the whole forward pass, in 10^6 bytes."""
    peak_mb: float
    """Most memory in use during the timed steps, of the GPU or of the process, in 10^6 bytes."""
    parts: list[PartCost]

    @property
    def step_seconds(self) -> Seconds:
        """Time of a whole step."""
        return sum(self.stages.values())

    def to_dict(self) -> dict[str, object]:
        """Everything as plain values, for JSON."""
        return {**asdict(self), "step_seconds": self.step_seconds}


class _Nobody:
    """A watcher that does nothing."""

    def enter(self, part: str) -> None: ...

    def leave(self, part: str) -> None: ...


def profile_training(
    config: ExperimentConfig, trace: Path | None = None, repeats: int = 5, progress: Progress | None = None
) -> Profile:
    """Measure the training step of an experiment; its data are not read.

    Args:
        config: The experiment: model, batch size, precision, and the longest utterance that it trains on.
        trace: Where to write a trace for chrome://tracing or Perfetto.
        repeats: Timed steps, after one to warm up.
        progress: Told of every step.
    """
    return _Profiling(config, repeats, progress or (lambda done, total: None)).run(trace)


class _Profiling:
    """A model, a batch and the steps taken with them."""

    def __init__(self, config: ExperimentConfig, repeats: int, progress: Progress) -> None:
        self._config, self._repeats, self._progress = config, repeats, progress
        self._device = device_of_rank()
        torch.manual_seed(config.training.seed)
        self._model = new_model(config).to(self._device).train()
        recompute_layers(self._model, config.training.gradient_checkpointing)
        self._objective = TrainingObjective(self._model, config.model.loss)
        self._optimiser = build_optimiser(self._model, config.training)
        self._scaler = gradient_scaler(config.training.precision, self._device)
        self._batch = random_batch(config, self._model).to(self._device)
        self._done = 0

    def run(self, trace: Path | None) -> Profile:
        self._step(_Nobody())  # warms up: allocator, kernels, optimiser state
        with OperationCount() as count:
            self._step(count)
        with KeptTensors(self._model) as kept:
            self._step(kept)
        memory = PeakMemory(self._device)
        clocks, stages = zip(*(self._timed() for _ in range(self._repeats)), strict=True)
        peak = memory.megabytes()
        if trace is not None:
            self._trace(trace)
        rate = matrix_rate(self._config.training, self._device)
        typical = {stage: median(one[stage] for one in stages) for stage in STAGES}
        batch = self._batch
        return Profile(
            device=_name_of(self._device),
            precision=self._config.training.precision,
            utterances=len(batch),
            frames=batch.features.shape[1],
            tokens=batch.tokens.shape[1],
            parameters=count_parameters(self._model),
            matrix_rate=rate,
            stages=typical,
            operations=count.total,
            matrix_share=count.total / sum(typical.values()) / rate,
            kept_mb=kept.total / MEGABYTE,
            peak_mb=peak,
            parts=self._costs(clocks, count, kept, typical["forward"], rate),
        )

    def _step(self, watcher: Watcher) -> dict[str, Seconds]:
        """Take one step; the times of its stages."""
        marks = [self._now()]
        with watched(self._model, watcher), autocast(self._config.training.precision, self._device):
            total = self._objective(self._batch).total
        marks.append(self._now())
        self._scaler.scale(total).backward()
        marks.append(self._now())
        self._update()
        marks.append(self._now())
        self._done += 1
        self._progress(self._done, self._repeats + 4)
        return {stage: marks[n + 1] - marks[n] for n, stage in enumerate(STAGES)}

    def _update(self) -> None:
        self._scaler.unscale_(self._optimiser)
        clip_gradients(self._model.parameters(), self._config.training.gradient_clip)
        self._scaler.step(self._optimiser)
        self._scaler.update()
        self._optimiser.zero_grad(set_to_none=True)

    def _timed(self) -> tuple[Clock, dict[str, Seconds]]:
        clock = Clock(self._device)
        stages = self._step(clock)
        return clock, stages

    def _trace(self, path: Path) -> None:
        activities = [ProfilerActivity.CPU]
        if self._device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        with profile(activities=activities) as recorded:
            self._step(TraceMarks())
        path.parent.mkdir(parents=True, exist_ok=True)
        recorded.export_chrome_trace(str(path))

    def _costs(
        self,
        clocks: tuple[Clock, ...],
        count: OperationCount,
        kept: KeptTensors,
        forward: Seconds,
        rate: float,
    ) -> list[PartCost]:
        costs = []
        for name, module in parts_of(self._model).items():
            seconds = median(clock.seconds[name] for clock in clocks)
            operations = count.operations[name]
            costs.append(
                PartCost(
                    name=name,
                    calls=clocks[0].calls[name],
                    seconds=seconds,
                    share=seconds / forward,
                    operations=operations,
                    matrix_share=operations / seconds / rate if seconds else 0.0,
                    parameter_mb=sum(p.nbytes for p in module.parameters()) / MEGABYTE,
                    kept_mb=kept.bytes[name] / MEGABYTE,
                )
            )
        return costs

    def _now(self) -> Seconds:
        wait_for(self._device)
        return time.perf_counter()


def random_batch(config: ExperimentConfig, model: Paraformer) -> Batch:
    """A full batch of the longest utterances that the experiment trains on, of random features and tokens."""
    data, size = config.data, config.training.batch_size // config.resources.least_workers
    feat_lens = torch.full((size,), data.max_feat_len)
    room = int(model.output_lengths(feat_lens)[0]) // _FRAMES_PER_TOKEN
    tokens = max(1, min(data.max_token_len, room))
    generator = torch.Generator().manual_seed(config.training.seed)
    return Batch(
        features=torch.randn(size, data.max_feat_len, data.feature_dim, generator=generator),
        feat_lens=feat_lens,
        tokens=torch.randint(NUM_SPECIAL, data.vocab_size, (size, tokens), generator=generator),
        token_lens=torch.full((size,), tokens),
        ids=[str(number) for number in range(size)],
    )


def _name_of(device: torch.device) -> str:
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread{'s' if threads > 1 else ''}"
