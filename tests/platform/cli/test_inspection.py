"""`plot`, `profile` and `init` as commands: what they print, write and refuse."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from paraformer.manifest import read_manifest
from paraformer_platform.cli.app import app
from paraformer_platform.config.load import load_experiment
from paraformer_platform.training.checkpoint import Checkpoint, copied_weights, new_model, save_checkpoint
from paraformer_platform.training.frontend import Frontend

Run = Callable[..., Result]


@pytest.fixture
def run() -> Run:
    return lambda *arguments: CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture
def checkpoint(tiny_experiment: Path, tiny_corpus: Path, tmp_path: Path) -> Path:
    config = load_experiment(tiny_experiment).config
    frontend = Frontend.fitted(config.data, read_manifest(tiny_corpus / "train.tsv"))
    path = tmp_path / "best.pt"
    save_checkpoint(path, Checkpoint(config, frontend.to_state(), copied_weights(new_model(config))))
    return path


@pytest.fixture
def audio(tiny_corpus: Path) -> Path:
    return read_manifest(tiny_corpus / "test.tsv")[0].path


def test_plot_predictor_in_numbers(run: Run, checkpoint: Path, audio: Path, tmp_path: Path) -> None:
    picture = tmp_path / "predictor.svg"
    arguments = ("--checkpoint", checkpoint, audio, "--transcript", "two", "--output", picture, "--json")
    told = json.loads(run("plot", "predictor", *arguments).stdout)
    assert told["count"] == pytest.approx(sum(told["weights"]), abs=0.01)
    assert [one["token"] for one in told["spoken"]] == ["t", "w", "o"]
    assert picture.read_text().startswith("<?xml")


def test_plot_attention_in_numbers(run: Run, checkpoint: Path, audio: Path, tmp_path: Path) -> None:
    arguments = ("--checkpoint", checkpoint, audio, "--output", tmp_path / "attention.png", "--json")
    told = json.loads(run("plot", "attention", *arguments).stdout)
    assert len(told["reach_seconds"]) == 2
    assert (tmp_path / "attention.png").read_bytes().startswith(b"\x89PNG")


def test_profile_prints_what_it_writes(run: Run, tiny_experiment: Path, tmp_path: Path) -> None:
    output = tmp_path / "results" / "profile.json"
    changes = ("--override", "training.batch_size=2", "--override", "data.max_feat_len=40")
    arguments = ("--config", tiny_experiment, *changes, "--repeats", 1, "--output", output)
    done = run("profile", *arguments, "--json", "--quiet")
    assert json.loads(done.stdout) == json.loads(output.read_text())
    assert done.stderr == ""
    assert (tmp_path / "results" / "profile.trace.json").is_file()


@pytest.mark.parametrize("command", [("plot", "attention"), ("plot", "predictor")])
def test_a_missing_recording_is_one_message(
    run: Run, checkpoint: Path, tmp_path: Path, command: tuple[str, str]
) -> None:
    done = run(*command, "--checkpoint", checkpoint, tmp_path / "gone.wav")
    assert (done.exit_code, done.stdout) == (2, "")
    assert done.stderr.startswith("paraformer: there is no audio file")


def test_init_twice_is_refused(run: Run, tmp_path: Path) -> None:
    first, second = (run("init", tmp_path / "mine") for _ in range(2))
    assert first.exit_code == 0
    assert "mine/experiment.yaml" in first.stdout
    assert second.exit_code == 2
    assert "is not empty" in second.stderr
