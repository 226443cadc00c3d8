import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from paraformer_platform.tracking.mlflow_store import RunStore
from paraformer_platform.tracking.projection import TrialRecord

MANIFESTS = {"data.train": "train.tsv", "data.dev": "dev.tsv", "data.test": "test.tsv"}


@pytest.fixture(scope="session")
def session_store(tmp_path_factory: pytest.TempPathFactory) -> RunStore:
    """One SQLite store for the folder: its schema takes seconds to make."""
    return RunStore(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db", "tests")


@pytest.fixture
def store(session_store: RunStore) -> Iterator[RunStore]:
    yield session_store
    for run in session_store.find({"paraformer.kind": "trial"}) + session_store.find(
        {"paraformer.kind": "sweep"}
    ):
        session_store.delete(run.info.run_id)


class JournalFile:
    """A journal written as the training loop writes it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)

    def append(self, steps: Sequence[int], *, time_offset_ms: int = 0) -> None:
        with self.path.open("a") as file:
            for step in steps:
                event = {
                    "kind": "metrics",
                    "step": step,
                    "epoch": step // 10,
                    "time_ms": 1_700_000_000_000 + step * 1000 + time_offset_ms,
                    "metrics": {"train/loss": 1.0 / step, "dev/cer": 0.5},
                }
                file.write(json.dumps(event) + "\n")

    def cut_back(self, lines: int) -> None:
        self.path.write_text("".join(self.path.read_text().splitlines(keepends=True)[:lines]))


@pytest.fixture
def journal(tmp_path: Path) -> JournalFile:
    return JournalFile(tmp_path / "trials" / "0123456789abcdef" / "journal.jsonl")


@pytest.fixture
def make_journal() -> Callable[[Path], JournalFile]:
    return lambda folder: JournalFile(folder / "journal.jsonl")


@pytest.fixture
def record(journal: JournalFile) -> TrialRecord:
    return TrialRecord(
        trial_key="0123456789abcdef",
        folder=journal.path.parent,
        name="baseline-seed11",
        tags={"paraformer.variant": "baseline", "paraformer.seed": "11", "paraformer.data": "ab" * 32},
        params={"training.seed": 11, "data.folder": "data/digits", **MANIFESTS},
    )


@pytest.fixture
def points(store: RunStore) -> Callable[[str, str], list[tuple[int, float]]]:
    """Return (step, value) of every point of a metric that MLflow holds."""

    def history(run_id: str, metric: str) -> list[tuple[int, float]]:
        return sorted((point.step, point.value) for point in store.client.get_metric_history(run_id, metric))

    return history
