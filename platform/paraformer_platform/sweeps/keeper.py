"""Which checkpoints outlive a sweep (``checkpoints`` of the sweep file), and the deleting of the others.

::

    keeper = CheckpointKeeper("demo", storage, ledger)
    keeper.trial_ended(key)     # as trials end, so that the storage does not fill up meanwhile
    keeper.sweep_ended()        # the same for all trials; mends what a crash left undone

What it promises:

- A trial that may be gone on with keeps everything: only a completed trial loses files, or one that every
  sweep which holds it has stopped for good.
- A trial is stored once and may belong to several sweeps. What any of them keeps is kept; their wishes stand
  in their lock files.
- It only deletes, and decides by locks, ledger and files: done again, after whatever crash, it ends the same.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paraformer_platform.sweeps.ledger import COMPLETED, STOPPED, Ledger, Record
from paraformer_platform.sweeps.lock import LOCK_FILE
from paraformer_platform.sweeps.settings import CheckpointsConfig
from paraformer_platform.sweeps.signals import stop_folder, stop_reason
from paraformer_platform.training.shelf import Retention, prune
from paraformer_platform.training.trial_folder import TrialFolder


@dataclass(frozen=True)
class Holder:
    """A sweep of the storage, as far as checkpoints go."""

    folder: Path
    trial_keys: tuple[str, ...]
    """Its trials in the order of its plan."""
    wishes: CheckpointsConfig
    metric: str
    goal: str
    holds: frozenset[str] = frozenset()
    """The same keys, to be looked up."""

    def ranked(self, records: Mapping[str, Record]) -> list[str]:
        """Return the keys of its completed trials, the best first; of equal ones the earlier planned."""
        sign = 1.0 if self.goal == "minimize" else -1.0
        results = {key: records[key].result or {} for key in self.trial_keys if key in records}
        values = {key: sign * float(result.get(self.metric, math.nan)) for key, result in results.items()}
        return sorted((key for key in values if not math.isnan(values[key])), key=values.__getitem__)

    def stopped_for_good(self, trial_key: str) -> bool:
        """Tell whether this sweep ended the trial early, and so will not go on with it."""
        return stop_reason(stop_folder(self.folder, trial_key)) is not None


class CheckpointKeeper:
    """Deletes the checkpoints of a sweep's ended trials that no sweep of the storage keeps.

    Args (of the constructor):
        name: Name of the sweep.
        storage: The storage of trials and sweeps.
        ledger: The ledger of the storage.
    """

    def __init__(self, name: str, storage: Path, ledger: Ledger) -> None:
        self._storage = storage
        self._folder = storage / "sweeps" / name
        self._ledger = ledger
        self._read: dict[Path, tuple[tuple[int, int], Holder | None]] = {}
        self._among_best: set[str] = set()
        """Trials whose best checkpoint is there only because they are among the best of the sweep."""

    def trial_keys(self) -> tuple[str, ...]:
        """Return the trials that the sweep's lock holds so far."""
        own = self._holder(self._folder / LOCK_FILE)
        return own.trial_keys if own else ()

    def trial_ended(self, trial_key: str) -> None:
        """Delete what is not kept of a trial that has ended, and of those that it beats.

        Raises:
            OSError: A file cannot be deleted.
            LedgerError: The ledger cannot be read.
        """
        self._clean({trial_key, *self._among_best})

    def sweep_ended(self) -> None:
        """Delete what is not kept of any trial of the sweep.

        Raises:
            OSError: A file cannot be deleted.
            LedgerError: The ledger cannot be read.
        """
        self._clean(set(self.trial_keys()))

    def _clean(self, trial_keys: set[str]) -> None:
        holders = list(self._holders())
        held_by = {key: [item for item in holders if key in item.holds] for key in trial_keys}
        asked_of = {key: held for key, held in held_by.items() if held}
        best = self._best_of(asked_of)
        for key, record in self._ledger.records(list(asked_of)).items():
            if not _is_over(record, asked_of[key]):
                continue
            retention = _retention(asked_of[key])
            if retention.best == 0 and key in best:
                retention = Retention(retention.latest, best=1)
                self._among_best.add(key)
            else:
                self._among_best.discard(key)
            self._prune(key, retention)

    def _best_of(self, asked_of: Mapping[str, Iterable[Holder]]) -> set[str]:
        """Return the trials whose best checkpoint is kept because they are among the best of a sweep."""
        choosing = {
            item.folder: item
            for held in asked_of.values()
            if _retention(held).best == 0  # otherwise it is kept whatever its rank
            for item in held
            if item.wishes.save_experiment_best
        }
        best: set[str] = set()
        for item in choosing.values():
            ranked = item.ranked(self._ledger.records(item.trial_keys))
            best.update(ranked[: item.wishes.save_experiment_best])
        return best

    def _prune(self, trial_key: str, retention: Retention) -> None:
        place = TrialFolder(self._storage / "trials" / trial_key)
        if place.checkpoints.is_dir():
            prune(place, retention)

    def _holders(self) -> Iterable[Holder]:
        for path in sorted(self._storage.glob(f"sweeps/*/{LOCK_FILE}")):
            holder = self._holder(path)
            if holder is not None:
                yield holder

    def _holder(self, path: Path) -> Holder | None:
        """Read a lock, again only when it has changed."""
        try:
            stat = path.stat()
            seen = (stat.st_mtime_ns, stat.st_size)
            if self._read.get(path, (None, None))[0] != seen:
                self._read[path] = seen, _holder(path.parent, json.loads(path.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        return self._read[path][1]


def _holder(folder: Path, lock: Mapping[str, Any]) -> Holder:
    return Holder(
        folder=folder,
        trial_keys=tuple(trial["trial_key"] for trial in lock["trials"]),
        wishes=CheckpointsConfig(**lock.get("checkpoints", {})),
        metric=lock["metric"]["name"],
        goal=lock["metric"]["goal"],
        holds=frozenset(trial["trial_key"] for trial in lock["trials"]),
    )


def _retention(held: Iterable[Holder]) -> Retention:
    """What all the sweeps that hold a trial want kept of it, whatever its rank among others."""
    kept = Retention(latest=0, best=0)
    for item in held:
        kept = kept.joined(Retention(item.wishes.save_trial_latest, item.wishes.save_trial_best))
    return kept


def _is_over(record: Record, held: Iterable[Holder]) -> bool:
    if record.state == COMPLETED:
        return True
    return record.state == STOPPED and all(item.stopped_for_good(record.trial_key) for item in held)
