"""Laws of the ledger: one claim at a time, one result for ever, and clear words when the database fails."""

import multiprocessing
import os
import platform
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from paraformer_platform.errors import LedgerError
from paraformer_platform.sweeps import ledger as ledger_module
from paraformer_platform.sweeps.ledger import Busy, Claim, Ledger, StoredResult
from paraformer_platform.sweeps.owners import is_gone, owner_name

LEASE = 30.0


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs/ledger.db"


@pytest.fixture
def ledger(url: str, clock: Clock) -> Ledger:
    return Ledger(url, clock)


def claimed(ledger: Ledger, owner: str = "elsewhere:1") -> Claim:
    claim = ledger.claim("k", owner, LEASE)
    assert isinstance(claim, Claim)
    return claim


def test_a_completed_trial_is_handed_back_for_ever(ledger: Ledger, url: str) -> None:
    ledger.complete(claimed(ledger), {"test/wer": 0.125}, seconds=3.0)
    assert Ledger(url).claim("k", "other:2", LEASE) == StoredResult("k", {"test/wer": 0.125}, 1)


def test_a_second_claim_is_busy_until_the_lease_is_over(ledger: Ledger, clock: Clock) -> None:
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


def test_a_heartbeat_keeps_the_lease(ledger: Ledger, clock: Clock) -> None:
    claim = claimed(ledger)
    for _ in range(5):
        clock.now += LEASE - 1
        ledger.heartbeat(claim, LEASE)
    assert isinstance(ledger.claim("k", "other:2", LEASE), Busy)


@pytest.mark.parametrize("write", ["complete", "fail", "stop", "heartbeat", "give_back"])
def test_the_owner_of_a_stolen_lease_cannot_write(ledger: Ledger, clock: Clock, write: str) -> None:
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


def test_a_clock_that_jumps_back_costs_at_most_one_lease(ledger: Ledger, clock: Clock) -> None:
    claimed(ledger)
    clock.now -= 7200
    assert ledger.claim("k", "other:2", LEASE) == Busy("k", "elsewhere:1", LEASE)
    clock.now += LEASE + 1
    assert isinstance(ledger.claim("k", "other:2", LEASE), Claim)


def test_a_clock_that_jumps_back_does_not_end_a_living_claim(ledger: Ledger, clock: Clock) -> None:
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


def test_only_what_is_certain_is_said_of_an_owner() -> None:
    assert not is_gone(owner_name())
    assert not is_gone("another-host:1:1")
    assert not is_gone("a name of no form")
    reused = f"{platform.node()}:{os.getpid()}:1"  # this process did not start with the machine
    assert is_gone(reused)


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
                    ledger.complete(claim, {"by": owner})


def test_of_many_processes_exactly_one_trains_each_trial(url: str, tmp_path: Path) -> None:
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


HOLD_LOCK = """
import sqlite3, sys, time
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN IMMEDIATE")
connection.execute("UPDATE trials SET state = 'torn'")
print("held", flush=True)
time.sleep(600)
"""


def _holder(url: str) -> subprocess.Popen[str]:
    path = url.removeprefix("sqlite:///")
    process = subprocess.Popen([sys.executable, "-c", HOLD_LOCK, path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline().strip() == "held"
    return process


def test_a_lock_of_a_killed_process_is_gone_and_so_is_its_torn_write(ledger: Ledger, url: str) -> None:
    ledger.plan(["k"])
    holder = _holder(url)
    holder.kill()
    holder.wait()
    assert isinstance(ledger.claim("k", "x:1", LEASE), Claim)


def test_a_lock_that_is_held_is_waited_for_then_named(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_module, "WAIT_FOR_LOCK", 0.3)
    ledger = Ledger(url)
    ledger.plan(["k"])
    holder = _holder(url)
    begun = time.monotonic()
    with pytest.raises(LedgerError, match="another process holds its lock"):
        ledger.claim("k", "x:1", LEASE)
    assert time.monotonic() - begun >= 0.3
    holder.kill()
    holder.wait()


def test_a_read_only_database_is_named(url: str, ledger: Ledger) -> None:
    claim = claimed(ledger)
    path = url.removeprefix("sqlite:///")
    read_only = Ledger(f"sqlite:///file:{path}?mode=ro&uri=true")
    with pytest.raises(LedgerError, match="read-only; make the file and its folder writable"):
        read_only.complete(claim, {})


def test_a_full_disk_is_named_and_nothing_is_lost(url: str, clock: Clock) -> None:
    ledger = Ledger(url, clock)
    claim = claimed(ledger)
    # SQLite's own limit of pages answers a write as a full disk does: SQLITE_FULL.
    limit = lambda raw, _: raw.execute("PRAGMA max_page_count = 1")  # noqa: E731
    ledger_module.sa.event.listen(ledger._engine, "connect", limit)
    with pytest.raises(LedgerError, match="the disk is full; free some space"):
        ledger.complete(claim, {"text": "x" * 100_000})
    ledger_module.sa.event.remove(ledger._engine, "connect", limit)
    ledger.complete(claim, {"test/wer": 0.5})
    assert isinstance(ledger.claim("k", "x:2", LEASE), StoredResult)


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this is no database, " * 100)
    with pytest.raises(LedgerError, match="the file is no database; move it away"):
        Ledger(f"sqlite:///{tmp_path}/ledger.db")


def test_a_storage_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(LedgerError, match=r"ledger sqlite:.*file/ledger.db cannot be opened"):
        Ledger(f"sqlite:///{tmp_path}/file/ledger.db")


def test_the_file_survives_in_wal_mode(url: str, ledger: Ledger) -> None:
    ledger.plan(["k"])
    with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()
