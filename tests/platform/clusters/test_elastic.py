"""One training on two to four machines, which are killed, added and taken away under it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from paraformer_platform.sweeps.launch import Launch, LaunchOptions
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.reporter import LocalReporter

SWEEP = "tests/platform/clusters/tiny/elastic.yaml"
KILLED, TAKEN = 5, 6
PATIENCE = 240.0
CURVE = ("train/loss", "train/gradient_norm", "dev/loss")


class Trial:
    """The only trial of a storage, by its journal."""

    def __init__(self, storage: Path, process: subprocess.Popen) -> None:
        self.storage, self.process = storage, process

    def events(self) -> list[dict]:
        return [event for path in self.storage.glob("trials/*/journal.jsonl") for event in read_journal(path)]

    def epochs(self) -> list[dict]:
        return [event["metrics"] for event in self.events() if event["kind"] == "metrics"]

    def sizes(self) -> list[int]:
        """Numbers of workers that it was started or resumed with."""
        return [event["workers"] for event in self.events() if "workers" in event]

    def shown(self) -> str:
        """For whoever has to find out why nothing happens: what was printed and noted."""
        logs = [self.storage.parent / "output", *self.storage.glob("trials/*/*.log")]
        states = [event for event in self.events() if event["kind"] == "state"]
        ends = [log.read_text()[-2000:] for log in logs]
        return "\n".join([f"{len(self.epochs())} epochs, {states}", *ends])

    def was_told(self) -> bool:
        return any(event.get("state") == "preempted" for event in self.events())

    def goes_on_with(self, workers: int) -> bool:
        """Whether an epoch was measured with so many workers, and no others since."""
        assert self.process.poll() is None, (self.storage.parent / "output").read_text()
        events = self.events()
        last = max((n for n, event in enumerate(events) if "workers" in event), default=None)
        if last is None or events[last]["workers"] != workers:
            return False
        return any(event["kind"] == "metrics" for event in events[last:])


@pytest.fixture
def trial(cluster, repository, tmp_path):
    """The trial at work on the cluster; at the end it is told to stop."""
    cluster.start_node(cluster.ip(KILLED))
    (tmp_path / "tests").symlink_to(repository / "tests")  # its data folder shall not be the checkout's
    arguments = ("sweep", SWEEP, f"--address={cluster.gcs}", f"--override=storage={tmp_path}/runs")
    process = subprocess.Popen(
        [sys.executable, "-m", "paraformer_platform", *arguments],
        env=cluster.users_environment(),
        cwd=tmp_path,
        stdout=(tmp_path / "output").open("w"),
        stderr=subprocess.STDOUT,
    )
    try:
        yield Trial(tmp_path / "runs", process)
    finally:
        process.kill()


def drain(cluster, ip: str, seconds: int) -> None:
    """Announce, as a cloud does, that a machine will be taken away."""
    (node,) = [raylet["nodeId"] for raylet in cluster.raylets() if raylet["nodeManagerAddress"] == ip]
    answer = cluster.run(
        *("-m", "ray.scripts.scripts", "drain-node", f"--address={cluster.gcs}", f"--node-id={node}"),
        *("--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=the cloud wants it back"),
        f"--deadline-remaining-seconds={seconds}",
        RAY_AUTH_MODE="token",
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def wait(trial: Trial, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {PATIENCE} s\n{trial.shown()}"
        time.sleep(0.5)


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_machines_come_and_go_and_the_curve_is_that_of_one_worker(cluster, trial, tmp_path, monkeypatch):
    wait(trial, lambda: trial.goes_on_with(4), "four workers")
    os.killpg(cluster.processes[cluster.ip(KILLED)].pid, signal.SIGKILL)
    wait(trial, lambda: trial.goes_on_with(3), "three workers after one was killed")
    cluster.start_node(cluster.ip(TAKEN))
    wait(trial, lambda: trial.goes_on_with(4), "four workers after one was added")
    drain(cluster, cluster.ip(TAKEN), seconds=30)
    wait(trial, trial.was_told, "the notice")
    wait(trial, lambda: trial.goes_on_with(3), "three workers after one was taken away")
    trial.process.send_signal(signal.SIGINT)
    assert trial.process.wait(timeout=60) == 130, (tmp_path / "output").read_text()
    assert trial.sizes() == [4, 3, 4, 3]
    [record] = Ledger(f"sqlite:///{tmp_path}/runs/ledger.db").records().values()
    assert (record.state, record.attempts, record.failures, record.preemptions) == ("stopped", 1, 0, 1)
    monkeypatch.chdir(tmp_path)
    assert_same(trial.epochs(), by_one_worker(tmp_path, len(trial.epochs())))


def by_one_worker(folder: Path, epochs: int) -> list[dict]:
    """The same training in this process, as far as that."""
    launch = Launch(Path(SWEEP), LaunchOptions([f"storage={folder}/alone"]))
    [planned] = launch.plan.trials
    reporter = LocalReporter(lambda metrics: reporter.stop() if metrics["epoch"] == epochs else None)
    train(planned.config, folder / "alone/trial", reporter)
    events = read_journal(folder / "alone/trial/journal.jsonl")
    return [event["metrics"] for event in events if event["kind"] == "metrics"]


def assert_same(changing: list[dict], alone: list[dict]) -> None:
    assert len(changing) == len(alone) > 4
    for number, (one, other) in enumerate(zip(changing, alone, strict=True), 1):
        for name in CURVE:
            assert one[name] == pytest.approx(other[name], rel=1e-3), f"{name} of epoch {number}"
    assert alone[-1]["train/loss"] < 0.99 * alone[0]["train/loss"]  # else this would show nothing
