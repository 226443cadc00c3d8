"""Speech in, ablation table out, by the commands of the README on a corpus of 37 utterances."""

import csv
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

RECIPE = """
name: tiny
seed: 5
grammar: {start: string, rules: {string: ["<digit>[1,2]"], digit: [one, two, three]}}
splits:
  train: {utterances: 24, voices: [en-us+m1, en-gb+f1, en-us+f2]}
  dev: {utterances: 6, voices: [en-us+m3]}
  test: {utterances: 7, voices: [en-gb+f4]}
"""

BASE = """
model:
  encoder: {num_layers: 2, hidden_dim: 32, num_heads: 2}
  predictor: {num_layers: 1, hidden_dim: 32}
  decoder: {num_layers: 1, hidden_dim: 32, num_heads: 2}
data: {folder: data/tiny, recipe: tiny.yaml, vocab_size: 40}
training: {batch_size: 8, num_epochs: 2, learning_rate: 1e-3}
"""

SWEEP = """
name: tiny_sweep
hypothesis: depth does not matter here
base: base.yaml
method: ablation
metric: {name: test/wer, goal: minimize}
ablate:
  - {id: encoder-1, set: {model.encoder.num_layers: 1}}
seeds: [1, 2]
resources: {workers: 1, cpus_per_worker: 1}
report: {bootstrap: 200}
"""

Cli = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in {"tiny.yaml": RECIPE, "base.yaml": BASE, "sweep.yaml": SWEEP}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def swept(project: Path, paraformer: Cli) -> CompletedProcess[str]:
    done = paraformer("sweep", "sweep.yaml", folder=project)
    assert done.returncode == 0, done.stderr
    return done


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
