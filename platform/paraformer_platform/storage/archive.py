"""A copy of a trial in a file system by URI, kept up with it epoch by epoch; see ``uri``.

A machine with a disk of its own can be taken away: the same training, started elsewhere, is fetched from its
archive and goes on from the last epoch that is there. The order of copying makes every state whole: what a
checkpoint refers to (the journal) goes before it, and the summary, which says that all is done, goes last.
"""

from pathlib import Path

from paraformer_platform.storage.uri import Remote, only_one

LAST = ("checkpoints/last.pt", "results/summary.json")
"""Copied after everything else, in this order."""
NOT_COPIED = "ray_train/"
"""Ray Train's own notes of this attempt."""


class Archive:
    """The archive of one trial.

    Args:
        uri: Folder of the archive; each trial has one of its own in it, by its key.
        trial_key: Of the trial.
        folder: The trial's folder on this machine.

    Raises:
        RemoteError: the file system is not known, or does not answer.
    """

    def __init__(self, uri: str, trial_key: str, folder: Path) -> None:
        self._remote = Remote(f"{uri.rstrip('/')}/{trial_key}")
        self._folder = folder
        self._stored: dict[str, tuple[int, int]] = {}

    def fetch(self) -> bool:
        """Fetch the trial if this machine has nothing of it; tell whether there was something.

        Raises:
            RemoteError: it cannot be read.
        """
        with only_one(self._folder):  # a gang's workers on one machine come here together
            return self._fetch()

    def _fetch(self) -> bool:
        if (self._folder / "identity.json").exists():
            return False
        names = [name for name in self._remote.listing() if not _is_partial(name)]
        for name in sorted(names, key=_turn):
            # A folder is a trial's by its identity, which therefore comes last.
            if name != "identity.json":
                self._remote.fetch(name, self._folder / name)
        if "identity.json" in names:
            self._remote.fetch("identity.json", self._folder / "identity.json")
        return bool(names)

    def store(self) -> None:
        """Copy what has changed since the last time, and delete there what is gone here.

        Raises:
            RemoteError: it cannot be written.
        """
        here = dict(self._files())
        for name in sorted(here, key=_turn):
            status = here[name].stat()
            state = (status.st_size, status.st_mtime_ns)
            if self._stored.get(name) != state:
                self._remote.store(here[name], name)
                self._stored[name] = state
        for name in set(self._stored) - set(here):
            self._remote.delete(name)
            del self._stored[name]

    def _files(self) -> list[tuple[str, Path]]:
        paths = [path for path in self._folder.rglob("*") if path.is_file()]
        named = [(path.relative_to(self._folder).as_posix(), path) for path in paths]
        return [item for item in named if not _is_partial(item[0]) and not item[0].startswith(NOT_COPIED)]


def _turn(name: str) -> tuple[int, str]:
    return (LAST.index(name) + 1 if name in LAST else 0, name)


def _is_partial(name: str) -> bool:
    return name.rpartition("/")[2].startswith(".")
