"""One attempt: the ledger is told how it ended, and a process that lost its claim tells it nothing."""

import threading
import time

import pytest

from paraformer_platform.sweeps import trial as trial_module
from paraformer_platform.sweeps.ledger import Claim, Ledger
from paraformer_platform.sweeps.outcome import BUSY, COMPLETED, FAILED
from paraformer_platform.sweeps.trial import Heartbeat, SweepReporter, TrialTask, run_trial

METRICS = {"test/wer": 0.25}


@pytest.fixture
def task(tmp_path) -> TrialTask:
    return TrialTask("k", {}, str(tmp_path), "sweep", f"sqlite:///{tmp_path}/ledger.db")


def taken_over(task: TrialTask) -> Claim:
    """Claim the trial as a launcher does that sees the lease run out: the holder slept for a minute."""
    claim = Ledger(task.ledger_url, clock=lambda: time.time() + 60).claim("k", "another-host:1:1", 300)
    assert isinstance(claim, Claim)
    return claim


def test_a_result_is_handed_back_without_training(task):
    outcome = run_trial(task, lambda task, reporter: METRICS, SweepReporter(task))
    assert (outcome.state, outcome.stored) == (COMPLETED, False)

    def never(task, reporter):
        raise AssertionError("trained again")

    again = run_trial(task, never, SweepReporter(task))
    assert (again.state, again.stored, again.metrics) == (COMPLETED, True, METRICS)


def test_a_living_holder_is_left_at_work(task):
    Ledger(task.ledger_url).claim("k", "another-host:1:1", 30)
    assert run_trial(task, lambda task, reporter: METRICS, SweepReporter(task)).state == BUSY


@pytest.mark.parametrize("ending", ["result", "stop", "error"])
def test_an_attempt_that_lost_its_claim_tells_nothing(task, ending):
    def train(task, reporter):
        taken_over(task)
        if ending == "error":
            raise ValueError("no")
        return METRICS if ending == "result" else None

    assert run_trial(task, train, SweepReporter(task)).state == BUSY
    record = Ledger(task.ledger_url).record("k")
    assert (record.state, record.owner, record.failures, record.result) == (
        "claimed",
        "another-host:1:1",
        0,
        None,
    )


def test_a_training_that_lost_its_claim_is_stopped(task, monkeypatch):
    monkeypatch.setattr(trial_module, "Heartbeat", lambda *a, **k: Heartbeat(*a, **k, interval=0.01))

    def train(task, reporter):
        taken_over(task)
        deadline = time.monotonic() + 60
        while not reporter.should_stop():
            assert time.monotonic() < deadline, "nothing stopped it"
            time.sleep(0.01)

    assert run_trial(task, train, SweepReporter(task)).state == BUSY


def test_a_heartbeat_that_the_ledger_does_not_take_stops_nothing(task):
    ledger = Ledger(task.ledger_url)
    claim = ledger.claim("k", "us:1:1", 30)
    lost, beats = [], threading.Event()

    class Locked:
        def heartbeat(self, claim, lease):
            beats.set()
            raise RuntimeError("database is locked")

    with Heartbeat(Locked(), claim, interval=0.01, on_lost=lambda: lost.append(1)):
        assert beats.wait(30)
    assert lost == []


def test_an_error_is_told_with_its_trace(task):
    def train(task, reporter):
        raise ValueError("no")

    outcome = run_trial(task, train, SweepReporter(task))
    assert (outcome.state, outcome.error) == (FAILED, "ValueError: no")
    assert "in train" in Ledger(task.ledger_url).record("k").trace
