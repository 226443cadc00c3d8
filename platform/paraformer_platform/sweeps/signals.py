"""How a running trial is asked to stop: a file that appears on the shared storage, looked for at every epoch.

A file reaches a trial on any node, outlives the process that asked, and needs no connection. There is one
for a whole sweep and one for a single trial.
"""

from pathlib import Path

STOP_FILE = "stop"


def ask_to_stop(folder: Path, reason: str) -> None:
    """Ask what runs under this folder (a sweep's or a trial's) to stop at its next look."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / STOP_FILE).write_text(reason + "\n")


def stop_reason(*folders: Path) -> str | None:
    """Return why one of these folders was asked to stop, None when none was."""
    for folder in folders:
        try:
            return (folder / STOP_FILE).read_text().strip()
        except OSError:
            continue
    return None


def clear_stop(folder: Path) -> None:
    """Take an earlier request back."""
    (folder / STOP_FILE).unlink(missing_ok=True)
