"""The command line as a user meets it: in a process of its own."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from paraformer_platform.training.journal import read_journal

COMMAND = [sys.executable, "-m", "paraformer_platform"]


def _environment(**more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(["model", "platform", "analysis"]), **more}


def _run(repository: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        cwd=repository,
        env=_environment(),
        timeout=120,
    )


@pytest.fixture(scope="module")
def trained(repository: Path, tiny_experiment: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Storage with a run "first"."""
    storage = tmp_path_factory.mktemp("storage")
    arguments = ["--config", str(tiny_experiment), "--override", f"storage={storage}", "--run-name", "first"]
    done = _run(repository, "train", *arguments)
    assert done.returncode == 0, done.stderr
    assert "test WER" in done.stdout
    assert [line.split()[:2] for line in done.stderr.splitlines()] == [
        ["epoch", f"{number}/3"] for number in (1, 2, 3)
    ]
    assert "\x1b" not in done.stdout + done.stderr
    return storage


def test_help_needs_nothing_heavy(repository: Path) -> None:
    """What makes `paraformer --help` slow are these imports; its time is measured in `make bench`."""
    program = (
        "import sys\n"
        "from paraformer_platform.cli import app\n"
        "heavy = {'torch', 'ray', 'mlflow', 'pandas', 'pydantic', 'omegaconf'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, env=_environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


def test_evaluate(repository: Path, trained: Path, tmp_path: Path) -> None:
    checkpoint = str(trained / "first" / "checkpoints" / "best.pt")
    rows = tmp_path / "rows.csv"
    done = _run(repository, "evaluate", "--checkpoint", checkpoint, "--output", str(rows), "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads((trained / "first" / "results" / "summary.json").read_text())
    measured = json.loads(done.stdout)
    for name in ("test/wer", "test/cer", "test/ctc_cer", "test/oracle_length_cer"):
        assert measured[name] == summary["metrics"][name]
    assert len(rows.read_text().splitlines()) == 1 + 7


def test_transcribe(repository: Path, trained: Path, tiny_corpus: Path) -> None:
    checkpoint = str(trained / "first" / "checkpoints" / "best.pt")
    files = sorted(map(str, (tiny_corpus / "audio" / "test").iterdir()))[:2]
    done = _run(repository, "transcribe", "--checkpoint", checkpoint, *files, "--text", "one two", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["source"] for row in found] == [*files, "one two"]
    for row in found:
        assert "".join(token["text"] for token in row["tokens"]) == row["text"]
        assert all(0 <= token["confidence"] <= 1 for token in row["tokens"])
        assert all(0 <= token["start"] <= token["end"] for token in row["tokens"])


def test_asked_twice_trains_once(repository: Path, tiny_experiment: Path, trained: Path) -> None:
    journal = (trained / "first" / "journal.jsonl").read_bytes()
    arguments = ["--config", str(tiny_experiment), "--override", f"storage={trained}", "--run-name", "first"]
    done = _run(repository, "train", *arguments, "--json", "--quiet")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["state"] == "completed"
    assert done.stderr == ""
    assert (trained / "first" / "journal.jsonl").read_bytes() == journal
    with sqlite3.connect(trained / "mlflow.db") as store:
        assert store.execute("select name, status from runs").fetchall() == [("first", "FINISHED")]
        points = store.execute("select key, step, count(*) from metrics group by key, step").fetchall()
    assert points
    assert all(count == 1 for _, _, count in points)


def test_ctrl_c_ends_in_good_order(repository: Path, tiny_experiment: Path, tmp_path: Path) -> None:
    arguments = ["--config", str(tiny_experiment), "--run-name", "long"]
    changes = ["--override", f"storage={tmp_path}", "--override", "training.num_epochs=10000"]
    process = subprocess.Popen(
        [*COMMAND, "train", *arguments, *changes],
        cwd=repository,
        env=_environment(),
        stderr=subprocess.PIPE,
        text=True,
    )
    journal = tmp_path / "long" / "journal.jsonl"
    deadline = time.monotonic() + 90
    while not any(event["kind"] == "metrics" for event in read_journal(journal)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "stopped; the same command goes on from" in said
    assert "Traceback" not in said
    assert read_journal(journal)[-1]["state"] == "stopped"
    assert (tmp_path / "long" / "checkpoints" / "last.pt").is_file()
    with sqlite3.connect(tmp_path / "mlflow.db") as store:
        assert store.execute("select status from runs").fetchall() == [("KILLED",)]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train"], "Missing option '--config'"),
        (["train", "--config", "gone.yaml"], "there is no file gone.yaml"),
        (
            ["train", "--config", "experiments/paraformer_base.yaml", "--override", "model.encoder.depth=3"],
            "--override: model.encoder.depth: unknown key",
        ),
        (["evaluate", "--checkpoint", "gone.pt"], "there is no checkpoint gone.pt"),
        (["transcribe", "--checkpoint", "gone.pt"], "name audio files"),
        (["config", "show", "gone.yaml"], "there is no file gone.yaml"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_users_fault_is_one_message(repository: Path, arguments: list[str], message: str) -> None:
    done = _run(repository, *arguments)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


def test_config_show(repository: Path) -> None:
    file = "experiments/paraformer_small.yaml"
    done = _run(repository, "config", "show", file, "--override", "training.seed=5", "--json")
    shown = json.loads(done.stdout)
    assert shown["training.seed"] == {"value": 5, "from": "--override"}
    assert shown["data.feature_dim"]["from"].startswith("experiments/paraformer_base.yaml:")
    assert shown["training.accumulate"] == {"value": 1, "from": "default"}
