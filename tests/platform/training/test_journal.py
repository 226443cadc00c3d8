import json
from pathlib import Path

import pytest

from paraformer_platform.training.journal import Journal, read_journal


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "trial" / "journal.jsonl")


def _steps(journal: Journal) -> list[int]:
    return [event["step"] for event in read_journal(journal.path) if event["kind"] == "metrics"]


def test_events_come_back_as_written(journal: Journal) -> None:
    journal.state("started")
    journal.params({"training.seed": 11})
    journal.metrics(100, 1, {"train/loss": 1.5})
    events = read_journal(journal.path)
    assert [event["kind"] for event in events] == ["state", "params", "metrics"]
    assert events[2]["metrics"] == {"train/loss": 1.5}
    assert (events[2]["step"], events[2]["epoch"]) == (100, 1)
    assert all(event["time_ms"] > 1.7e12 for event in events)


def test_no_journal_has_no_events(tmp_path: Path) -> None:
    assert read_journal(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("torn", ['{"kind": "metr', '{"kind": "state", "state": "completed"}'])
def test_a_torn_last_line_is_dropped(journal: Journal, torn: str) -> None:
    """Also one that would parse: what has no newline was not finished."""
    journal.metrics(100, 1, {})
    with journal.path.open("a") as file:
        file.write(torn)
    assert len(read_journal(journal.path)) == 1
    Journal(journal.path).metrics(200, 2, {})
    assert _steps(journal) == [100, 200]
    assert all(json.loads(line) for line in journal.path.read_text().splitlines())


def test_cutting_back_to_a_checkpoint(journal: Journal) -> None:
    journal.state("started")
    journal.metrics(100, 1, {})
    size = journal.size
    journal.metrics(200, 2, {})
    journal.state("failed")
    journal.cut_back(size)
    assert journal.size == size
    assert _steps(journal) == [100]


def test_what_was_said_of_the_state_stays(journal: Journal) -> None:
    """So that a stopped and resumed trial keeps its run in MLflow: nothing that was sent is taken back."""
    journal.metrics(100, 1, {})
    size = journal.size
    journal.state("stopped")
    before = journal.path.read_bytes()
    journal.cut_back(size)
    assert journal.path.read_bytes() == before


def test_a_second_measurement_of_the_same_step_is_cut(journal: Journal) -> None:
    """The test's results have the last epoch's step; a trial killed before its summary tests again."""
    journal.metrics(100, 1, {"dev/wer": 0.5})
    size = journal.size
    journal.metrics(100, 1, {"test/wer": 0.5})
    journal.cut_back(size)
    assert [event["metrics"] for event in read_journal(journal.path)] == [{"dev/wer": 0.5}]
