"""Where a trial ran and from which source: versions, processor, accelerator, git commit; no host name."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from paraformer_platform.tracking import names

GIT_COMMIT_VARIABLE = "PARAFORMER_GIT_COMMIT"
GIT_DIRTY_VARIABLE = "PARAFORMER_GIT_DIRTY"
"""Set for a job on a cluster, whose upload has no .git, by the machine that submits it."""
RECORDED_PACKAGES = ("torch", "torchaudio", "numpy", "ray", "mlflow", "optuna", "omegaconf")


@dataclass(frozen=True)
class SourceState:
    """The git state of the checkout that the driver runs from."""

    commit: str | None
    """Commit hash; None outside a git checkout."""
    dirty: bool
    """Whether tracked files differ from the commit."""

    def tags(self) -> dict[str, str]:
        """Return the MLflow tags that say so."""
        if self.commit is None:
            return {}
        return {names.GIT_COMMIT: self.commit, names.GIT_DIRTY: str(self.dirty).lower()}


def described_source(path: Path) -> SourceState:
    """Return the source that a file of `describe_environment` names; no commit where there is none."""
    try:
        described = json.loads(path.read_text())
    except (OSError, ValueError):
        return SourceState(commit=None, dirty=False)
    return SourceState(described.get("commit"), bool(described.get("dirty")))


def source_state(folder: Path | None = None) -> SourceState:
    """Read commit and dirtiness of the checkout that holds ``folder`` (default: this package's own)."""
    if folder is None and GIT_COMMIT_VARIABLE in os.environ:
        return SourceState(os.environ[GIT_COMMIT_VARIABLE], os.environ.get(GIT_DIRTY_VARIABLE) == "true")
    where = folder or Path(__file__).resolve().parent
    commit = _git(where, "rev-parse", "HEAD")
    if commit is None:
        return SourceState(commit=None, dirty=False)
    return SourceState(
        commit=commit, dirty=bool(_git(where, "status", "--porcelain", "--untracked-files=no"))
    )


def _git(where: Path, *arguments: str) -> str | None:
    try:
        answer = subprocess.run(
            ["git", *arguments], cwd=where, capture_output=True, text=True, timeout=10, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def describe_environment() -> dict[str, object]:
    """Describe source, interpreter, packages, processor and accelerators of this process."""
    source = source_state()
    return {
        "commit": source.commit,
        "dirty": source.dirty,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": _processor_name(),
        "cpu_count": os.cpu_count(),
        "gpu": _gpu_names(),
        **{package: _version(package) for package in RECORDED_PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor_name() -> str:
    """Return the processor's model name; Python's own answer is empty on Linux."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    named = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _gpu_names() -> list[str]:
    """Name the visible GPUs; empty when torch is not loaded, so that asking never costs its import."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available():
        return []
    return [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
