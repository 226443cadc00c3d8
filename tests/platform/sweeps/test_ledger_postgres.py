"""The ledger on a real Postgres: the laws that hold on SQLite, and what only a server can show."""

import glob
import json
import multiprocessing
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from paraformer_platform.errors import LedgerError
from paraformer_platform.sweeps.ledger import Busy, Claim, Ledger, StoredResult
from paraformer_platform.sweeps.owners import owner_name
from paraformer_platform.sweeps.sync import ledger_of, ledger_url
from paraformer_platform.tracking import names
from paraformer_platform.tracking.mlflow_store import RunStore

pytest.importorskip("psycopg", reason="the Postgres driver is not installed: pip install 'psycopg[binary]'")
SCRIPT = Path(__file__).parent / "toy_sweep.py"
LEASE = 30.0
USER = "ledger"


class Server:
    """A Postgres of this test's own: its files and its socket in one folder, no port, started as no root."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="pf-pg-", dir="/tmp"))  # short: a socket's path must be
        self.owner: dict[str, object] = {}
        if os.geteuid() == 0:  # which Postgres refuses to run as
            account = _account()
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.run("initdb", "--auth=trust", f"--username={USER}", "--no-sync", f"{self.folder}/data")

    def run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self.programs / program, *arguments],
            cwd=self.folder,
            stdout=(self.folder / "output").open("w"),
            stderr=subprocess.STDOUT,
            check=False,
            **self.owner,
        )
        assert done.returncode == 0, (self.folder / "output").read_text()

    def start(self) -> None:
        options = f"-k {self.folder} -c listen_addresses= -c fsync=off"
        where = (f"--pgdata={self.folder}/data", f"--log={self.folder}/log")
        self.run("pg_ctl", "start", "-w", *where, f"--options={options}")

    def stop(self) -> None:
        self.run("pg_ctl", "stop", "--mode=immediate", f"--pgdata={self.folder}/data")

    def database(self, name: str) -> str:
        made = sa.create_engine(
            self.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=sa.pool.NullPool
        )
        with made.connect() as connection:
            connection.execute(sa.text(f"CREATE DATABASE {name}"))
        return self.url(name)

    def url(self, name: str) -> str:
        return f"postgresql+psycopg://{USER}:a-secret@/{name}?host={self.folder}"


def _account() -> pwd.struct_passwd:
    """Debian's package makes an account for it; else nobody does."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    found = [*sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")), shutil.which("initdb")]
    if found == [None]:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    server = Server(Path(found[0]).resolve().parent)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def url(server: Server, request: pytest.FixtureRequest) -> str:
    return server.database(f"test_{abs(hash(request.node.name))}")


def _work(url: str, keys: list[str], log: str) -> None:
    """Claim and complete trials until all are done, as a launcher would; note every training."""
    ledger, owner, left = Ledger(url), owner_name(), list(keys)
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
    records = Ledger(url).records()
    assert {record.state for record in records.values()} == {"completed"}
    assert len({record.result["by"] for record in records.values()}) > 1


def test_who_lost_its_lease_cannot_write(url: str) -> None:
    now = [1_700_000_000.5]
    ledger = Ledger(url, lambda: now[0])
    old = ledger.claim("k", "elsewhere:1", LEASE)
    assert ledger.claim("k", "other:2", LEASE) == Busy("k", "elsewhere:1", LEASE)
    for _ in range(3):
        now[0] += LEASE - 1
        ledger.heartbeat(old, LEASE)
    now[0] += LEASE + 1
    new = ledger.claim("k", "other:2", LEASE)
    with pytest.raises(LedgerError, match="elsewhere:1 lost its claim 1 on trial k: the trial is claimed"):
        ledger.complete(old, {"test/wer": 1.0})
    ledger.add_preemptions(new, 2)
    ledger.complete(new, {"test/wer": 0.1 + 0.2}, seconds=1 / 3)
    record = Ledger(url).record("k")
    assert (record.preemptions, record.failures, record.attempts, record.seconds) == (3, 0, 2, 1 / 3)
    assert Ledger(url).claim("k", "third:3", LEASE) == StoredResult("k", {"test/wer": 0.1 + 0.2}, 2)


def test_no_connection_is_held_between_two_statements(url: str) -> None:
    """Hundreds of trials share a server that takes a hundred connections."""
    ledgers = [Ledger(url) for _ in range(10)]
    for number, ledger in enumerate(ledgers):
        ledger.claim(f"k{number}", "x:1", LEASE)
    engine = sa.create_engine(url, poolclass=sa.pool.NullPool)
    count = sa.text("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
    with engine.connect() as connection:
        assert connection.execute(count).scalar() == 1  # this one


def test_a_server_that_was_started_again_is_used_again(server: Server, url: str) -> None:
    ledger = Ledger(url)
    claim = ledger.claim("k", "x:1", LEASE)
    server.stop()
    with pytest.raises(LedgerError, match="no database server answers there; start it") as found:
        ledger.heartbeat(claim, LEASE)
    assert "a-secret" not in str(found.value)
    assert f"{USER}:***@" in str(found.value)
    server.start()
    ledger.complete(claim, {"n": 1})


def test_every_command_takes_the_ledger_that_the_environment_names(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ledger_url(tmp_path) == f"sqlite:///{tmp_path}/ledger.db"
    monkeypatch.setenv("PARAFORMER_LEDGER", url)
    assert ledger_url(tmp_path) == url
    ledger_of(tmp_path).plan(["k"])
    assert Ledger(url).record("k") is not None
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
def test_two_launchers_of_one_sweep_share_its_trials_and_both_end_well(url: str, tmp_path: Path) -> None:
    both = [launcher(tmp_path, url) for _ in range(2)]
    outputs = [process.communicate(timeout=500)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], "\n".join(outputs)
    for output in outputs:
        assert json.loads(output.splitlines()[-1]) == {"completed": 4, "stop_reason": None}
    computed = {log.parent.name: log.read_text().split() for log in tmp_path.glob("trials/*/computed.log")}
    assert computed == {f"trial-{index}": [str(epoch) for epoch in range(1, 31)] for index in range(4)}
    runs = RunStore(f"sqlite:///{tmp_path}/mlflow.db", "toy").find({names.KIND: "trial"})
    assert sorted(run.data.tags[names.TRIAL_KEY] for run in runs) == sorted(computed)
    assert {run.info.status for run in runs} == {"FINISHED"}
