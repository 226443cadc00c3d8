"""What a user may get wrong: one clear message that names the place, exit code 2, nothing half-written."""

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import numpy as np
import pytest
import soundfile

Cli = Callable[..., CompletedProcess[str]]

SWEEP = "name: s\nbase: base.yaml\nmethod: ablation\nmetric: {name: test/wer, goal: minimize}\nseeds: [1]\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "base.yaml").write_text("data: {folder: data}\n")
    return tmp_path


def manifests(folder: Path, transcript: str) -> None:
    """Three manifests of one recording each, `data/<split>.wav`."""
    (folder / "data").mkdir()
    for split in ("train", "dev", "test"):
        (folder / f"data/{split}.tsv").write_text(f"{split}.wav{transcript}\n")


def sweep_over(key: str, value: str) -> str:
    return SWEEP + f"ablate:\n  - {{id: other, set: {{{key}: {value}}}}}\n"


@pytest.mark.parametrize(
    ("files", "command", "words"),
    [
        pytest.param({}, ["train", "--config", "none.yaml"], ["none.yaml"], id="missing-file"),
        pytest.param(
            {"base.yaml": "model: {encoder: {num_layer: 3}}\n"},
            ["train", "--config", "base.yaml"],
            ["base.yaml", "model.encoder.num_layer", "num_layers"],
            id="unknown-key",
        ),
        pytest.param(
            {"base.yaml": "training: {batch_size: many}\n"},
            ["train", "--config", "base.yaml"],
            ["base.yaml", "training.batch_size", "many"],
            id="wrong-type",
        ),
        pytest.param(
            {"sweep.yaml": sweep_over("model.encoder.num_layer", "3")},
            ["sweep", "sweep.yaml"],
            ["sweep.yaml", "model.encoder.num_layer", "num_layers"],
            id="sweep-over-no-key",
        ),
        pytest.param({}, ["train", "--config", "base.yaml"], ["data/train.tsv"], id="missing-manifest"),
    ],
)
def test_faulty_files(
    project: Path, paraformer: Cli, files: dict[str, str], command: list[str], words: list[str]
) -> None:
    for name, text in files.items():
        (project / name).write_text(text)
    refused(paraformer(*command, folder=project), project, words)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        pytest.param(" one two", ["train.tsv:1", "tab"], id="no-tab"),
        pytest.param("\tone", ["train.tsv:1", "train.wav"], id="missing-audio"),
    ],
)
def test_faulty_manifests(project: Path, paraformer: Cli, line: str, words: list[str]) -> None:
    manifests(project, line)
    refused(paraformer("train", "--config", "base.yaml", folder=project), project, words)


def test_empty_audio(project: Path, paraformer: Cli) -> None:
    manifests(project, "\tone")
    for split in ("train", "dev", "test"):
        (project / f"data/{split}.wav").write_bytes(b"")
    refused(paraformer("train", "--config", "base.yaml", folder=project), project, ["train.wav", "empty"])


def test_characters_outside_the_vocabulary(project: Path, paraformer: Cli) -> None:
    manifests(project, "\tδύο")
    for seed, split in enumerate(("train", "dev", "test")):
        noise = np.random.default_rng(seed).normal(0, 0.1, 16_000)
        soundfile.write(project / f"data/{split}.wav", noise, 16_000)
    refused(paraformer("train", "--config", "base.yaml", folder=project), project, ["train.tsv", "δ"])


def refused(done: CompletedProcess[str], project: Path, words: list[str]) -> None:
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in done.stderr
    assert not list(project.glob("runs/**/*.pt"))
