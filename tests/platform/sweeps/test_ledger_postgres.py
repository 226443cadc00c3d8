"""The ledger on a real Postgres: what only a server can show. The laws are in test_ledger_laws.py."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa

from paraformer_platform.errors import LedgerError
from paraformer_platform.sweeps.ledger import Ledger
from paraformer_platform.sweeps.sync import ledger_of, ledger_url
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore

pytest.importorskip("psycopg", reason="the Postgres driver is not installed: pip install 'psycopg[binary]'")
SCRIPT = Path(__file__).parent / "toy_sweep.py"
LEASE = 30.0


def test_no_connection_is_held_between_two_statements(postgres_url: str) -> None:
    """Hundreds of trials share a server that takes a hundred connections."""
    ledgers = [Ledger(postgres_url) for _ in range(10)]
    for number, ledger in enumerate(ledgers):
        ledger.claim(f"k{number}", "x:1", LEASE)
    engine = sa.create_engine(postgres_url, poolclass=sa.pool.NullPool)
    count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    with engine.connect() as connection:
        assert connection.execute(count).scalar() == 1  # this one


def test_a_server_that_was_started_again_is_used_again(postgres, postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    claim = ledger.claim("k", "x:1", LEASE)
    postgres.stop()
    with pytest.raises(LedgerError, match="no database server answers there; start it") as found:
        ledger.heartbeat(claim, LEASE)
    assert "a-secret" not in str(found.value)
    assert "ledger:***@" in str(found.value)
    postgres.start()
    ledger.complete(claim, {"n": 1})


def test_every_command_takes_the_ledger_that_the_environment_names(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger_url(tmp_path) == f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("PARAFORMER_LEDGER", postgres_url)
    assert ledger_url(tmp_path) == postgres_url
    ledger_of(tmp_path).plan(["k"])
    assert Ledger(postgres_url).record("k") is not None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("postgresql+psycopg://u:p@127.0.0.1:1/x", r"u:\*\*\*@127.*no database server answers there"),
        ("postgresql+psycopg://u@/x?host=/nowhere", "no database server answers there"),
        ("postgres at home", "this is no database URL; write one such as postgresql"),
        ("oracel://x", "this kind of database is not known"),
    ],
)
def test_a_ledger_that_is_not_there_is_said_at_once(url: str, words: str) -> None:
    begun = time.monotonic()
    with pytest.raises(LedgerError, match=words):
        Ledger(url)
    assert time.monotonic() - begun < 5


def launcher(storage: Path, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), str(storage), "4", "30", "0.1", url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_two_launchers_of_one_sweep_share_its_trials_and_both_end_well(
    postgres_url: str, tmp_path: Path
) -> None:
    both = [launcher(tmp_path, postgres_url) for _ in range(2)]
    outputs = [process.communicate(timeout=500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    for output in outputs:
        assert json.loads(output.splitlines()[-1]) == {"completed": 4, "stop_reason": None}
    computed = {log.parent.name: log.read_text().split() for log in tmp_path.glob("trials/*/computed.log")}
    assert computed == {f"trial-{index}": [str(epoch) for epoch in range(1, 31)] for index in range(4)}
    runs = RunStore(f"sqlite:///{tmp_path}/mlflow.db", "toy").find({names.KIND: "trial"})
    assert sorted(run.data.tags[names.TRIAL_KEY] for run in runs) == sorted(computed)
    assert {run.info.status for run in runs} == {"FINISHED"}
