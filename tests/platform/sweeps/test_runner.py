"""Real Ray, real MLflow, toy trainings: each trial's result once, whatever happens to driver and workers."""

import io
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil
import pytest
from ray.tune.schedulers import FIFOScheduler
from rich.console import Console

from paraformer_platform.sweeps import runner
from paraformer_platform.sweeps.job import SweepOutcome
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.queue import Limits
from paraformer_platform.sweeps.runner import run_sweep
from paraformer_platform.sweeps.signals import ask_to_stop
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore

SCRIPT = Path(__file__).parent / "toy_sweep.py"
START_WITHIN = 90.0


def quiet() -> Console:
    return Console(file=io.StringIO())


def mlflow_store(storage: Path) -> RunStore:
    return RunStore(f"sqlite:///{storage}/mlflow.db", "toy")


def statuses(storage: Path) -> dict[str, str]:
    store = mlflow_store(storage)
    runs = store.find({names.KIND: "trial"})
    assert len({run.data.tags[names.TRIAL_KEY] for run in runs}) == len(runs), "two runs for one trial"
    return {run.data.tags[names.TRIAL_KEY]: run.info.status for run in runs}


def parent_status(storage: Path) -> str:
    [parent] = mlflow_store(storage).find({names.KIND: "sweep"})
    return parent.info.status


def steps(storage: Path, trial_key: str, metric: str = "train/loss") -> list[int]:
    store = mlflow_store(storage)
    [run] = store.find({names.TRIAL_KEY: trial_key})
    return sorted(point.step for point in store.client.get_metric_history(run.info.run_id, metric))


def computed(storage: Path) -> dict[str, list[int]]:
    logs = storage.glob("trials/*/computed.log")
    return {log.parent.name: [int(line) for line in log.read_text().split()] for log in logs}


@pytest.fixture(scope="module")
def storage(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def outcome(local_ray, toy, storage) -> SweepOutcome:
    keys = ["good", toy.FAILS, toy.DIES_ONCE, "also-good"]
    return run_sweep(toy.toy_job(storage, keys, epochs=3, seconds=0.02), toy.toy_train, quiet())


def test_every_trial_ends_and_failures_are_named(outcome, toy):
    assert (outcome.completed, outcome.failed, outcome.planned) == (3, 1, 4)
    assert outcome.failures == {f"{toy.FAILS} · seed 11": "ValueError: this trial always fails"}
    assert outcome.unsent == ()


def test_mlflow_holds_one_closed_run_per_trial(outcome, toy, storage):
    assert statuses(storage) == {
        "good": "FINISHED",
        "also-good": "FINISHED",
        toy.DIES_ONCE: "FINISHED",
        toy.FAILS: "FAILED",
    }
    assert parent_status(storage) == "FAILED"


def test_a_child_run_says_what_it_is(outcome, storage):
    store = mlflow_store(storage)
    [run] = store.find({names.TRIAL_KEY: "good"})
    assert run.data.tags[names.VARIANT] == "good"
    assert run.data.tags[names.SEED] == "11"
    assert run.data.tags[names.SWEEP] == "toy"
    assert run.data.tags[names.PARENT_RUN] == outcome.run_id
    assert run.data.tags[names.STATE] == "completed"
    assert run.data.params == {"training.seed": "11", "epochs": "3"}
    assert store.client.list_artifacts(run.info.run_id, "results")[0].path == "results/summary.json"


def test_a_trial_whose_worker_died_went_on_from_its_checkpoint(outcome, toy, storage):
    assert computed(storage)[toy.DIES_ONCE] == [1, 2, 3]
    assert steps(storage, toy.DIES_ONCE) == [10, 20, 30]


def test_a_failure_is_in_the_ledger_with_its_traceback(outcome, toy, storage):
    record = Ledger(f"sqlite:///{storage}/ledger.db").record(toy.FAILS)
    assert record.error == "ValueError: this trial always fails"
    assert "in toy_train" in record.trace
    assert record.failures == 2  # one try and one more


def test_tune_writes_the_ledgers_address_nowhere(outcome, storage):
    """It may hold a password."""
    written = [path for path in (storage / "sweeps" / "toy").rglob("*") if path.is_file()]
    assert written
    assert not [path for path in written if b"ledger.db" in path.read_bytes()]


def test_the_same_sweep_again_trains_only_what_failed(outcome, toy, storage):
    before = computed(storage)
    keys = ["good", toy.FAILS, toy.DIES_ONCE, "also-good"]
    again = run_sweep(toy.toy_job(storage, keys, epochs=3, seconds=0.02), toy.toy_train, quiet())
    assert (again.completed, again.failed) == (3, 1)
    assert computed(storage) == before
    assert Ledger(f"sqlite:///{storage}/ledger.db").record(toy.FAILS).failures == 4


def test_a_run_that_mlflow_lost_is_drawn_again_without_training(outcome, toy, storage):
    store = mlflow_store(storage)
    [run] = store.find({names.TRIAL_KEY: "good"})
    store.delete(run.info.run_id)
    before = computed(storage)
    run_sweep(toy.toy_job(storage, ["good"], epochs=3, seconds=0.02), toy.toy_train, quiet())
    assert steps(storage, "good") == [10, 20, 30]
    assert computed(storage) == before


def test_a_sweep_with_nothing_left_starts_no_ray(outcome, toy, storage, monkeypatch):
    def never(address):
        raise AssertionError("Ray was started")

    monkeypatch.setattr(runner, "Connection", never)
    before = computed(storage)
    keys = ["good", toy.DIES_ONCE, "also-good"]
    again = run_sweep(toy.toy_job(storage, keys, epochs=3, seconds=0.02), toy.toy_train, quiet())
    assert (again.completed, again.planned) == (3, 3)
    assert computed(storage) == before
    assert parent_status(storage) == "FINISHED"


def test_too_many_failures_hold_the_rest_back(local_ray, toy, tmp_path):
    keys = [f"{toy.FAILS}-{index}" for index in range(6)]
    limits = Limits(max_failures=0, max_failed=1)
    job = toy.toy_job(tmp_path, keys, epochs=1, seconds=0.0, limits=limits, max_concurrent=1)
    outcome = run_sweep(job, toy.toy_train, quiet())
    assert outcome.stop_reason == "budget.max_failed: 1 trials failed"
    assert 1 <= outcome.failed <= 2  # Tune asks for one trial ahead


def test_a_request_from_another_process_stops_the_sweep_and_it_goes_on_later(local_ray, toy, tmp_path):
    job = toy.toy_job(tmp_path, ["a", "b", "c"], epochs=200, seconds=0.02, max_concurrent=2)

    def stop_soon() -> None:
        while not computed(tmp_path):
            time.sleep(0.05)
        ask_to_stop(job.folder, "paraformer stop")

    thread = threading.Thread(target=stop_soon)
    thread.start()
    outcome = run_sweep(job, toy.toy_train, quiet())
    thread.join()
    assert outcome.stop_reason == "paraformer stop"
    assert outcome.completed == 0
    assert set(statuses(tmp_path).values()) == {"KILLED"}
    again = run_sweep(toy.toy_job(tmp_path, ["a", "b", "c"], 200, 0.0), toy.toy_train, quiet())
    assert again.completed == 3
    assert all(epochs == list(range(1, 201)) for epochs in computed(tmp_path).values())
    assert steps(tmp_path, "a") == [10 * epoch for epoch in range(1, 201)]


class Stops(FIFOScheduler):
    """Ends trials of a name after their first epoch."""

    metric = None

    def on_trial_result(self, tune_controller, trial, result):
        return self.STOP if "late" in trial.trial_id else self.CONTINUE


def test_a_trial_that_is_stopped_early_ends_for_good_and_says_so(local_ray, toy, tmp_path):
    def job():
        return toy.toy_job(tmp_path, ["a", "late"], epochs=50, seconds=0.02, scheduler=Stops)

    outcome = run_sweep(job(), toy.toy_train, quiet())
    assert (outcome.completed, outcome.stopped, outcome.stop_reason) == (1, 1, None)
    before = computed(tmp_path)
    assert len(before["late"]) < 50
    run = mlflow_store(tmp_path).trial_runs()["late"]
    assert run.data.tags[names.ERROR] == "stopped early by the sweep's scheduler"
    again = run_sweep(job(), toy.toy_train, quiet())
    assert (again.completed, again.stopped) == (1, 1)
    assert computed(tmp_path) == before


class Driver:
    """The toy sweep in a process group of its own, like a command typed into a terminal."""

    def __init__(self, storage: Path, trials: int, epochs: int, seconds: float) -> None:
        self.storage = storage
        arguments = [str(storage), str(trials), str(epochs), str(seconds)]
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        )

    def wait_until_training(self) -> list[psutil.Process]:
        """Wait for a first epoch, and return all processes of the sweep."""
        deadline = time.monotonic() + START_WITHIN
        while not computed(self.storage):
            assert self.process.poll() is None, self.process.stdout.read()
            assert time.monotonic() < deadline, "no trial began to train"
            time.sleep(0.05)
        return psutil.Process(self.process.pid).children(recursive=True)

    def signal_terminal(self, number: signal.Signals) -> None:
        """Send a signal as a terminal does: to the whole process group."""
        os.killpg(self.process.pid, number)

    def finish(self) -> tuple[int, str]:
        output, _ = self.process.communicate(timeout=120)
        return self.process.returncode, output


GONE_WITHIN = 150
"""Seconds. A worker that Ray was just starting when its raylet ended looks for it before it gives up,
for over a minute on a busy machine."""


def assert_gone(processes: list[psutil.Process]) -> None:
    _, alive = psutil.wait_procs(processes, timeout=GONE_WITHIN)
    alive = [process for process in alive if process.is_running()]
    alive = [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
    assert not alive, f"stray processes: {[(p.ppid(), p.cmdline()[-8:]) for p in alive]}"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["ctrl-c", "sigterm"])
def test_an_interrupted_sweep_leaves_nothing_behind_and_goes_on(tmp_path, number):
    driver = Driver(tmp_path, trials=3, epochs=400, seconds=0.05)
    processes = driver.wait_until_training()
    assert len(processes) > 3  # Ray's own
    driver.signal_terminal(
        number
    )  # the group: SIGTERM reaches Ray's processes too, as under systemd or Slurm
    code, output = driver.finish()
    assert code == 130, output
    assert_gone(processes)
    assert set(statuses(tmp_path).values()) == {"KILLED"}
    assert parent_status(tmp_path) == "KILLED"
    assert all(epochs == list(range(1, len(epochs) + 1)) for epochs in computed(tmp_path).values())


def test_a_killed_driver_loses_nothing_and_the_same_command_ends_as_if_nothing_was(tmp_path):
    driver = Driver(tmp_path, trials=3, epochs=100, seconds=0.03)
    processes = driver.wait_until_training()
    # Ray's two agents try for a minute to tell their dead head about it; nothing else outlives the driver.
    processes = [process for process in processes if not process.name().endswith("Agent")]
    driver.process.kill()
    driver.finish()
    assert_gone(processes)
    code, output = Driver(tmp_path, trials=3, epochs=100, seconds=0.0).finish()
    assert code == 0, output
    assert '"completed": 3' in output
    assert statuses(tmp_path) == {f"trial-{index}": "FINISHED" for index in range(3)}
    assert parent_status(tmp_path) == "FINISHED"
    for key, epochs in computed(tmp_path).items():
        assert epochs == list(range(1, 101)), key
        assert steps(tmp_path, key) == [10 * epoch for epoch in range(1, 101)]
