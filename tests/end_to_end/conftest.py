"""The command line as a user has it: a process of its own in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]

CODE = "import sys; sys.argv[0] = 'paraformer'; from paraformer_platform.cli.app import run; sys.exit(run())"


@pytest.fixture(scope="session")
def environment(repository: Path) -> dict[str, str]:
    """This repository's rooms first on the path, one thread, no tracking store but the folder's own."""
    rooms = os.pathsep.join(str(repository / room) for room in ("model", "platform", "analysis"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    return {**kept, "PYTHONPATH": rooms, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


@pytest.fixture(scope="session")
def paraformer(environment: dict[str, str]) -> Cli:
    """Run `paraformer …` in a folder; returns exit code, standard output and standard error."""

    def call(*arguments: str, folder: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", CODE, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return call
