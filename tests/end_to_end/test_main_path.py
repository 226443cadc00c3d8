"""Speech in, ablation table out, by the commands of the README on a corpus of 37 utterances."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def trained(project: Path, paraformer: Cli) -> Path:
    done = paraformer("train", "--config", "base.yaml", "--run-name", "one", folder=project)
    assert done.returncode == 0, done.stderr
    return project / "runs/one"


def test_a_sweep_becomes_a_table(project: Path, paraformer: Cli, swept: CompletedProcess[str]) -> None:
    done = paraformer("report", "tiny_sweep", "--out", "report", folder=project)
    assert done.returncode == 0, done.stderr
    with (project / "report/table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["baseline", "encoder-1"]
    page = (project / "report/report.html").read_text()
    assert "depth does not matter here" in page
    assert "encoder-1" in (project / "report/report.md").read_text()


def test_a_second_launch_trains_nothing(project: Path, paraformer: Cli, swept: CompletedProcess[str]) -> None:
    results = sorted((project / "runs/trials").glob("*/results/summary.json"))
    before = [path.stat().st_mtime_ns for path in results]
    assert len(before) == 4
    done = paraformer("sweep", "sweep.yaml", folder=project)
    assert done.returncode == 0, done.stderr
    assert [path.stat().st_mtime_ns for path in results] == before


def test_one_training_by_itself(trained: Path, project: Path, paraformer: Cli) -> None:
    summary = json.loads((trained / "results/summary.json").read_text())
    assert "test/wer" in json.dumps(summary)
    checkpoint = str(trained / "checkpoints/best.pt")
    done = paraformer("evaluate", "--checkpoint", checkpoint, folder=project)
    assert done.returncode == 0, done.stderr
    spoken = paraformer("transcribe", "--checkpoint", checkpoint, "--text", "one two", folder=project)
    assert spoken.returncode == 0, spoken.stderr


def test_the_same_training_is_found_and_not_run_again(trained: Path, project: Path, paraformer: Cli) -> None:
    before = (trained / "checkpoints/best.pt").stat().st_mtime_ns
    done = paraformer("train", "--config", "base.yaml", "--run-name", "one", folder=project)
    assert done.returncode == 0, done.stderr
    assert (trained / "checkpoints/best.pt").stat().st_mtime_ns == before
