"""What a sweep will cost, from the trials that have ended or a few steps of the baseline."""

from collections.abc import Mapping
from dataclasses import dataclass
from statistics import mean

from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.sweeps.calibration import Calibration
from paraformer_platform.sweeps.ledger import COMPLETED, Record
from paraformer_platform.sweeps.plan import Plan, PlannedTrial

Seconds = float
SECONDS_METRIC = "cost/train_seconds"


@dataclass(frozen=True)
class Estimate:
    """Time that is left."""

    measured: int
    """Completed trials that the estimate rests on."""
    left: int
    """Trials without a result."""
    seconds: Seconds
    """Time of these one after the other."""
    gpu_hours: float
    """Hours of GPUs that they take."""
    calibration: Calibration | None = None
    """What it rests on where no trial of a variant has ended."""


def estimate(
    plan: Plan, records: Mapping[str, Record], calibration: Calibration | None = None
) -> Estimate | None:
    """Estimate what is left of a plan.

    A trial takes what the other seeds of its variant took, or else what the calibration says, or without one
    in proportion to its epochs the mean of all that ended.

    Args:
        plan: The plan, with the parameters of its variants where there is a calibration.
        records: What the ledger knows, by trial_key.
        calibration: A few steps of the baseline.

    Returns:
        None when no trial of the plan is completed and there is no calibration.
    """
    measured = {
        trial.trial_key: (trial, seconds)
        for trial in plan.trials
        if (seconds := _seconds(records, trial)) is not None
    }
    if not measured and calibration is None:
        return None
    of_variant: dict[str, list[Seconds]] = {}
    for trial, seconds in measured.values():
        of_variant.setdefault(trial.variant, []).append(seconds)
    per_epoch = [seconds / trial.config.training.num_epochs for trial, seconds in measured.values()]
    sizes = {variant.id: variant.parameters or 0 for variant in plan.variants}
    left = [trial for trial in plan.trials if trial.trial_key not in measured]

    def expected(trial: PlannedTrial) -> Seconds:
        if trial.variant in of_variant:
            return mean(of_variant[trial.variant])
        if calibration is not None:
            return calibration.of(trial.config, sizes[trial.variant])
        return mean(per_epoch) * trial.config.training.num_epochs

    times = [expected(trial) for trial in left]
    gpu_seconds = sum(seconds * _gpus(trial.config) for trial, seconds in zip(left, times, strict=True))
    return Estimate(len(measured), len(left), sum(times), gpu_seconds / 3600, calibration)


def count_parameters(config: ExperimentConfig) -> int:
    """Return the number of parameters of a model, made without memory for its weights."""
    import torch

    from paraformer.model import Paraformer

    with torch.device("meta"):
        model = Paraformer.from_config(
            config.model, vocab_size=config.data.vocab_size, feature_dim=config.data.feature_dim
        )
    return sum(parameter.numel() for parameter in model.parameters())


def _seconds(records: Mapping[str, Record], trial: PlannedTrial) -> Seconds | None:
    record = records.get(trial.trial_key)
    if record is None or record.state != COMPLETED:
        return None
    told = (record.result or {}).get(SECONDS_METRIC, record.seconds)
    return float(told) or None


def _gpus(config: ExperimentConfig) -> float:
    return config.resources.most_workers * config.resources.gpus_per_worker
