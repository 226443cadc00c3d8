"""What a sweep costs beside its trainings: 40 trivial trials of one worker, two at a time.

    python benchmarks/sweep_overhead.py

Beside it the stock recipe on the same machine, six trials: a Tune trial that starts a TorchTrainer of one
worker and hears from it through TuneReportCallback. Both report three epochs and train nothing. Ours does all
that a sweep does: ledger, journal, MLflow. Each measurement has a process and a Ray of its own, in the order
ours, stock, ours, so that a change of the machine's load falls on both; of ours the worse run is reported.

Per trial means the time from the end of the second trial to the end of the last, over the trials between: the
first two start the processes that the others use again.
"""

import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from interleaved import write_results

OUR_TRIALS, STOCK_TRIALS, AT_ONCE, EPOCHS = 40, 6, 2, 3
LIMIT_SECONDS, LIMIT_RATIO = 0.5, 20


def main() -> None:
    load = os.getloadavg()[0]
    runs = [measure("ours"), measure("stock"), measure("ours")]
    ours = max(runs[0], runs[2], key=lambda run: run["seconds_per_trial"])
    ratio = runs[1]["seconds_per_trial"] / ours["seconds_per_trial"]
    results = {
        "trials": {"ours": OUR_TRIALS, "stock": STOCK_TRIALS, "at_once": AT_ONCE},
        "limit": {"seconds_per_trial": LIMIT_SECONDS, "stock_over_ours": LIMIT_RATIO},
        "load_before": round(load, 1),
        "load_after": round(os.getloadavg()[0], 1),
        "ours": ours,
        "ours_other_run": runs[0] if ours is runs[2] else runs[2],
        "stock": runs[1],
        "stock_over_ours": round(ratio, 1),
    }
    print(f"wrote {write_results('sweep_overhead', results)}: {json.dumps(results)}")
    met = ours["seconds_per_trial"] <= LIMIT_SECONDS and ratio >= LIMIT_RATIO
    sys.exit(0 if met else "the limits are not met")


def measure(kind: str) -> dict[str, float]:
    """Run one of the two in a fresh process."""
    done = subprocess.run(
        [sys.executable, __file__, "--one", kind], check=True, stdout=subprocess.PIPE, text=True
    )
    return dict(json.loads(done.stdout.splitlines()[-1]))


def run_one(kind: str) -> None:
    """Measure in this process, and print the figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        begun = time.monotonic()
        ends = {"ours": run_ours, "stock": run_stock}[kind](Path(folder))
        whole = time.monotonic() - begun
    trials = {"ours": OUR_TRIALS, "stock": STOCK_TRIALS}[kind]
    if len(ends) != trials:
        raise SystemExit(f"{len(ends)} of {trials} trials ended")
    ends = sorted(ends)
    figures = {
        "seconds_per_trial": round((ends[-1] - ends[1]) / (trials - 2), 3),
        "until_second_end": round(ends[1] - begun, 1),
        "whole_seconds": round(whole, 1),
    }
    print(json.dumps(figures))


@dataclass(frozen=True)
class TrivialTrial:
    """All that the queue needs to know of a trial."""

    trial_key: str


def run_ours(folder: Path) -> list[float]:
    """Run the sweep and return when each trial's final outcome was known to the driver."""
    from rich.console import Console

    from paraformer_platform.clusters.connection import Connection
    from paraformer_platform.sweeps.job import SweepJob, TrialSheet
    from paraformer_platform.sweeps.queue import PlannedTrials
    from paraformer_platform.sweeps.runner import run_sweep

    ends: list[float] = []

    class TimedTrials(PlannedTrials):
        def tell(self, trial: Any, outcome: Any) -> None:
            if outcome.state == "completed":
                ends.append(time.monotonic())

    job = SweepJob(
        name="trivial",
        storage=folder,
        ledger_url=f"sqlite:///{folder}/ledger.db",
        source=TimedTrials([TrivialTrial(f"trial-{number:02d}") for number in range(OUR_TRIALS)]),
        describe=lambda trial: TrialSheet(trial.trial_key, 11, {}, {"training.seed": 11}),
        metric="test/wer",
        max_concurrent=AT_ONCE,
        tracking_uri=f"sqlite:///{folder}/mlflow.db",
    )
    with Connection(cpus=AT_ONCE):
        run_sweep(job, train_nothing, Console(file=io.StringIO()))
    return ends


def train_nothing(task: Any, reporter: Any) -> Mapping[str, float]:
    """Report epochs through a trial's journal, as a training does."""
    from paraformer_platform.training.journal import Journal

    journal = Journal(task.folder / "journal.jsonl")
    journal.state("started")
    for epoch in range(1, EPOCHS + 1):
        journal.metrics(epoch, epoch, {"train/loss": 1 / epoch})
        reporter.epoch_finished({"train/loss": 1 / epoch, "epoch": float(epoch)})
    journal.state("completed")
    return {"test/wer": 0.25}


def run_stock(folder: Path) -> list[float]:
    """Run the recipe of Ray's documentation and return when each trial was over for Tune."""
    import ray
    from ray import tune

    ends: list[float] = []

    class Timing(tune.Callback):  # type: ignore[misc]
        def on_trial_complete(self, iteration: int, trials: Sequence[Any], trial: Any, **info: Any) -> None:
            ends.append(time.monotonic())

    # Workers take a CPU each, and the trials that start them a little beside that.
    ray.init(address="local", num_cpus=2 * AT_ONCE, log_to_driver=False)
    tuner = tune.Tuner(
        tune.with_resources(stock_trial, {"cpu": 0.01}),
        param_space={"number": tune.grid_search(list(range(STOCK_TRIALS))), "folder": str(folder)},
        tune_config=tune.TuneConfig(max_concurrent_trials=AT_ONCE),
        run_config=tune.RunConfig(name="stock", storage_path=str(folder), verbose=0, callbacks=[Timing()]),
    )
    tuner.fit()
    ray.shutdown()
    return ends


def stock_trial(config: Mapping[str, Any]) -> None:
    """A Tune trial that starts a TorchTrainer of one worker."""
    import ray.train
    from ray.train.torch import TorchTrainer
    from ray.tune.integration.ray_train import TuneReportCallback

    TorchTrainer(
        stock_loop,
        scaling_config=ray.train.ScalingConfig(num_workers=1, resources_per_worker={"CPU": 1}),
        run_config=ray.train.RunConfig(
            name=f"trial-{config['number']}",
            storage_path=str(Path(config["folder"]) / "trials"),
            callbacks=[TuneReportCallback()],
        ),
    ).fit()


def stock_loop() -> None:
    """Report epochs as a Ray Train worker does."""
    import ray.train

    for epoch in range(1, EPOCHS + 1):
        ray.train.report({"train/loss": 1 / epoch, "epoch": epoch})


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        run_one(sys.argv[2])
    else:
        main()
