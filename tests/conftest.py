"""Fixtures for every room: where the recorded speech lies, one thread, a private HOME-free tracking store."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS", "0")
os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
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
