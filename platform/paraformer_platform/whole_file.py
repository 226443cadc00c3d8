"""Files that are whole or not there: written beside their place, synced to disk, renamed into it.

::

    write_whole(path, text)
    with whole_file(path) as file:       # bytes
        torch.save(content, file)
    append_line(path, line)
    remove_leftovers(folder)             # what a killed process left beside the places

A full disk or an error leaves the old file and nothing beside it. A kill leaves a file
``.<name>.<host>.<process>.partial``, which the next process to write there removes once its writer is gone.
"""

import errno
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil

from paraformer_platform.errors import StorageError

ENDING = ".partial"
REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space and give the same command again, nothing was lost",
    errno.EDQUOT: "your disk quota is used up; free some space and give the same command again",
    errno.EFBIG: "files of this size are not allowed (ulimit -f); raise the limit and give the command again",
    errno.EROFS: "the storage is read-only; make it writable, or choose another one",
    errno.EACCES: "permission denied; make the folder writable, or choose another storage",
}
"""What is wrong, and what to do."""


@contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """Open a file beside its place for writing; at the end of the block it is on disk and in its place.

    Raises:
        StorageError: the disk is full, read-only or broken; the place is as it was.
    """
    unfinished = path.with_name(f".{path.name}.{platform.node()}.{os.getpid()}{ENDING}")
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with unfinished.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        _sync_folder(path.parent)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file and have it on disk; where that fails, nothing of it stays.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    content = line.encode() + b"\n"
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        before = path.stat().st_size if path.exists() else 0
        try:
            with path.open("ab", buffering=0) as file:
                if file.write(content) != len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                os.fsync(file.fileno())
        except OSError:  # what went in must not begin the next line
            with suppress(OSError):
                os.truncate(path, before)
            raise


@contextmanager
def storing(path: Path) -> Iterator[None]:
    """Within it the system's errors are told with the path and what to do.

    Raises:
        StorageError: the disk is full, read-only or broken.
    """
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        fault = _fault_of_disk(error)
        if fault is None:
            raise
        raise StorageError(f"{path} cannot be written: {_reason(fault)}") from error


def _fault_of_disk(error: BaseException) -> OSError | None:
    """Find the system's error behind another one: torch raises its own while it handles it."""
    seen: BaseException | None = error
    while seen is not None and not isinstance(seen, OSError):
        seen = seen.__cause__ or seen.__context__
    return seen


def _reason(fault: OSError) -> str:
    known = REMEDIES.get(fault.errno or 0)
    return known or f"{fault.strerror or fault}; look after the storage and give the same command again"


def write_whole(path: Path, text: str) -> None:
    """Write a text at once or not at all, and have it on disk."""
    with whole_file(path) as file:
        file.write(text.encode())


def remove_leftovers(folder: Path) -> None:
    """Remove what killed processes of this host left unfinished in a folder and below it."""
    for path in folder.rglob(f".*{ENDING}"):
        host, _, process = path.name.removesuffix(ENDING).rpartition(".")
        if host.endswith(f".{platform.node()}") and process.isdigit() and not psutil.pid_exists(int(process)):
            with suppress(OSError):
                path.unlink()


def _sync_folder(folder: Path) -> None:
    """Have a rename on disk too; not every file system can."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
