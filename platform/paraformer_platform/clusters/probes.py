"""What is asked of one node, from inside a process on it; plain functions, which Ray carries there.

The storage probe is in three steps, each on another node: the driver writes a file, every node reads it and
writes one of its own, the driver reads those. A folder that only looks shared fails the second step.
"""

import importlib.metadata
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

Seconds = float
SEEN_WITHIN: Seconds = 10.0
"""How long another node's file may take to appear; network file systems keep listings for some seconds."""
PROBE = ".paraformer-doctor"
COMPARED_PACKAGES = ("ray", "torch", "torchaudio", "numpy", "optuna", "mlflow", "omegaconf")


@dataclass(frozen=True)
class NodeReport:
    """What one node says of itself."""

    versions: dict[str, str]
    """Python, packages, CUDA and the hash of our source, by name."""
    gpus: tuple[str, ...]
    """Names of the GPUs that the driver software shows."""
    free_disk: dict[str, int]
    """Free bytes by folder."""
    gpus_of_torch: int = 0
    """How many of them torch can use."""
    storage_fault: str = ""
    """Why the shared storage cannot be used from here; empty when it can."""


@dataclass(frozen=True)
class StorageProbe:
    """A probe of one folder from several nodes."""

    folder: Path
    secret: str
    """Content that no older file has."""
    path: Path = field(init=False)

    def __post_init__(self) -> None:
        """Give the probe a folder of its own."""
        object.__setattr__(self, "path", self.folder / f"{PROBE}-{self.secret}")

    def begin(self) -> None:
        """Write the driver's file.

        Raises:
            OSError: the storage cannot be written.
        """
        self.path.mkdir(parents=True)
        self.write("driver")

    def write(self, name: str) -> None:
        """Write a file as checkpoints are written: under another name, flushed, renamed."""
        unfinished = self.path / f"{name}.tmp"
        with unfinished.open("w") as file:
            file.write(self.secret)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(self.path / name)

    def sees(self, name: str) -> bool:
        """Tell whether a file that another node wrote is there, whole."""
        deadline = time.monotonic() + SEEN_WITHIN
        while True:
            try:
                if (self.path / name).read_text() == self.secret:
                    return True
            except OSError:
                pass
            if time.monotonic() > deadline:
                return False
            time.sleep(0.2)

    def end(self) -> None:
        """Take the probe's files away."""
        shutil.rmtree(self.path, ignore_errors=True)


def report_node(name: str, probe: StorageProbe | None) -> NodeReport:
    """Describe the node this runs on, and take part in the storage probe under a name."""
    gpus = tuple(gpu_names())
    return NodeReport(
        versions=versions(),
        gpus=gpus,
        gpus_of_torch=_count_by_torch() if gpus else 0,
        free_disk=free_disk([Path(tempfile.gettempdir()), *([probe.folder] if probe else [])]),
        storage_fault=_storage_fault(name, probe) if probe else "",
    )


def versions() -> dict[str, str]:
    """Return what must be the same on every node, by name."""
    import torch

    from paraformer_platform.config.identity import code_version

    return {
        "python": platform.python_version(),
        **{package: _version(package) for package in COMPARED_PACKAGES},
        "cuda": str(torch.version.cuda),
        "source": code_version(),
    }


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def gpu_names() -> list[str]:
    """Name the GPUs by NVIDIA's own tool, which shows them also to a process that was given none."""
    try:
        answer = subprocess.run(
            ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    return answer.stdout.strip().splitlines() if answer.returncode == 0 else []


def _count_by_torch() -> int:
    """Count GPUs by torch, in a process that Ray hides none from; 0 where the driver is too old for it."""
    visible = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    answer = subprocess.run(
        [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"],
        capture_output=True,
        text=True,
        timeout=60,
        env=visible,
        check=False,
    )
    return int(answer.stdout) if answer.stdout.strip().isdigit() else 0


def free_disk(folders: list[Path]) -> dict[str, int]:
    """Return the free bytes of the file systems that hold these folders."""
    return {str(folder): shutil.disk_usage(folder).free for folder in folders if folder.is_dir()}


def _storage_fault(name: str, probe: StorageProbe) -> str:
    if not probe.sees("driver"):
        return f"does not see the file that the driver wrote to {probe.folder}"
    try:
        probe.write(name)
    except OSError as error:
        return f"cannot write to {probe.folder}: {error}"
    return ""
