"""Folders and files by URI: object stores and every other file system of pyarrow or fsspec.

::

    s3://bucket/corpora/digits          pyarrow's own: s3, gs, abfs, hdfs, file
    sftp://host/corpora/digits          whatever fsspec knows, with its package installed

Nothing here is a mount. What is read is copied to this machine first, whole, and what is written is copied
there afterwards. The credentials are those of the machine: environment, profile or instance role.
"""

import fcntl
import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from paraformer_platform.errors import RemoteError, StorageError
from paraformer_platform.passwords import without_password
from paraformer_platform.whole_file import whole_file

SCHEME = re.compile(r"([a-z][a-z0-9+.-]+):/+(.*)", re.DOTALL)
"""Also as `pathlib` leaves it, with one slash; a single letter would be a drive of Windows."""
CACHE = Path("~/.cache/paraformer/fetched")


def is_uri(place: str | Path) -> bool:
    """Tell whether this names something in a file system by URI, and not a path of this machine."""
    return SCHEME.fullmatch(str(place)) is not None


def as_uri(place: str | Path) -> str:
    """Return a URI as it was before `pathlib` took its slashes together."""
    found = SCHEME.fullmatch(str(place))
    assert found is not None, f"{place} is no URI"
    return f"{found[1]}:///{found[2]}" if found[1] == "file" else f"{found[1]}://{found[2]}"


class Remote:
    """A folder in a file system by URI.

    Args:
        uri: Of the folder.

    Raises:
        RemoteError: no such kind of file system is known here, or it does not answer.
    """

    def __init__(self, uri: str) -> None:
        self.uri = as_uri(uri).rstrip("/")
        with explained(self.uri, "opened"):
            self._files, self._root = _file_system(self.uri)

    def listing(self) -> dict[str, tuple[int, str]]:
        """Every file below the folder by its relative path: size, and when it was changed."""
        from pyarrow.fs import FileSelector, FileType

        with explained(self.uri, "listed"):
            found = self._files.get_file_info(FileSelector(self._root, allow_not_found=True, recursive=True))
        return {
            info.path[len(self._root) :].lstrip("/"): (info.size or 0, str(info.mtime))
            for info in found
            if info.type == FileType.File
        }

    def fetch(self, name: str, into: Path) -> None:
        """Copy a file to this machine, at once or not at all."""
        with (
            explained(f"{self.uri}/{name}", "read"),
            self._files.open_input_stream(self._at(name)) as source,
            whole_file(into) as target,
        ):
            shutil.copyfileobj(source, target, 2**20)

    def store(self, file: Path, name: str) -> None:
        """Copy a file there, at once or not at all: under another name first."""
        with explained(f"{self.uri}/{name}", "written"):
            folder = self._at(name).rpartition("/")[0]
            self._files.create_dir(folder, recursive=True)
            partial = f"{folder}/.{file.name}.partial"
            with file.open("rb") as source, self._files.open_output_stream(partial) as target:
                shutil.copyfileobj(source, target, 2**20)
            self._files.move(partial, self._at(name))

    def delete(self, name: str) -> None:
        """Delete a file."""
        with explained(f"{self.uri}/{name}", "deleted"):
            self._files.delete_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"


@cache
def fetched_folder(uri: str) -> Path:
    """Return a copy of a folder on this machine, made once for each state of it; looked at once per process.

    Raises:
        RemoteError: the folder cannot be read, or is empty.
    """
    remote = Remote(uri)
    listing = remote.listing()
    if not listing:
        raise RemoteError(f"{remote.uri} holds no files; copy the corpus there, or correct the URI")
    state = hashlib.sha256(f"{remote.uri}{sorted(listing.items())}".encode()).hexdigest()[:16]
    folder = CACHE.expanduser() / state
    with only_one(folder):
        if not folder.exists():
            partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
            for name in listing:
                remote.fetch(name, partial / name)
            partial.rename(folder)
    return folder


def fetched_file(uri: str | Path) -> Path:
    """Return a copy of one file on this machine, fetched again each time.

    Raises:
        RemoteError: the file cannot be read.
    """
    folder, _, name = as_uri(uri).rpartition("/")
    into = CACHE.expanduser() / hashlib.sha256(as_uri(uri).encode()).hexdigest()[:16] / name
    Remote(folder).fetch(name, into)
    return into


def store_folder(folder: Path, uri: str) -> None:
    """Copy all files of a folder there."""
    remote = Remote(uri)
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        remote.store(file, file.relative_to(folder).as_posix())


@contextmanager
def explained(place: str, verb: str) -> Iterator[None]:
    """Turn what file systems raise into one message with a remedy.

    Raises:
        RemoteError: anything went wrong there.
        StorageError: this machine's own disk took no more.
    """
    place = without_password(place)
    try:
        yield
    except StorageError:  # this machine's disk, not theirs
        raise
    except FileNotFoundError as error:
        raise RemoteError(f"{place} is not there, and cannot be {verb}; correct the URI") from error
    except Exception as error:  # pyarrow's, fsspec's and every package's of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise RemoteError(
            f"{place} cannot be {verb}: {reason}. Check the URI, this machine's credentials for it, and that "
            "its package is installed (fsspec names it)"
        ) from error


def _file_system(uri: str) -> tuple[Any, str]:
    """Pyarrow's file system for a URI and the path within it; through fsspec where pyarrow has none."""
    from pyarrow import ArrowInvalid
    from pyarrow.fs import FileSystem, FSSpecHandler, PyFileSystem

    try:
        files, path = FileSystem.from_uri(uri)
    except ArrowInvalid:
        from fsspec.core import url_to_fs

        inner, path = url_to_fs(uri)
        files = PyFileSystem(FSSpecHandler(inner))
    return files, str(path).rstrip("/")


@contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Let one process of this machine at a time fill a folder, or make a file."""
    locks = CACHE.expanduser()
    locks.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
    with (locks / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
