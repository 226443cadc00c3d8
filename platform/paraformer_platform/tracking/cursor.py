"""How far a trial's journal has been sent to MLflow, kept as ``mlflow.json`` beside the journal.

Sending is two-phased so that a writer killed in between leaves a truth behind::

    announced ≥ sent        announced: bytes that may be in MLflow; sent: bytes that surely are

The next writer goes on from ``sent``; replayed points carry their journaled timestamps, so MLflow drops
them. If the journal no longer begins with the announced bytes (a resume cut it back), points are in MLflow
that no longer happened, and the run has to be rebuilt.
"""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from paraformer_platform.whole_file import write_whole

CURSOR_FILE = "mlflow.json"


@dataclass(frozen=True)
class Cursor:
    """Where one trial stands in one tracking store."""

    uri: str
    """Tracking store the other fields speak of."""
    run_id: str
    sent: int = 0
    """Bytes of the journal that are in MLflow."""
    announced: int = 0
    """Bytes of the journal that may be in MLflow."""
    announced_hash: str = hashlib.sha256().hexdigest()
    """SHA-256 of the journal's first ``announced`` bytes."""
    closed: str | None = None
    """Final state under which the run was closed."""

    def still_holds(self, journal: bytes) -> bool:
        """Tell whether the journal still begins with everything that may have been sent."""
        return prefix_hash(journal, self.announced) == self.announced_hash

    def save(self, folder: Path) -> None:
        """Write the cursor beside the journal, whole or not at all."""
        write_whole(folder / CURSOR_FILE, json.dumps(asdict(self), indent=1) + "\n")


def prefix_hash(journal: bytes, length: int) -> str | None:
    """Return the SHA-256 of the first ``length`` bytes, None when the journal is shorter."""
    if len(journal) < length:
        return None
    return hashlib.sha256(journal[:length]).hexdigest()


def load_cursor(folder: Path, uri: str) -> Cursor | None:
    """Return the cursor of a trial folder; without one for this store everything is sent again."""
    try:
        cursor = Cursor(**json.loads((folder / CURSOR_FILE).read_text()))
    except (OSError, ValueError, TypeError):
        return None
    return cursor if cursor.uri == uri else None
