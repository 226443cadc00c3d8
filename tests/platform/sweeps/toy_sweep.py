"""A sweep of toy trainings, run as a script so that a test can signal and kill its driver.

    python toy_sweep.py STORAGE TRIALS EPOCHS SECONDS_PER_EPOCH [LEDGER_URL]

A toy training keeps a journal and a checkpoint like a real one, goes on from the checkpoint, and notes every
epoch it computes in ``computed.log``, so that a test can count what was computed twice.
"""

import json
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from paraformer_platform.sweeps.job import SweepJob, TrialSheet
from paraformer_platform.sweeps.queue import Limits, PlannedTrials
from paraformer_platform.sweeps.runner import run_sweep

FAILS = "fails"
DIES_ONCE = "dies-once"


@dataclass(frozen=True)
class ToyTrial:
    trial_key: str
    seed: int = 11


def toy_train(task, reporter):
    folder = task.folder
    if FAILS in task.trial_key:
        raise ValueError("this trial always fails")
    checkpoint = folder / "checkpoint"
    done = int(checkpoint.read_text()) if checkpoint.exists() else 0
    for epoch in range(done + 1, task.config["epochs"] + 1):
        time.sleep(task.config["seconds"])
        append(folder / "computed.log", f"{epoch}\n")
        metrics = {"train/loss": 1 / epoch, "dev/wer": 0.5 / epoch}
        event = {
            "kind": "metrics",
            "step": epoch * 10,
            "epoch": epoch,
            "time_ms": now_ms(),
            "metrics": metrics,
        }
        append(folder / "journal.jsonl", json.dumps(event) + "\n")
        checkpoint.write_text(str(epoch))
        reporter.epoch_finished({**metrics, "epoch": epoch})
        if DIES_ONCE in task.trial_key and epoch == 1:
            os._exit(1)
        if reporter.should_stop() and epoch < task.config["epochs"]:
            return None
    results = folder / "results"
    results.mkdir(exist_ok=True)
    (results / "summary.json").write_text(json.dumps({"test/wer": 0.5}))
    return {"test/wer": 0.25 + 0.01 * len(task.trial_key)}


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def toy_job(storage: Path, keys: list[str], epochs: int, seconds: float, **more) -> SweepJob:
    return SweepJob(
        name="toy",
        storage=storage,
        source=PlannedTrials([ToyTrial(key) for key in keys]),
        describe=lambda trial: TrialSheet(
            variant=trial.trial_key,
            seed=trial.seed,
            config={"epochs": epochs, "seconds": seconds},
            params={"training.seed": trial.seed, "epochs": epochs},
        ),
        metric="test/wer",
        tracking_uri=f"sqlite:///{storage}/mlflow.db",
        experiment="toy",
        plan_hash="plan",
        **{"limits": Limits(), "ledger_url": f"sqlite:///{storage}/ledger.db", **more},
    )


def main() -> None:
    storage, trials, epochs, seconds, *ledger_url = sys.argv[1:]
    keys = [f"trial-{index}" for index in range(int(trials))]
    more = {"ledger_url": ledger_url[0]} if ledger_url else {}
    outcome = run_sweep(toy_job(Path(storage), keys, int(epochs), float(seconds), **more), toy_train)
    print(json.dumps({"completed": outcome.completed, "stop_reason": outcome.stop_reason}))
    sys.exit(130 if outcome.interrupted else 0)


if __name__ == "__main__":
    main()
