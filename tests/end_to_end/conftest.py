"""The command line as a user has it: a process of its own in a folder of its own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Cli = Callable[..., subprocess.CompletedProcess[str]]

CODE = "import sys; sys.argv[0] = 'paraformer'; from paraformer_platform.cli.app import run; sys.exit(run())"


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


@pytest.fixture(scope="session")
def environment(repository: Path) -> dict[str, str]:
    """This repository's rooms first on the path, one thread, no tracking store but the folder's own."""
    rooms = os.pathsep.join(str(repository / room) for room in ("model", "platform", "analysis"))
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "RAY_"))}
    return {**kept, "PYTHONPATH": rooms, "OMP_NUM_THREADS": "1", "COLUMNS": "80"}


@pytest.fixture(scope="session")
def command_code() -> str:
    """What `python -c` runs to be the `paraformer` of this repository."""
    return CODE


@pytest.fixture(scope="session")
def paraformer(environment: dict[str, str]) -> Cli:
    """Run `paraformer …` in a folder; returns exit code, standard output and standard error."""

    def call(*arguments: str, folder: Path, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", CODE, *arguments]
        return subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=timeout, check=False
        )

    return call


@pytest.fixture(scope="session")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("project")
    for name, text in {"tiny.yaml": RECIPE, "base.yaml": BASE, "sweep.yaml": SWEEP}.items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="session")
def swept(project: Path, paraformer: Cli) -> subprocess.CompletedProcess[str]:
    done = paraformer("sweep", "sweep.yaml", folder=project)
    assert done.returncode == 0, done.stderr
    return done
