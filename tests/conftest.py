"""Fixtures for every room: where the recorded speech lies, one thread, a private HOME-free tracking store."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# Examples are judged by what they show, not by how busy the machine is.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
# A shell that starts pytest in its background makes it ignore Ctrl-C, which tests send to what they start.
signal.signal(signal.SIGINT, signal.default_int_handler)
# A test never writes to the tracking store of whoever runs it.
os.environ.pop("MLFLOW_TRACKING_URI", None)

REPOSITORY = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def recorded_speech() -> Path:
    """Folder of recorded human speech: PARAFORMER_DATA, or the data folder kept beside the repository."""
    named = os.environ.get("PARAFORMER_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"recorded speech is not at {folder}; set PARAFORMER_DATA to a folder that holds it")
    return folder


class Disk:
    """A small file system of its own, which can be filled up and made read-only."""

    def __init__(self, folder: Path, size: str) -> None:
        self.folder = folder
        folder.mkdir()
        mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))

    def fill(self, but: int = 0) -> None:
        """Leave so many bytes free, though others may be writing meanwhile."""
        with (self.folder / "filler").open("ab", buffering=0) as filler, suppress(OSError):
            while (free := os.statvfs(self.folder).f_bavail * os.statvfs(self.folder).f_bsize) > but:
                filler.write(b"x" * min(free - but, 2**20))

    def empty(self) -> None:
        (self.folder / "filler").unlink()

    def make_read_only(self) -> None:
        """From now on nothing can be opened for writing; root too is refused."""
        mount("--bind", str(self.folder), str(self.folder))
        mount("-o", "remount,bind,ro", str(self.folder))

    def make_writable(self) -> None:
        subprocess.run(["umount", "--lazy", str(self.folder)], check=True)

    def remove(self) -> None:
        while os.path.ismount(self.folder):
            subprocess.run(["umount", "--lazy", str(self.folder)], check=True)


def mount(*arguments: str) -> None:
    try:
        done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("there is no mount command here")
    if done.returncode:
        pytest.skip(f"a file system of its own takes root: {done.stderr.strip()}")


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[str], Disk]]:
    """Make a small file system; the test is skipped where that is not allowed."""
    disks: list[Disk] = []

    def make(size: str) -> Disk:
        disks.append(Disk(tmp_path / f"disk-{len(disks)}", size))
        return disks[-1]

    yield make
    for disk in disks:
        disk.remove()
