"""One process at a time writes into a trial's folder; the next one waits until it is gone.

The ledger gives a trial to one process, but the process that had it before may not know yet that it lost it:
a gang's worker outlives its killed driver for some seconds, a paused machine wakes up. The kernel's record
lock ends with its process, however that ends, and is not inherited by processes that it forks.
"""

import errno
import os
import platform
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from paraformer_platform.errors import TrainingError
from paraformer_platform.whole_file import remove_leftovers, storing

try:
    import fcntl
except ImportError:  # not a Unix: there is no such lock, and no Ray either
    fcntl = None  # type: ignore[assignment]

Seconds = float
LOCK_FILE = ".writer"
PATIENCE: Seconds = 60.0
"""How long a process waits for the one before it; as long as the ledger's leases and then some."""
LOOK_INTERVAL: Seconds = 0.05
HELD = (errno.EACCES, errno.EAGAIN)


@contextmanager
def only_writer(folder: Path, patience: Seconds = PATIENCE) -> Iterator[None]:
    """Hold a trial's folder for this process, and clear what killed ones left unfinished in it.

    Where the file system knows no locks, nothing is held.

    Args:
        folder: The trial's folder; made when it is missing.
        patience: How long to wait for another process.

    Raises:
        StorageError: the folder cannot be written to.
        TrainingError: another process held it all the time; names it.
    """
    with storing(folder / LOCK_FILE):
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / LOCK_FILE).open("a+")
    with closing(file):
        _wait_for(file.fileno(), folder, patience)
        remove_leftovers(folder)
        with suppress(OSError):  # words for whoever has to wait; a full disk takes none
            file.truncate(0)
            file.write(f"process {os.getpid()} on {platform.node()}\n")
            file.flush()
        yield


def _wait_for(descriptor: int, folder: Path, patience: Seconds) -> None:
    deadline = time.monotonic() + patience
    while not _is_taken(descriptor):
        if time.monotonic() > deadline:
            raise TrainingError(
                f"{folder} is being written to by {_holder(folder)}; wait for it or end it, then try again"
            )
        time.sleep(LOOK_INTERVAL)


def _is_taken(descriptor: int) -> bool:
    """Try to take the lock; True also where there are no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in HELD
    return True


def _holder(folder: Path) -> str:
    with suppress(OSError):
        # Another handle on the file would give this process's locks up when closed; it has none here.
        return (folder / LOCK_FILE).read_text().strip() or "another process"
    return "another process"
