"""Bringing MLflow's side of a sweep in order, from its lock, its ledger and its journals.

Every trial of the lock ends with exactly one run that holds exactly its journal; what nobody is at work on
is closed. It may be run at any time, also while the sweep runs elsewhere: what is being written to is left
alone.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from paraformer_platform.config.conversion import config_from_dict, flat_params
from paraformer_platform.config.load import read_yaml
from paraformer_platform.errors import SweepError
from paraformer_platform.sweeps.ledger import CLAIMED, COMPLETED, FAILED, PLANNED, STOPPED, Ledger, Record
from paraformer_platform.sweeps.lock import LOCK_FILE, Lock, plan_hash, read_lock
from paraformer_platform.sweeps.outcome import error_kind
from paraformer_platform.sweeps.owners import is_gone
from paraformer_platform.sweeps.signals import stop_folder, stop_reason
from paraformer_platform.tracking import names
from paraformer_platform.tracking.environment import described_source
from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.tracking.projection import TrialProjection, TrialRecord
from paraformer_platform.tracking.sweep_run import SweepRun

LEDGER_VARIABLE = "PARAFORMER_LEDGER"
"""Environment variable with the SQLAlchemy URL of a ledger on a server; each storage has one of its own."""
SOURCE_FILE = "launch.json"
"""File and overrides of the last launch, in the sweep's folder."""
SWEEP_FILE = "sweep.yaml"
"""Copy of the sweep file in the sweep's folder."""
STATE_OF_LEFT_ALONE = "running"


@dataclass(frozen=True)
class SyncReport:
    """What was found and mended."""

    counts: Mapping[str, int]
    """Trials by what was done: unchanged, completed, rebuilt, running, not begun."""
    orphans: int
    """Open runs of the sweep that belong to no living trial and were closed."""


def synchronise(name: str, storage: Path, store: RunStore) -> SyncReport:
    """Rebuild or repair the MLflow runs of a sweep.

    Args:
        name: Name of the sweep.
        storage: The storage that holds its lock, ledger and trials.
        store: The tracking store.

    Raises:
        SweepError: There is no such sweep in the storage.
    """
    folder = sweep_folder(name, storage)
    lock, records = read_sweep(name, storage)
    parent = SweepRun(store, name, plan_hash(lock), folder)
    parent.open({})
    parent.log_files([folder / LOCK_FILE, folder / SWEEP_FILE])
    done = [
        _sync_trial(
            trial_record(storage, lock, trial, parent.run_id), records.get(trial["trial_key"]), store, folder
        )
        for trial in lock["trials"]
    ]
    if not any(map(is_at_work, records.values())):
        parent.close(_parent_status(folder, lock, records))
    return SyncReport(Counter(done), _close_orphans(name, store, records))


def sweep_folder(name: str, storage: Path) -> Path:
    """Return the folder of a sweep."""
    return storage / "sweeps" / name


def read_sweep(name: str, storage: Path) -> tuple[Lock, dict[str, Record]]:
    """Return the lock of a sweep, and what the ledger knows of its trials.

    Raises:
        SweepError: There is no such sweep in the storage; it names those that are.
    """
    lock = read_lock(sweep_folder(name, storage) / LOCK_FILE)
    if lock is None:
        there = sorted(path.parent.name for path in storage.glob(f"sweeps/*/{LOCK_FILE}"))
        known = f"it holds {', '.join(there)}" if there else "it holds none"
        raise SweepError(
            f"there is no sweep {name} in {storage}: {known}; name another folder with --storage"
        )
    return lock, ledger_of(storage, name).records([trial["trial_key"] for trial in lock["trials"]])


def state_of(record: Record | None) -> str:
    """Name a trial's state for people."""
    if record is None:
        return "planned"
    if record.state == CLAIMED:
        return "running" if is_at_work(record) else "interrupted"
    return record.state


def ledger_of(storage: Path, name: str | None = None) -> Ledger:
    """Open the ledger of a storage, that of a sweep in it where the sweep's file names one.

    Raises:
        SweepError: The sweep's file names a ledger by a variable that is not set.
        LedgerError: It cannot be opened.
    """
    return Ledger(ledger_url(storage, None if name is None else _named_ledger(sweep_folder(name, storage))))


def _named_ledger(folder: Path) -> str | None:
    """Return the ledger that the file or the command of a sweep named when it was launched."""
    try:
        file = OmegaConf.load(folder / SWEEP_FILE)
        overrides = json.loads((folder / SOURCE_FILE).read_text())["overrides"]
    except FileNotFoundError:
        return None
    try:
        named = OmegaConf.select(OmegaConf.merge(file, OmegaConf.from_dotlist(overrides)), "ledger")
    except OmegaConfBaseException as error:
        reason = str(error).splitlines()[0]
        raise SweepError(f"the ledger of sweep {folder.name} cannot be found: {reason}") from error
    return None if named is None else str(named)


def ledger_url(storage: Path, named: str | None = None) -> str:
    """Return the address of a storage's ledger: the named one, that of `LEDGER_VARIABLE`, or a file in it."""
    return named or os.environ.get(LEDGER_VARIABLE) or f"sqlite:///{storage.resolve() / 'ledger.db'}"


def is_at_work(record: Record | None) -> bool:
    """Tell whether a living process holds the trial, as far as one can know."""
    return record is not None and record.state == CLAIMED and not is_gone(record.owner or "")


def trial_record(storage: Path, lock: Lock, trial: Mapping[str, Any], parent_run_id: str) -> TrialRecord:
    """Describe a locked trial for MLflow from what its folder holds."""
    folder = storage / "trials" / trial["trial_key"]
    return TrialRecord(
        trial_key=trial["trial_key"],
        folder=folder,
        name=f"{lock['name']} {trial['variant']} · seed {trial['seed']}",
        tags={
            names.SWEEP: lock["name"],
            names.VARIANT: trial["variant"],
            names.SEED: str(trial["seed"]),
            names.DATA: lock["data_fingerprint"],
            names.CODE: lock["code_version"],
            **described_source(folder / "environment.json").tags(),
        },
        params=_params(folder / "config.yaml"),
        parent_run_id=parent_run_id,
    )


def _params(path: Path) -> Mapping[str, object]:
    """Read a trial's flat configuration; empty for one that has not begun."""
    if not path.is_file():
        return {}
    return flat_params(config_from_dict(read_yaml(path)[0]))


def _sync_trial(trial: TrialRecord, record: Record | None, store: RunStore, folder: Path) -> str:
    identity = {names.TRIAL_KEY: trial.trial_key}
    if store.find(identity):
        store.remove_duplicates(identity)
    if is_at_work(record):
        return STATE_OF_LEFT_ALONE
    if record is None or record.attempts == 0:
        return "not begun"
    projection = TrialProjection(store, trial)
    done = projection.repair()
    state = record.state if record.state in (COMPLETED, FAILED) else STOPPED
    error = record.error if state == FAILED else None
    kind = error_kind(error) if error else None
    if state == STOPPED:  # for good, if there is a reason; else it goes on when the sweep does
        error = stop_reason(stop_folder(folder, trial.trial_key))
    projection.close(state, record.attempts, error, kind)
    return done


def _parent_status(folder: Path, lock: Lock, records: Mapping[str, Record]) -> str:
    """Return FINISHED when the sweep is through; a trial that its scheduler ended early is done with."""
    states = Counter(
        COMPLETED if state == STOPPED and stop_reason(stop_folder(folder, key)) else state
        for key in (trial["trial_key"] for trial in lock["trials"])
        for state in [records[key].state if key in records else PLANNED]
    )
    if states[FAILED]:
        return names.FAILED
    return names.FINISHED if set(states) == {COMPLETED} else names.KILLED


def _close_orphans(name: str, store: RunStore, records: Mapping[str, Record]) -> int:
    """Close runs of the sweep that are open though nobody is at work on their trial."""
    orphans = [
        run
        for run in store.find({names.KIND: names.KIND_TRIAL, names.SWEEP: name})
        if run.info.status == names.RUNNING and not is_at_work(records.get(run.data.tags[names.TRIAL_KEY]))
    ]
    for run in orphans:
        store.terminate(run.info.run_id, names.KILLED)
    return len(orphans)
