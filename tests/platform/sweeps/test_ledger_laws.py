"""Laws of the ledger on every database: one claim at a time, one result for ever."""

import multiprocessing
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from paraformer_platform.errors import LedgerError
from paraformer_platform.sweeps.ledger import Busy, Claim, Ledger, StoredResult
from paraformer_platform.sweeps.owners import owner_name

LEASE = 30.0


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "postgres":
        return str(request.getfixturevalue("postgres_url"))
    return f"sqlite:///{tmp_path}/runs/ledger.db"


def claimed(ledger: Ledger, owner: str = "elsewhere:1") -> Claim:
    claim = ledger.claim("k", owner, LEASE)
    assert isinstance(claim, Claim)
    return claim


def test_a_completed_trial_is_handed_back_for_ever(ledger: Ledger, url: str) -> None:
    """To the last digit."""
    ledger.complete(claimed(ledger), {"test/wer": 0.1 + 0.2}, seconds=1 / 3)
    assert Ledger(url).claim("k", "other:2", LEASE) == StoredResult("k", {"test/wer": 0.1 + 0.2}, 1)
    record = Ledger(url).record("k")
    assert record is not None
    assert record.seconds == 1 / 3


def test_a_second_claim_is_busy_until_the_lease_is_over(ledger: Ledger, clock) -> None:
    claimed(ledger)
    busy = ledger.claim("k", "other:2", LEASE)
    assert busy == Busy("k", "elsewhere:1", LEASE)
    clock.now += LEASE + 1
    second = ledger.claim("k", "other:2", LEASE)
    assert isinstance(second, Claim)
    assert second.attempt == 2
    record = ledger.record("k")
    assert record is not None
    assert (record.preemptions, record.failures) == (1, 0)


def test_a_heartbeat_keeps_the_lease(ledger: Ledger, clock) -> None:
    claim = claimed(ledger)
    for _ in range(5):
        clock.now += LEASE - 1
        ledger.heartbeat(claim, LEASE)
    assert isinstance(ledger.claim("k", "other:2", LEASE), Busy)


@pytest.mark.parametrize("write", ["complete", "fail", "stop", "heartbeat", "give_back"])
def test_the_owner_of_a_stolen_lease_cannot_write(ledger: Ledger, clock, write: str) -> None:
    old = claimed(ledger)
    clock.now += LEASE + 1
    new = ledger.claim("k", "other:2", LEASE)
    assert isinstance(new, Claim)
    arguments = {"complete": ({"test/wer": 1.0},), "fail": ("E: x",), "heartbeat": (LEASE,)}
    with pytest.raises(
        LedgerError, match="lost its claim 1 on trial k: the trial is claimed, last claimed by other:2"
    ):
        getattr(ledger, write)(old, *arguments.get(write, ()))
    ledger.complete(new, {"test/wer": 0.5})
    assert ledger.claim("k", "third:3", LEASE) == StoredResult("k", {"test/wer": 0.5}, 2)


def test_failures_and_preemptions_are_counted_apart(ledger: Ledger) -> None:
    ledger.fail(claimed(ledger), "ValueError: no", "Traceback …")
    ledger.give_back(claimed(ledger))
    ledger.stop(claimed(ledger))
    record = ledger.record("k")
    assert record is not None
    assert (record.state, record.attempts, record.failures, record.preemptions) == ("stopped", 3, 1, 1)
    assert record.error == "ValueError: no"


def test_a_clock_that_jumps_back_costs_at_most_one_lease(ledger: Ledger, clock) -> None:
    claimed(ledger)
    clock.now -= 7200
    assert ledger.claim("k", "other:2", LEASE) == Busy("k", "elsewhere:1", LEASE)
    clock.now += LEASE + 1
    assert isinstance(ledger.claim("k", "other:2", LEASE), Claim)


def test_a_clock_that_jumps_back_does_not_end_a_living_claim(ledger: Ledger, clock) -> None:
    claim = claimed(ledger)
    clock.now -= 7200
    ledger.claim("k", "other:2", LEASE)
    ledger.heartbeat(claim, LEASE)
    clock.now += LEASE - 1
    assert isinstance(ledger.claim("k", "other:2", LEASE), Busy)
    ledger.complete(claim, {})


def test_the_claim_of_a_dead_process_on_this_host_is_free_at_once(ledger: Ledger) -> None:
    script = "from paraformer_platform.sweeps.owners import owner_name; print(owner_name())"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True
    )
    claimed(ledger, run.stdout.strip())
    assert isinstance(ledger.claim("k", owner_name(), LEASE), Claim)


def test_planned_trials_are_entered_once_and_never_reset(ledger: Ledger) -> None:
    ledger.plan(["a", "b"])
    claim = ledger.claim("a", "x:1", LEASE)
    assert isinstance(claim, Claim)
    ledger.complete(claim, {"n": 1})
    ledger.plan(["a", "b", "c", "c"])
    assert {key: record.state for key, record in ledger.records().items()} == {
        "a": "completed",
        "b": "planned",
        "c": "planned",
    }
    assert set(ledger.records(["b", "z"])) == {"b"}


def test_a_trial_at_work_is_not_forgotten(ledger: Ledger) -> None:
    claimed(ledger)
    ledger.plan(["free"])
    ledger.forget(["k", "free"])
    assert set(ledger.records()) == {"k"}


def test_a_result_that_is_no_plain_data_is_refused(ledger: Ledger) -> None:
    with pytest.raises(LedgerError, match="result of trial k cannot be stored as JSON"):
        ledger.complete(claimed(ledger), {"model": object()})


def _work(url: str, keys: list[str], log: str) -> None:
    """Claim and complete trials until all are done, as a launcher would; note every training."""
    ledger = Ledger(url)
    owner = owner_name()
    left = list(keys)
    while left:
        for key in list(left):
            match ledger.claim(key, owner, LEASE):
                case StoredResult():
                    left.remove(key)
                case Claim() as claim:
                    with Path(log).open("a") as file:
                        file.write(f"{key}\n")
                    ledger.heartbeat(claim, LEASE)
                    ledger.complete(claim, {"by": owner})


def test_of_many_processes_exactly_one_trains_each_trial(url: str, tmp_path: Path) -> None:
    """They begin at once: of the table, too, each tries to be the maker."""
    keys, log = [f"k{index}" for index in range(20)], tmp_path / "trainings"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_work, args=(url, keys, str(log))) for _ in range(6)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0] * 6
    assert Counter(log.read_text().split()) == Counter(keys)
    assert {record.state for record in Ledger(url).records().values()} == {"completed"}
