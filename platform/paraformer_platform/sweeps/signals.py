"""How a running trial is asked to stop: a file that appears on the shared storage, looked for at every epoch.

A file reaches a trial on any node, outlives the process that asked, and needs no connection. There is one
for a whole sweep, and one for each trial that the sweep ended early. The latter lie in the sweep's folder and
not in the trial's: another sweep that holds the same trial may want it whole.
"""

from pathlib import Path

STOP_FILE = "stop"


def stop_folder(sweep_folder: Path, trial_key: str) -> Path:
    """Return the folder in which a sweep asks one of its trials to stop, for good."""
    return sweep_folder / "stopped" / trial_key


def ask_to_stop(folder: Path, reason: str) -> None:
    """Ask a sweep, or the trial of a `stop_folder`, to stop at its next look."""
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
