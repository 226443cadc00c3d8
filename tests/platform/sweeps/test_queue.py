"""Laws of the queue: a trial ends once, a failed one is tried again as allowed, limits only hold back."""

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paraformer_platform.sweeps.outcome import (
    BUSY,
    COMPLETED,
    ERROR,
    FAILED,
    OUT_OF_MEMORY,
    STOPPED,
    WORKER_LOST,
    TrialOutcome,
)
from paraformer_platform.sweeps.queue import LOOK_AGAIN_AFTER, Limits, PlannedTrials, TrialQueue


@dataclass(frozen=True)
class Trial:
    trial_key: str


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_queue(count: int, limits: Limits | None = None, stored=lambda key: None, **more) -> TrialQueue:
    trials = PlannedTrials([Trial(f"t{index}") for index in range(count)])
    return TrialQueue(trials, stored, limits or Limits(), **more)


def failed(key: str, kind: str = ERROR) -> TrialOutcome:
    return TrialOutcome(key, FAILED, error="ValueError: no", error_kind=kind)


def test_trials_come_in_the_order_of_the_plan_and_then_the_queue_is_finished():
    queue = make_queue(2)
    assert [queue.next().trial_key, queue.next().trial_key, queue.next()] == ["t0", "t1", None]
    assert not queue.finished  # two are running
    queue.ended(TrialOutcome("t0", COMPLETED))
    queue.ended(TrialOutcome("t1", COMPLETED))
    assert queue.finished
    assert queue.left == 0


def test_a_trial_that_the_ledger_knows_is_not_started():
    heard = []
    queue = make_queue(
        3,
        stored=lambda key: (
            TrialOutcome(key, COMPLETED, {"test/wer": 0.1}, stored=True) if key != "t1" else None
        ),
        on_outcome=lambda trial, outcome: heard.append((trial.trial_key, outcome.stored)),
    )
    assert queue.next().trial_key == "t1"
    assert queue.next() is None
    assert heard == [("t0", True), ("t2", True)]


@pytest.mark.parametrize(
    ("kind", "starts"),
    [(ERROR, 3), (WORKER_LOST, 4), (OUT_OF_MEMORY, 1)],
    ids=["error: 2 more", "worker lost: 3 more", "out of memory: none more"],
)
def test_each_kind_of_failure_has_its_own_count_of_tries(kind, starts):
    queue = make_queue(1, Limits(max_failures=2, max_worker_losses=3))
    started = 0
    while (trial := queue.next()) is not None:
        started += 1
        queue.ended(failed(trial.trial_key, kind))
    assert started == starts
    assert queue.outcomes["t0"].state == FAILED


def test_a_trial_held_by_another_launcher_is_looked_at_again_later():
    clock = Clock()
    queue = make_queue(1, clock=clock)
    queue.ended(TrialOutcome(queue.next().trial_key, BUSY))
    assert queue.next() is None
    assert not queue.finished
    clock.now = LOOK_AGAIN_AFTER
    assert queue.next().trial_key == "t0"


def test_a_trial_that_the_ledger_shows_as_held_waits_without_being_started():
    clock = Clock()
    holders = [TrialOutcome("t0", BUSY), TrialOutcome("t0", COMPLETED, stored=True)]
    queue = make_queue(1, stored=lambda key: holders.pop(0), clock=clock)
    assert queue.next() is None
    assert not queue.finished
    clock.now = LOOK_AGAIN_AFTER
    assert queue.next() is None
    assert queue.outcomes["t0"].state == COMPLETED


def test_too_many_failed_trials_hold_the_rest_back_and_end_nothing():
    queue = make_queue(4, Limits(max_failures=0, max_failed=1))
    first, second = queue.next(), queue.next()
    queue.ended(failed(first.trial_key))
    assert queue.next() is None
    assert queue.finished
    assert queue.stop_reason == "budget.max_failed: 1 trials failed"
    queue.ended(TrialOutcome(second.trial_key, COMPLETED))
    assert queue.count(COMPLETED) == 1


def test_wall_and_gpu_time_hold_the_rest_back():
    clock = Clock()
    queue = make_queue(3, Limits(wall_seconds=3600), clock=clock)
    queue.next()
    clock.now = 3600
    assert queue.next() is None
    assert queue.stop_reason.startswith("budget.wall: 1.00 hours")
    queue = make_queue(3, Limits(gpu_seconds=7200, gpus_per_trial=2))
    queue.ended(TrialOutcome(queue.next().trial_key, COMPLETED, seconds=3600))
    assert queue.next() is None
    assert queue.stop_reason == "budget.gpu_hours: 2.00 GPU-hours are used"


def test_after_a_stop_a_failure_is_not_tried_again():
    queue = make_queue(2)
    trial = queue.next()
    queue.stop("interrupted")
    queue.ended(failed(trial.trial_key))
    assert queue.next() is None
    assert queue.finished
    assert queue.outcomes["t0"].state == FAILED


def test_a_request_to_stop_from_outside_holds_the_rest_back():
    asked = []
    queue = make_queue(2, asked_to_stop=lambda: asked[0] if asked else None)
    queue.next()
    asked.append("paraformer stop")
    assert queue.next() is None
    assert queue.stop_reason == "paraformer stop"


def test_a_trial_proposed_twice_is_answered_from_its_first_outcome():
    told = []

    class Search:
        total = 2

        def __init__(self) -> None:
            self.left = [Trial("same"), Trial("same")]

        def propose(self):
            return self.left.pop() if self.left else None

        def tell(self, trial, outcome):
            told.append(outcome.metrics["test/wer"])

        @property
        def exhausted(self):
            return not self.left

    queue = TrialQueue(Search(), lambda key: None)
    queue.ended(TrialOutcome(queue.next().trial_key, COMPLETED, {"test/wer": 0.25}))
    assert queue.next() is None
    assert queue.finished
    assert told == [0.25, 0.25]


@given(
    st.lists(st.sampled_from([COMPLETED, FAILED, STOPPED, BUSY, WORKER_LOST]), max_size=60), st.integers(1, 3)
)
def test_whatever_happens_every_trial_ends_once_and_only_once(events, concurrency):
    clock = Clock()
    ends = []
    queue = make_queue(5, clock=clock, on_outcome=lambda trial, outcome: ends.append(trial.trial_key))
    running: list[str] = []
    while not queue.finished:
        clock.now += LOOK_AGAIN_AFTER
        while len(running) < concurrency and (trial := queue.next()) is not None:
            assert trial.trial_key not in running
            running.append(trial.trial_key)
        if running:
            event = events.pop() if events else COMPLETED
            key = running.pop(0)
            queue.ended(
                failed(key, WORKER_LOST)
                if event == WORKER_LOST
                else TrialOutcome(key, event, error_kind=ERROR)
            )
    assert sorted(ends) == [f"t{index}" for index in range(5)]


class Heard(PlannedTrials):
    """A plan that remembers what it is told."""

    def __init__(self, trials) -> None:
        super().__init__(trials)
        self.told = []

    def tell(self, trial, outcome) -> None:
        self.told.append((trial.trial_key, outcome.state))


def test_a_trial_that_was_stopped_early_has_ended_for_its_source():
    """A search that waits for its result would wait for ever."""
    source = Heard([Trial("t0"), Trial("t1")])
    queue = TrialQueue(source, lambda key: None)
    queue.next()
    queue.ended(TrialOutcome("t0", STOPPED, ended_early=True))
    assert source.told == [("t0", STOPPED)]


@pytest.mark.parametrize("how", ["by the driver", "by paraformer stop"])
def test_a_trial_that_stops_with_its_sweep_has_not_ended_for_its_source(how):
    """It goes on when the sweep does; a search that took it for ended would propose otherwise then."""
    source, asked = Heard([Trial("t0"), Trial("t1")]), []
    queue = TrialQueue(source, lambda key: None, asked_to_stop=lambda: asked[0] if asked else None)
    queue.next()
    if how == "by the driver":
        queue.stop("interrupted")
    else:
        asked.append("stopped")
    queue.ended(TrialOutcome("t0", STOPPED))
    assert source.told == []


def test_gpu_hours_of_earlier_launches_count():
    limits = Limits(gpu_seconds=3600, gpus_per_trial=2)
    queue = TrialQueue(
        PlannedTrials([Trial("t0"), Trial("t1")]), lambda key: None, limits, seconds_before=1700
    )
    queue.next()
    assert queue.stop_reason is None
    queue.ended(TrialOutcome("t0", COMPLETED, seconds=200))  # 2 × (1700 + 200) s
    assert queue.next() is None
    assert queue.stop_reason == "budget.gpu_hours: 1.06 GPU-hours are used"
