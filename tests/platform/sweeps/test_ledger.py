"""The ledger in a file of SQLite: clear words when it fails. The laws are in test_ledger_laws.py."""

import os
import platform
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paraformer_platform.errors import LedgerError
from paraformer_platform.sweeps import ledger as ledger_module
from paraformer_platform.sweeps.ledger import Claim, Ledger, StoredResult
from paraformer_platform.sweeps.owners import is_gone, owner_name

LEASE = 30.0


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/runs/ledger.db"


def claimed(ledger: Ledger, owner: str = "elsewhere:1") -> Claim:
    claim = ledger.claim("k", owner, LEASE)
    assert isinstance(claim, Claim)
    return claim


def test_only_what_is_certain_is_said_of_an_owner() -> None:
    assert not is_gone(owner_name())
    assert not is_gone("another-host:1:1")
    assert not is_gone("a name of no form")
    reused = f"{platform.node()}:{os.getpid()}:1"  # this process did not start with the machine
    assert is_gone(reused)


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


def test_a_full_disk_is_named_and_nothing_is_lost(url: str, clock) -> None:
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
