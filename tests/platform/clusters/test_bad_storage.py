"""A storage that is read-only, missing or full: said in seconds, as a message, with exit code 2."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SWEEP = "tests/platform/clusters/tiny/sweep.yaml"


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator:
    """Mounts a file system of its own size and options below the test's folder; only root may."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / "storage"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("mounting a file system of a test's own takes root and the right to mount")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def submit(cluster, repository: Path, storage: str | Path) -> str:
    begun = time.monotonic()
    arguments = ("submit", SWEEP, f"--address={cluster.url}", f"--storage={storage}")
    answer = cluster.run("-m", "paraformer_platform", *arguments, timeout=120, cwd=repository)
    shown = answer.stdout + answer.stderr
    assert answer.returncode == 2, shown
    assert "Traceback" not in shown
    assert time.monotonic() - begun < 60  # mostly Ray's start of a job and of Python
    return shown


def test_a_read_only_storage_is_refused(cluster, repository, mounted):
    storage = mounted("ro")
    shown = submit(cluster, repository, storage)
    assert f"the storage {storage} cannot be written on the cluster's head. Name a folder" in shown


def test_a_full_storage_is_refused(cluster, repository, mounted):
    storage = mounted("size=200k")
    (storage / "data").mkdir()
    with (storage / "fill").open("wb") as file:
        file.write(bytes(196 * 1024))
    assert "the disk is full; free some space" in submit(cluster, repository, storage)


def test_a_full_disk_under_a_sweep_on_this_machine_is_said(cluster, repository, mounted, tmp_path):
    """The corpus lies elsewhere: here the sweep's own files find no room."""
    (tmp_path / "tests").symlink_to(repository / "tests")
    storage = mounted("size=300k")
    arguments = ("sweep", SWEEP, f"--override=storage={storage}")
    answer = cluster.run("-m", "paraformer_platform", *arguments, timeout=120, cwd=tmp_path)
    assert answer.returncode == 2, answer.stdout + answer.stderr
    assert "Traceback" not in answer.stderr
    assert "disk is full" in answer.stderr
