"""What a large sweep costs before it trains: planning 10 000 trials, resuming one with 1 000 completed ones.

    python benchmarks/sweep_scale.py

The resumed sweep is a real one on files: sweep file, data, ledger, and an MLflow store that holds a closed
run of every trial. The resume runs in a process of its own with the real runner, which must train nothing and
start no Ray. Seconds of the clock and of the processor are given; on a busy machine the latter say more.
"""

import io
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from interleaved import write_results

LIMITS = {"planning 10 000 trials": 2.0, "resuming with 1 000 completed trials": 5.0}
SEEDS = (11, 22, 33, 44)
LEARNING_RATES = [round(1e-4 * (1 + number / 10), 6) for number in range(100)]
RECIPE = """
name: tiny
seed: 5
grammar: {start: string, rules: {string: ["<digit>"], digit: [zero, one, two]}}
splits:
  train: {utterances: 16, voices: [en-us+Alex, en-us+f1]}
  dev: {utterances: 4, voices: [en-us+m3]}
  test: {utterances: 4, voices: [en-gb+f4]}
"""
BASE = "data: {folder: %(folder)s/data, recipe: %(folder)s/recipe.yaml}\n"
SWEEP = """
name: large
base: %(folder)s/base.yaml
storage: %(folder)s/runs
method: grid
metric: {name: test/wer, goal: minimize}
parameters:
  training.learning_rate: {values: %(rates)s}
  model.encoder.num_layers: {values: %(layers)s}
seeds: %(seeds)s
"""


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        planning = [run("--plan", write_sweep(Path(folder), layers=25)) for _ in range(3)]
        file = write_sweep(Path(folder), layers=3, rates=LEARNING_RATES[:84])
        run("--complete", file)
        resuming = [run("--resume", file) for _ in range(3)]
    results = {
        "limits, seconds": LIMITS,
        "planning": min(planning, key=lambda one: one["processor_seconds"]),
        "resuming": min(resuming, key=lambda one: one["processor_seconds"]),
    }
    print(f"wrote {write_results('sweep_scale', results)}: {json.dumps(results)}")


def write_sweep(folder: Path, layers: int, rates: list[float] = LEARNING_RATES) -> Path:
    values = {"folder": folder, "rates": rates, "layers": list(range(1, layers + 1)), "seeds": list(SEEDS)}
    (folder / "recipe.yaml").write_text(RECIPE)
    (folder / "base.yaml").write_text(BASE % values)
    path = folder / f"sweep-{layers}.yaml"
    path.write_text(SWEEP % values)
    return path


def run(what: str, file: Path) -> dict[str, Any]:
    """Do it in a fresh process."""
    command = [sys.executable, __file__, what, str(file)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout.splitlines()[-1]))


def plan(file: Path) -> dict[str, Any]:
    """Make the plan and its lock; reading files and hashing code and data come before."""
    from paraformer_platform.config.identity import code_version
    from paraformer_platform.sweeps.lock import lock_of
    from paraformer_platform.sweeps.plan import load_base, make_plan
    from paraformer_platform.sweeps.spec import load_sweep

    spec = load_sweep(file, ())
    base, version = load_base(spec).config, code_version()
    with Stopwatch() as planned:
        made = make_plan(spec, base, data_fingerprint="0" * 64, code_version=version)
    with Stopwatch() as locked:
        lock_of(made)
    return {"trials": len(made.trials), **planned.seconds, "and_lock": locked.seconds}


def complete(file: Path) -> dict[str, Any]:
    """Put a result of every trial into the ledger, and a closed run into MLflow."""
    from paraformer_platform.sweeps.launch import Launch, LaunchOptions
    from paraformer_platform.sweeps.sync import ledger_of
    from paraformer_platform.tracking import names
    from paraformer_platform.tracking.mlflow_store import RunStore

    launch = Launch(file, LaunchOptions())
    launch.write_lock()
    ledger, store = ledger_of(launch.storage), RunStore(launch.tracking_uri, "paraformer")
    for number, trial in enumerate(launch.plan.trials):
        ledger.complete(ledger.claim(trial.trial_key, "a host:1:1", 30), {"test/wer": number / 2000})  # type: ignore[arg-type]
        tags = {names.KIND: names.KIND_TRIAL, names.TRIAL_KEY: trial.trial_key, names.SWEEP: "large"}
        made = store.client.create_run(store.experiment_id, tags=tags)
        store.terminate(made.info.run_id, names.FINISHED)
    return {"trials": len(launch.plan.trials)}


def resume(file: Path) -> dict[str, Any]:
    """Give the command again."""
    from rich.console import Console

    from paraformer_platform.sweeps.launch import Launch, LaunchOptions
    from paraformer_platform.sweeps.runner import run_sweep

    def never(task: object, reporter: object) -> None:
        raise AssertionError("a completed trial was trained")

    with Stopwatch() as opened:
        launch = Launch(file, LaunchOptions())
        launch.write_lock()
        job = launch.job()
    with Stopwatch() as decided:
        outcome = run_sweep(job, never, Console(file=io.StringIO()))
    assert outcome.completed == outcome.planned == len(launch.plan.trials)
    # Modules may be imported; a Ray that was started would be connected.
    started = "ray" in sys.modules and sys.modules["ray"].is_initialized()
    seconds = {key: round(opened.seconds[key] + decided.seconds[key], 2) for key in decided.seconds}
    whole = resource.getrusage(resource.RUSAGE_SELF)
    process = round(whole.ru_utime + whole.ru_stime, 2)
    return {
        "trials": outcome.completed,
        **seconds,
        "of_that_planning_and_lock": opened.seconds,
        "whole_process_with_imports_processor_seconds": process,
        "trained": 0,
        "ray_started": bool(started),
    }


class Stopwatch:
    """Seconds of the clock and of the processor."""

    def __enter__(self) -> "Stopwatch":
        self._wall, self._processor = time.perf_counter(), time.process_time()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = {
            "seconds": round(time.perf_counter() - self._wall, 2),
            "processor_seconds": round(time.process_time() - self._processor, 2),
        }


if __name__ == "__main__":
    if len(sys.argv) > 1:
        action = {"--plan": plan, "--complete": complete, "--resume": resume}[sys.argv[1]]
        print(json.dumps(action(Path(sys.argv[2]))))
    else:
        main()
