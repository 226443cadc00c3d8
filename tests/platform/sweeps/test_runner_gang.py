"""Gangs of real Ray Train workers: one of them is killed, and nothing of the result shows it."""

import io
import threading
import time
from pathlib import Path

import psutil
import pytest
from ray.exceptions import ActorDiedError
from rich.console import Console

from paraformer_platform.clusters.preflight import Request
from paraformer_platform.errors import ClusterError, WorkerLostError
from paraformer_platform.sweeps import runner_gang
from paraformer_platform.sweeps.launch import Launch, LaunchOptions
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.outcome import WORKER_LOST
from paraformer_platform.sweeps.runner import run_sweep
from paraformer_platform.sweeps.trial import TrialTask, run_trial, train_configured
from paraformer_platform.training.journal import PREEMPTED, Journal, read_journal
from paraformer_platform.training.reporter import LocalReporter

SWEEP = """
name: gang
base: {base}
storage: {storage}
method: list
include: [{{id: eight-epochs, set: {{training.num_epochs: 8}}}}]
seeds: [11]
resources: {{workers: 2}}
"""


def run_gang(base: Path, folder: Path) -> Path:
    """Train one trial with two workers, and return its folder."""
    folder.mkdir()
    file = folder / "gang.yaml"
    file.write_text(SWEEP.format(base=base, storage=folder / "runs"))
    launch = Launch(file, LaunchOptions())
    launch.write_lock()
    outcome = run_sweep(launch.job(), train_configured, Console(file=io.StringIO()))
    assert (outcome.completed, outcome.failures) == (1, {})
    return folder / "runs/trials" / launch.plan.trials[0].trial_key


def measured(folder: Path) -> list[tuple[int, dict[str, float]]]:
    return [
        (
            event["step"],
            {name: value for name, value in event["metrics"].items() if not name.startswith("cost/")},
        )
        for event in read_journal(folder / "journal.jsonl")
        if event["kind"] == "metrics"
    ]


class Killer(threading.Thread):
    """Kills one of two workers once the journal of the only trial below a folder has two epochs."""

    def __init__(self, runs: Path) -> None:
        super().__init__(daemon=True)
        self.runs, self.killed_after = runs, 0

    def run(self) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            epochs = [len(measured(path.parent)) for path in self.runs.glob("trials/*/journal.jsonl")]
            workers = self.workers()
            if epochs and epochs[0] >= 2 and len(workers) == 2:
                workers[-1].kill()
                self.killed_after = epochs[0]
                return
            time.sleep(0.02)

    def workers(self) -> list[psutil.Process]:
        """Of this test's own Ray, whose processes are children of this process."""
        return [
            process
            for process in psutil.Process().children(recursive=True)
            if any("RayTrainWorker" in part for part in _command(process))
        ]


def _command(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def test_a_gang_one_of_whose_workers_is_killed_ends_with_the_same_metrics(
    local_ray: None, tiny_experiment: Path, tmp_path: Path
) -> None:
    whole = run_gang(tiny_experiment, tmp_path / "whole")
    killer = Killer(tmp_path / "killed/runs")
    killer.start()
    killed = run_gang(tiny_experiment, tmp_path / "killed")
    killer.join()
    assert 2 <= killer.killed_after < 8
    states = [event["state"] for event in read_journal(killed / "journal.jsonl") if "state" in event]
    # Rank 0, if it was not the one, wrote that it failed for want of the other's answers.
    assert [state for state in states if state != "failed"] == ["started", "resumed", "completed"]
    assert measured(killed) == measured(whole)
    assert len(measured(whole)) == 8 + 1
    record = Ledger(f"sqlite:///{tmp_path}/killed/runs/ledger.db").record(killed.name)
    assert (record.attempts, record.failures) == (1, 0)


class TrainingFailed(Exception):
    """As Ray Train's: what went wrong by rank."""

    worker_failures = {0: RuntimeError("Connection closed by peer"), 1: ActorDiedError()}  # noqa: RUF012


def test_of_a_gang_whose_worker_died_the_others_errors_are_not_the_cause() -> None:
    cause = runner_gang._cause(TrainingFailed())
    assert isinstance(cause, WorkerLostError)
    error = TrainingFailed()
    error.worker_failures = {0: ValueError("no")}
    cause = runner_gang._cause(error)
    assert isinstance(cause, ClusterError)
    assert not isinstance(cause, WorkerLostError)


@pytest.fixture
def task(tmp_path: Path) -> TrialTask:
    return TrialTask("k", {}, str(tmp_path), "sweep", f"sqlite:///{tmp_path}/ledger.db")


def test_lost_workers_are_a_preemption_and_no_failure(task: TrialTask) -> None:
    def lose(task: TrialTask, reporter: object) -> None:
        raise WorkerLostError("4 times a worker of the gang was lost")

    outcome = run_trial(task, lose, LocalReporter())
    assert (outcome.state, outcome.error_kind) == ("failed", WORKER_LOST)
    record = Ledger(task.ledger_url).record("k")
    assert (record.state, record.failures, record.preemptions) == ("planned", 0, 1)


def test_notices_that_a_machine_goes_away_are_counted_as_preemptions(task: TrialTask) -> None:
    Journal(task.folder / "journal.jsonl").state(PREEMPTED)  # of an attempt before this one

    def move(task: TrialTask, reporter: object) -> dict[str, float]:
        Journal(task.folder / "journal.jsonl").state(PREEMPTED)
        return {"test/wer": 0.5}

    run_trial(task, move, LocalReporter())
    record = Ledger(task.ledger_url).record("k")
    assert (record.state, record.failures, record.preemptions) == ("completed", 0, 1)


def test_an_elastic_request_reaches_ray_train(task: TrialTask, monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.setenv("RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S", "60")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    monkeypatch.setattr(ray, "get_runtime_context", lambda: type("Context", (), {"gcs_address": ""}))
    trainer = runner_gang._trainer(task, train_configured, Request(2, 1, 0, most_workers=4))
    assert trainer.scaling_config.num_workers == (2, 4)
    assert float(runner_gang.os.environ["RAY_TRAIN_WORKER_GROUP_START_TIMEOUT_S"]) == 10
    fixed = runner_gang._trainer(task, train_configured, Request(2, 1, 0))
    assert fixed.scaling_config.num_workers == 2


def test_ray_train_polls_faster_unless_the_user_says_otherwise() -> None:
    """The names are Ray's own, which hands them on to its controller and workers."""
    from ray.train.v2._internal import constants

    environment = {"RAY_TRAIN_METRICS_ENABLED": "1"}
    runner_gang.tune_ray_train(environment)
    assert environment == {"RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.25", "RAY_TRAIN_METRICS_ENABLED": "1"}
    assert set(runner_gang.FASTER) == {
        constants.HEALTH_CHECK_INTERVAL_S_ENV_VAR,
        constants.METRICS_ENABLED_ENV_VAR,
    }
    assert constants.HEALTH_CHECK_INTERVAL_S_ENV_VAR in constants.ENV_VARS_TO_PROPAGATE
