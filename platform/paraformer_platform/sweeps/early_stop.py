"""The sweep file's ``early_terminate`` as one of Ray Tune's schedulers."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.spec import SweepSpec

if TYPE_CHECKING:
    from ray.tune.schedulers import TrialScheduler

MODES = {"minimize": "min", "maximize": "max"}


def scheduler_for(spec: SweepSpec, num_epochs: int) -> "Callable[[], TrialScheduler] | None":
    """Return what makes the scheduler, None when every trial runs to its end.

    Args:
        spec: The sweep file.
        num_epochs: Epochs of a whole training.

    Raises:
        SweepError: No trial would ever be judged.
    """
    settings = spec.early_terminate
    if settings is None:
        return None
    max_iter = settings.max_iter or num_epochs
    if settings.time_metric == "epoch" and settings.min_iter > max_iter:
        raise SweepError(
            f"early_terminate.min_iter ({settings.min_iter}) is beyond the training's {max_iter} epochs "
            "(training.num_epochs); no trial would ever be judged: lower it or leave early_terminate out"
        )
    from paraformer_platform.sweeps.runner_scheduler import make_scheduler

    arguments: dict[str, Any] = {
        "kind": settings.type,
        "metric": judged_metric(spec.metric.name),
        "mode": MODES[spec.metric.goal],
        "time_metric": settings.time_metric,
        "min_iter": settings.min_iter,
        "max_iter": max_iter,
        "eta": settings.eta,
    }
    return lambda: make_scheduler(**arguments)


def judged_metric(name: str) -> str:
    """Return what running trials are judged by: of a test score, which comes at the end, its dev score."""
    return name.replace("test/", "dev/", 1) if name.startswith("test/") else name
