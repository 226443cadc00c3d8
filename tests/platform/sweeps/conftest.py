import glob
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import sqlalchemy as sa

from paraformer_platform.sweeps.ledger import Ledger

POSTGRES_USER = "ledger"


def postgres_programs() -> Path | None:
    """Folder of the server's programs; None where it is not installed."""
    found = [*sorted(glob.glob("/usr/lib/postgresql/*/bin/initdb")), shutil.which("initdb")]
    return None if found[0] is None else Path(found[0]).resolve().parent


class PostgresServer:
    """A Postgres of this test's own: its files and its socket in one folder, no port, started as no root."""

    def __init__(self, programs: Path) -> None:
        self.programs = programs
        self.folder = Path(tempfile.mkdtemp(prefix="pf-pg-", dir="/tmp"))  # short: a socket's path must be
        self.owner: dict[str, object] = {}
        if os.geteuid() == 0:  # which Postgres refuses to run as
            account = _account()
            os.chown(self.folder, account.pw_uid, account.pw_gid)
            self.owner = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        self.run("initdb", "--auth=trust", f"--username={POSTGRES_USER}", "--no-sync", f"{self.folder}/data")

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
        return f"postgresql+psycopg://{POSTGRES_USER}:a-secret@/{name}?host={self.folder}"


def _account() -> pwd.struct_passwd:
    """Debian's package makes an account for it; else nobody does."""
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.5

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Ledger:
    """A ledger in the database that the test's own file names."""
    return Ledger(url, clock)


@pytest.fixture(scope="session")
def toy() -> ModuleType:
    """The script of toy trainings, as a module whose functions travel to workers by value."""
    path = Path(__file__).parent / "toy_sweep.py"
    spec = importlib.util.spec_from_file_location("toy_sweep", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["toy_sweep"] = module
    spec.loader.exec_module(module)
    import ray

    ray.cloudpickle.register_pickle_by_value(module)
    return module


@pytest.fixture(scope="session")
def local_ray() -> Iterator[None]:
    """One Ray of two CPUs for the folder."""
    from paraformer_platform.clusters.connection import Connection

    with Connection(cpus=2):
        yield


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One server for the folder."""
    pytest.importorskip("psycopg", reason="no Postgres driver: pip install 'psycopg[binary]'")
    found = postgres_programs()
    if found is None:
        pytest.skip("Postgres is not installed: apt-get install postgresql")
    server = PostgresServer(found)
    server.start()
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres: PostgresServer, request: pytest.FixtureRequest) -> str:
    """A database of the test's own."""
    return postgres.database(f"test_{abs(hash(request.node.nodeid))}")
