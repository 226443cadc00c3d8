"""The ledger: one durable record per trial_key, and at most one process at work on it.

Ray Tune may start a trial twice; the ledger makes its result come once. A trial asks it first::

    ledger = Ledger("sqlite:////data/runs/ledger.db")      # or postgresql+psycopg://…
    claim = ledger.claim(trial_key, owner_name(), lease_seconds=30)
    match claim:
        case StoredResult(result): ...       # done before: hand it back, train nothing
        case Busy(): ...                     # another process is at work on it
        case Claim():                        # ours: train, with ledger.heartbeat(claim, 30) every few seconds
            ledger.complete(claim, {"test/wer": 0.12})

::

    planned ──> claimed ──> completed                 (final)
                   │  └───> failed | stopped ──> claimed again
                   └─ lease over, or its process gone: claimed by another, counted as a preemption

How it stays true:

- Every change is one ``UPDATE … WHERE state and token are as they were``: of many that try, one succeeds.
- A claim carries a *fencing token* that grows with each claim. A process that lost its lease (stopped for
  minutes, say) and comes back finds its token outdated: its writes fail with `LedgerError`.
- A lease runs out by the clock, at once when its process is known to be gone. A lease that ends further
  ahead than any lease could (the clock jumped back) is cut to a whole lease from now. Clocks of several hosts
  must agree to within a lease.
- SQLite runs in WAL mode with full synchronisation: what was told to be completed survives a power cut. Its
  file belongs on one machine's disk; launchers and trials on several machines need a database server.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from paraformer_platform.errors import ClaimLostError, LedgerError
from paraformer_platform.passwords import without_password
from paraformer_platform.sweeps.owners import is_gone

Seconds = float

PLANNED = "planned"
CLAIMED = "claimed"
COMPLETED = "completed"
FAILED = "failed"
STOPPED = "stopped"
STATES = (PLANNED, CLAIMED, COMPLETED, FAILED, STOPPED)

WAIT_FOR_LOCK: Seconds = 60.0
"""How long a statement waits for a writer of SQLite before it gives up with a message."""
ANSWER_WITHIN: Seconds = 10.0
"""How long a database server may take to answer before it counts as not there."""
KEYS_PER_STATEMENT = 500

METADATA = sa.MetaData()
TRIALS = sa.Table(
    "trials",
    METADATA,
    sa.Column("trial_key", sa.String(64), primary_key=True),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("owner", sa.String(255)),
    sa.Column("token", sa.Integer, nullable=False),
    sa.Column("lease_ends", sa.Double),
    sa.Column("failures", sa.Integer, nullable=False),
    sa.Column("preemptions", sa.Integer, nullable=False),
    sa.Column("result", sa.Text),
    sa.Column("error", sa.Text),
    sa.Column("trace", sa.Text),
    sa.Column("seconds", sa.Double, nullable=False),
)


@dataclass(frozen=True)
class Claim:
    """The right to train a trial, as long as the lease is renewed."""

    trial_key: str
    owner: str
    token: int
    """Fencing token: the number of this claim among all claims of the trial."""

    @property
    def attempt(self) -> int:
        """Number of this attempt, from 1."""
        return self.token


@dataclass(frozen=True)
class StoredResult:
    """The trial was completed before."""

    trial_key: str
    result: Mapping[str, Any]
    attempts: int


@dataclass(frozen=True)
class Busy:
    """Another process is at work on the trial."""

    trial_key: str
    owner: str
    seconds_left: Seconds
    """Time until its lease runs out if it is not renewed."""


@dataclass(frozen=True)
class Record:
    """What the ledger knows of a trial."""

    trial_key: str
    state: str
    owner: str | None
    attempts: int
    """Claims so far."""
    failures: int
    """Attempts that ended in an error."""
    preemptions: int
    """Attempts that ended because their process was lost, or gave the trial back."""
    result: Mapping[str, Any] | None
    error: str | None
    """``Class: message`` of the last failure."""
    trace: str | None
    seconds: Seconds
    """Time that ended attempts took, as told."""


class Ledger:
    """The records of all trials of a storage.

    Args (of the constructor):
        url: Any SQLAlchemy URL; of SQLite the folder is made when it is missing.
        clock: Seconds since the epoch; a test passes its own.

    Raises:
        LedgerError: The database cannot be opened or made.
    """

    def __init__(self, url: str, clock: Callable[[], Seconds] = time.time) -> None:
        self.url = url
        self._clock = clock
        with self._explained("opened"):
            self._engine = _engine(url)
            _make_table(self._engine)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def plan(self, trial_keys: Iterable[str]) -> None:
        """Enter trials that are not yet known as planned."""
        wanted = list(dict.fromkeys(trial_keys))
        known = self.records(wanted)
        if rows := [_new_row(key) for key in wanted if key not in known]:
            self._enter(rows)

    def claim(self, trial_key: str, owner: str, lease_seconds: Seconds) -> Claim | StoredResult | Busy:
        """Ask for the right to train a trial.

        Returns:
            The claim; the stored result when the trial is completed; busy when another process holds it.

        Raises:
            LedgerError: The database cannot be read or written.
        """
        while True:
            row = self._row(trial_key)
            if row is None:
                self._enter([_new_row(trial_key)])
                continue
            if row.state == COMPLETED:
                return StoredResult(trial_key, json.loads(row.result), row.token)
            if row.state == CLAIMED and not self._is_over(row):
                return self._busy(row, lease_seconds)
            if self._take(row, owner, lease_seconds):
                return Claim(trial_key, owner, row.token + 1)

    def heartbeat(self, claim: Claim, lease_seconds: Seconds) -> None:
        """Renew a lease.

        Raises:
            ClaimLostError: The claim was lost.
            LedgerError: The database cannot be written.
        """
        self._write(claim, lease_ends=self._clock() + lease_seconds)

    def complete(self, claim: Claim, result: Mapping[str, Any], seconds: Seconds = 0.0) -> None:
        """Store the result; it is final.

        Raises:
            ClaimLostError: The claim was lost.
            LedgerError: The result is no plain data, or the database cannot be written.
        """
        try:
            text = json.dumps(dict(result), sort_keys=True)
        except (TypeError, ValueError) as error:
            raise LedgerError(
                f"the result of trial {claim.trial_key} cannot be stored as JSON: {error}"
            ) from error
        self._end(claim, COMPLETED, seconds, result=text, error=None, trace=None)

    def fail(self, claim: Claim, error: str, trace: str = "", seconds: Seconds = 0.0) -> None:
        """Note an attempt that ended in an error, ``Class: message``; the trial may be claimed again.

        Raises:
            ClaimLostError: The claim was lost.
            LedgerError: The database cannot be written.
        """
        self._end(claim, FAILED, seconds, failures=TRIALS.c.failures + 1, error=error, trace=trace)

    def stop(self, claim: Claim, seconds: Seconds = 0.0) -> None:
        """Note an attempt that was asked to stop; the trial may be claimed again.

        Raises:
            ClaimLostError: The claim was lost.
            LedgerError: The database cannot be written.
        """
        self._end(claim, STOPPED, seconds)

    def give_back(self, claim: Claim, seconds: Seconds = 0.0) -> None:
        """Note an attempt whose machine is taken away: the trial is planned again, a preemption is counted.

        Raises:
            ClaimLostError: The claim was lost.
            LedgerError: The database cannot be written.
        """
        self._end(claim, PLANNED, seconds, preemptions=TRIALS.c.preemptions + 1)

    def add_preemptions(self, claim: Claim, count: int) -> None:
        """Note that a claim's machines were taken away so often, and that it went on elsewhere.

        Raises:
            LedgerError: The claim was lost, or the database cannot be written.
        """
        if count:
            self._write(claim, preemptions=TRIALS.c.preemptions + count)

    def forget(self, trial_keys: Iterable[str]) -> None:
        """Delete what is known of trials that nobody is at work on, so that they can be run afresh."""
        for key in trial_keys:
            with self._explained("written"), self._engine.begin() as connection:
                connection.execute(
                    sa.delete(TRIALS).where(TRIALS.c.trial_key == key, TRIALS.c.state != CLAIMED)
                )

    def record(self, trial_key: str) -> Record | None:
        """Return what is known of a trial."""
        return self.records([trial_key]).get(trial_key)

    def records(self, trial_keys: Collection[str] | None = None) -> dict[str, Record]:
        """Return what is known of these trials, or of all, by key."""
        with self._explained("read"), self._engine.connect() as connection:
            rows = [row for query in _queries(trial_keys) for row in connection.execute(query)]
        return {row.trial_key: _record(row) for row in rows}

    def _row(self, trial_key: str) -> sa.Row[Any] | None:
        with self._explained("read"), self._engine.connect() as connection:
            return connection.execute(sa.select(TRIALS).where(TRIALS.c.trial_key == trial_key)).first()

    def _enter(self, rows: list[dict[str, Any]]) -> None:
        """Add rows in one transaction; when another process entered some of them, one by one."""
        try:
            with self._explained("written"), self._engine.begin() as connection:
                connection.execute(sa.insert(TRIALS), rows)
        except LedgerError as error:
            if not isinstance(error.__cause__, sa.exc.IntegrityError):
                raise
            if len(rows) > 1:
                for row in rows:
                    self._enter([row])

    def _is_over(self, row: sa.Row[Any]) -> bool:
        return bool(row.lease_ends <= self._clock()) or is_gone(row.owner)

    def _busy(self, row: sa.Row[Any], lease_seconds: Seconds) -> Busy:
        left = row.lease_ends - self._clock()
        if left > 2 * lease_seconds:  # no lease was ever given so far ahead: the clock has jumped back
            self._change(row, lease_ends=self._clock() + lease_seconds)
            left = lease_seconds
        return Busy(row.trial_key, row.owner, left)

    def _take(self, row: sa.Row[Any], owner: str, lease_seconds: Seconds) -> bool:
        """Claim a trial as it was seen; False when another process was faster."""
        return self._change(
            row,
            state=CLAIMED,
            owner=owner,
            token=row.token + 1,
            lease_ends=self._clock() + lease_seconds,
            preemptions=row.preemptions + (row.state == CLAIMED),
        )

    def _change(self, row: sa.Row[Any], **values: object) -> bool:
        unchanged = [
            getattr(TRIALS.c, name) == getattr(row, name) for name in ("trial_key", "state", "token")
        ]
        if row.state == CLAIMED:  # a heartbeat since the row was read keeps the lease
            unchanged.append(TRIALS.c.lease_ends == row.lease_ends)
        with self._explained("written"), self._engine.begin() as connection:
            return connection.execute(sa.update(TRIALS).where(*unchanged).values(**values)).rowcount == 1

    def _end(self, claim: Claim, state: str, seconds: Seconds, **values: object) -> None:
        ended = {"state": state, "lease_ends": None, "seconds": TRIALS.c.seconds + seconds}
        self._write(claim, **ended, **values)

    def _write(self, claim: Claim, **values: object) -> None:
        """Change the record of a claim, if it still is ours."""
        mine = (
            TRIALS.c.trial_key == claim.trial_key,
            TRIALS.c.state == CLAIMED,
            TRIALS.c.token == claim.token,
        )
        with self._explained("written"), self._engine.begin() as connection:
            changed = connection.execute(sa.update(TRIALS).where(*mine).values(**values)).rowcount
        if not changed:
            raise ClaimLostError(self._loss(claim))

    def _loss(self, claim: Claim) -> str:
        now = self.record(claim.trial_key)
        state = "is not in the ledger" if now is None else f"is {now.state}, last claimed by {now.owner}"
        return (
            f"{claim.owner} lost its claim {claim.token} on trial {claim.trial_key}: the trial {state}; "
            "its lease ran out before it was renewed, and nothing was written"
        )

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        """Turn the database's errors into one message with a remedy."""
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError, ImportError) as error:
            raise LedgerError(
                f"the ledger {without_password(self.url)} cannot be {verb}: {_reason(error)}"
            ) from error


REMEDIES = {
    "locked": f"another process holds its lock, for {WAIT_FOR_LOCK:.0f} seconds now; end it and try again",
    "readonly": "it is read-only; make the file and its folder writable, or choose another storage",
    "read-only": "it is read-only; make the file and its folder writable, or choose another storage",
    "permission denied": "permission denied; make the folder writable, or choose another storage",
    "disk is full": "the disk is full; free some space and run the same command again, nothing was lost",
    "no space left": "the disk is full; free some space and run the same command again, nothing was lost",
    "disk i/o error": "the disk failed or is full; look after it and run the same command again",
    "malformed": "the file is damaged; move it away and run `paraformer sync` to rebuild it",
    "not a database": "the file is no database; move it away and run `paraformer sync` to rebuild it",
    "connection refused": "no database server answers there; start it, or correct its address",
    "server running locally": "no database server answers there; start it, or correct its address",
    "timeout expired": f"no database server answers there within {ANSWER_WITHIN:.0f} s; look at its network",
    "failed to resolve": "its host is not known; correct the address",
    "authentication failed": "the database refuses this user or password; correct them in the URL",
    "no password supplied": "the database asks for a password; add it to the URL",
    "no module named": "its driver is not installed; for Postgres: pip install 'psycopg[binary]'",
    "could not parse": "this is no database URL; write one such as postgresql+psycopg://USER:PASSWORD@HOST/DATABASE",
    "can't load plugin": "this kind of database is not known; use postgresql+psycopg:// or sqlite:///",
    "unable to open": "the file cannot be opened; check that its folder exists and is writable",
}
"""By the words in a database's error: what is wrong and what to do."""


def _reason(error: Exception) -> str:
    text = str(getattr(error, "orig", None) or error)
    return next((reason for words, reason in REMEDIES.items() if words in text.lower()), text)


def _engine(url: str) -> sa.Engine:
    """Open a database.

    No pool: a connection never outlives a statement, so that none is shared by forked processes, and hundreds
    of waiting trials hold none of a server's connections.
    """
    parsed = sa.make_url(url)
    if parsed.get_backend_name() != "sqlite":
        patience = {"connect_timeout": int(ANSWER_WITHIN)}
        takes_it = parsed.get_backend_name() in ("postgresql", "mysql", "mariadb")
        return sa.create_engine(url, connect_args=patience if takes_it else {}, poolclass=sa.pool.NullPool)
    is_plain_file = bool(parsed.database) and "uri" not in parsed.query
    if is_plain_file:
        Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
    engine = sa.create_engine(url, connect_args={"timeout": WAIT_FOR_LOCK}, poolclass=sa.pool.NullPool)
    sa.event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA synchronous = FULL"))
    if is_plain_file:
        _switch_to_wal(str(parsed.database))
    return engine


def _make_table(engine: sa.Engine) -> None:
    """Make the table if it is not there. Of two processes that do so at once on Postgres, one may fail."""
    for last in (False, True):
        try:
            with engine.begin() as connection:
                connection.execute(sa.schema.CreateTable(TRIALS, if_not_exists=True))
            return
        except sa.exc.DBAPIError as error:
            if last or "already exists" not in str(error):
                raise


def _switch_to_wal(path: str) -> None:
    """Switch the file to write-ahead logging, which it remembers; SQLite does not wait for a lock here."""
    deadline = time.monotonic() + WAIT_FOR_LOCK
    while True:
        try:
            with closing(sqlite3.connect(path, timeout=WAIT_FOR_LOCK)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _new_row(trial_key: str) -> dict[str, Any]:
    return {
        "trial_key": trial_key,
        "state": PLANNED,
        "token": 0,
        "failures": 0,
        "preemptions": 0,
        "seconds": 0.0,
    }


def _queries(trial_keys: Collection[str] | None) -> Iterator[sa.Select[Any]]:
    if trial_keys is None:
        yield sa.select(TRIALS)
        return
    keys = list(trial_keys)
    for start in range(0, len(keys), KEYS_PER_STATEMENT):
        yield sa.select(TRIALS).where(TRIALS.c.trial_key.in_(keys[start : start + KEYS_PER_STATEMENT]))


def _record(row: sa.Row[Any]) -> Record:
    result = None if row.result is None else json.loads(row.result)
    return Record(
        trial_key=row.trial_key,
        state=row.state,
        owner=row.owner,
        attempts=row.token,
        failures=row.failures,
        preemptions=row.preemptions,
        result=result,
        error=row.error,
        trace=row.trace,
        seconds=row.seconds,
    )
