"""Training one trial with Ray Train: several workers, or GPUs, started from inside the trial's Tune actor.

The trial's actor holds the claim and follows the journal that rank 0 writes; the workers train. Ray Train
gives the process group, and starts all workers again from the last checkpoint when one is lost, when their
machine is taken away, and, of an elastic training, when there is room for more of them or no longer for all.
"""

import json
import os
import threading
import time
from collections.abc import Callable, Mapping, MutableMapping
from pathlib import Path
from typing import Any

from paraformer_platform.clusters.preflight import Request
from paraformer_platform.clusters.ray_traps import name_cluster
from paraformer_platform.errors import ClusterError, WorkerLostError
from paraformer_platform.sweeps.trial import SweepReporter, TrainFunction, TrialTask
from paraformer_platform.training.reporter import Reporter
from paraformer_platform.whole_file import write_whole

Seconds = float
JOURNAL_INTERVAL: Seconds = 0.5
"""Pause between two looks at the journal for finished epochs."""
WORKER_RESTARTS = 3
"""Times Ray Train starts all workers again after losing one."""
START_FAILURES = 20
"""Times Ray Train may fail to place the workers, a minute each; its default tries for ever."""
RESIZE_INTERVAL: Seconds = 30.0
"""Pause between two looks for room for more workers of an elastic training; growing costs it a restart."""
SHRINK_AFTER: Seconds = 10.0
"""How long an elastic training waits for workers that it lost, before it asks again how many have room. With
Ray Train's 60 s it was still waiting 40 s later for a machine that was gone."""
FASTER = {
    # Workers tell of their epochs in the journal, so this poll only notices that they began, died or ended;
    # Ray's 2 s are time that the gang's GPUs stand still after the last epoch.
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25",
    # Ray's own dashboards of Ray Train's inner times.
    "RAY_TRAIN_METRICS_ENABLED": "0",
}
"""Ray Train's settings where the user has none; the actor that starts it is used again for the next trial."""
RESULT_FILE = "ray_train/result.json"


def gang_training(train: TrainFunction, request: Request) -> TrainFunction:
    """Turn a training into one that runs in Ray Train workers.

    Args:
        train: What every worker does; its reporter tells it its rank.
        request: How many workers, and what each needs.
    """

    def train_in_gang(task: TrialTask, reporter: Reporter) -> Mapping[str, float] | None:
        return _fit(task, train, request, reporter)

    return train_in_gang


class GangReporter(SweepReporter):
    """The reporter of one Ray Train worker: all ranks stop together, or the others would wait for ever."""

    def __init__(self, task: TrialTask) -> None:
        import ray.train

        context = ray.train.get_context()
        super().__init__(task, rank=context.get_world_rank(), world_size=context.get_world_size())
        self._leaving: set[str] = set()
        """Machines that will be taken away, as far as a checkpoint was asked for."""

    def should_stop(self) -> bool:
        """Let rank 0 look for a request to stop, and tell every rank."""
        import torch
        import torch.distributed as dist

        if self.world_size == 1:
            return super().should_stop()
        asked = super().should_stop() if self.rank == 0 else False
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        answer = torch.tensor([int(asked)], device=device)
        dist.broadcast(answer, src=0)
        return bool(answer.item())

    def should_save(self) -> bool:
        """Ask for a checkpoint once for every machine of this gang that is about to be taken away."""
        import ray.train

        notice = ray.train.get_preemption_info()  # the same on all ranks
        leaving = set() if notice is None else set(notice.preempted_node_ids)
        is_news = not leaving <= self._leaving
        self._leaving |= leaving
        return is_news


def _fit(
    task: TrialTask, train: TrainFunction, request: Request, reporter: Reporter
) -> Mapping[str, float] | None:
    """Run the gang in a thread, and meanwhile report the epochs that its journal shows."""
    errors: list[Exception] = []
    result = task.folder / RESULT_FILE
    result.unlink(missing_ok=True)

    def fit() -> None:
        try:
            _trainer(task, train, request).fit()
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=fit, name="ray-train", daemon=True)
    thread.start()
    follow_journal(task.folder / "journal.jsonl", reporter.epoch_finished, thread.is_alive)
    thread.join()
    if errors:
        raise _cause(errors[0])
    metrics: Mapping[str, float] | None = json.loads(result.read_text())
    return metrics


def _trainer(task: TrialTask, train: TrainFunction, request: Request) -> Any:
    import ray
    import ray.train
    from ray.train.torch import TorchConfig, TorchTrainer

    name_cluster()
    tune_ray_train(os.environ)
    gpus = request.gpus_per_worker
    if request.is_elastic:
        os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"] = str(SHRINK_AFTER)
    return TorchTrainer(
        worker_loop,
        train_loop_config={"task": task, "train": train},
        torch_config=TorchConfig(backend="nccl" if gpus else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=(request.workers, request.most_workers) if request.is_elastic else request.workers,
            elastic_resize_monitor_interval_s=RESIZE_INTERVAL,
            use_gpu=gpus > 0,
            resources_per_worker={"CPU": request.cpus_per_worker, **({"GPU": gpus} if gpus else {})},
        ),
        run_config=ray.train.RunConfig(
            name="ray_train",
            storage_path=str(task.folder),
            failure_config=ray.train.FailureConfig(
                max_failures=WORKER_RESTARTS,
                max_preemption_failures=-1,
                controller_failure_limit=START_FAILURES,
            ),
        ),
    )


def tune_ray_train(environment: MutableMapping[str, str]) -> None:
    """Have Ray Train notice sooner what its workers do, and leave out what nobody looks at.

    Args:
        environment: Variables of the process that starts it, which hands them on; what is set stays.
    """
    for name, value in FASTER.items():
        environment.setdefault(name, value)


def worker_loop(config: dict[str, Any]) -> None:
    """Train in one Ray Train worker; rank 0 leaves the final metrics for the trial's actor."""
    import torch

    task: TrialTask = config["task"]
    torch.set_num_threads(task.threads)
    reporter = GangReporter(task)
    metrics = config["train"](task, reporter)
    if reporter.rank == 0:
        path = task.folder / RESULT_FILE
        write_whole(path, json.dumps(metrics))


def follow_journal(
    journal: Path,
    report: Callable[[Mapping[str, float]], None],
    goes_on: Callable[[], bool],
    interval: Seconds = JOURNAL_INTERVAL,
) -> None:
    """Report every epoch that is added to a journal while the training goes on.

    Args:
        journal: The trial's journal; what it holds already is not reported.
        report: Called with the metrics of each new epoch.
        goes_on: Whether the training is still running.
        interval: Pause between two looks.
    """
    seen = _complete_lines(journal)
    while True:
        last_look = not goes_on()
        lines = _complete_lines(journal)
        for line in lines[len(seen) :]:
            event = json.loads(line)
            if event.get("kind") == "metrics" and event["epoch"] is not None:
                report({**event["metrics"], "epoch": event["epoch"], "step": event["step"]})
        seen = lines
        if last_look:
            return
        time.sleep(interval)


def _complete_lines(journal: Path) -> list[bytes]:
    try:
        content = journal.read_bytes()
    except FileNotFoundError:
        return []
    return content[: content.rfind(b"\n") + 1].splitlines()


def _cause(error: Exception) -> Exception:
    """Return what a worker raised instead of Ray Train's wrapping of it.

    When a worker dies the others fail too, for want of its answers: then the dead one is the cause.
    """
    from ray.exceptions import RayActorError

    failures = list((getattr(error, "worker_failures", None) or {}).values())
    lost = [failure for failure in failures if isinstance(failure, RayActorError)]
    if lost:
        return WorkerLostError(
            f"{WORKER_RESTARTS + 1} times a worker of the gang was lost, at last: {lost[0]}"
        )
    return ClusterError(str(failures[0])) if failures else error
