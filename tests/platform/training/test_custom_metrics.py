"""Metrics of the user's own: what they come to, where they are written, what is refused."""

import csv
import importlib
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paraformer.errors import ConfigError
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.assessment import assess
from paraformer_platform.training.custom_metrics import (
    Score,
    find_metrics,
    metric_columns,
    metric_value,
    metric_values,
    own_names,
)
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.preparation import prepare
from paraformer_platform.training.reporter import LocalReporter

OURS = ("examples.keywords:exact_match", "examples.keywords:number_recall")


@pytest.fixture(autouse=True)
def start_at_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(repository)


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A module `own_metrics` with faulty functions."""
    path = tmp_path / "own_metrics.py"
    path.write_text(
        "def wer(reference, hypothesis): return 0.0\n"
        "def one_text(reference): return 0.0\n"
        "def words(reference, hypothesis): return 'many'\n"
        "def negative(reference, hypothesis): return 1.0, -1.0\n"
        "def divides(reference, hypothesis): return 1 / len(hypothesis)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield path
    sys.modules.pop("own_metrics", None)


def test_a_number_is_averaged_and_a_pair_divided() -> None:
    """(1 + 0) / 2 = 0.5; 2 + 1 numbers found of 2 + 3: 0.6."""
    pairs = [("one two", "one two"), ("one two three", "three stop")]
    found = metric_values(find_metrics(OURS), pairs, "test")
    assert found == {"test/exact_match": 0.5, "test/number_recall": 0.6}
    assert metric_columns(find_metrics(OURS), *pairs[1]) == {
        "metric:exact_match": 0.0,
        "weight:exact_match": 1.0,
        "metric:number_recall": 1.0,
        "weight:number_recall": 3.0,
    }


def test_a_corpus_that_weighs_nothing_is_no_division_by_zero() -> None:
    assert metric_value([Score(0.0, 0.0)]) == 0.0


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("own_metrics:gone", "own_metrics has no gone"),
        ("no_such_module:metric", "cannot be imported"),
        ("own_metrics:one_text", "raised TypeError"),
        ("own_metrics:words", "gave 'many', but must give a number"),
        ("own_metrics:negative", "a weight of 0 or more"),
        ("own_metrics:divides", r"raised ZeroDivisionError.*divides\('one two', ''\)"),
    ],
)
@pytest.mark.usefixtures("own")
def test_a_faulty_metric_shows_before_anything_is_trained(
    config: ExperimentConfig, path: str, words: str
) -> None:
    faulty = replace(config, decoding=replace(config.decoding, metrics=(path,)))
    with pytest.raises(ConfigError, match=words):
        prepare(faulty)


@pytest.mark.parametrize(
    ("metrics", "words"),
    [
        ("[own_metrics:wer]", "the name wer is ours"),
        ("[a:same, b:same]", "the name same is there twice"),
        ("[exact_match]", "must be an import path"),
        ("a:b", "must be a list"),
    ],
)
def test_a_name_that_is_taken_is_refused(tiny_experiment: Path, metrics: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        load_experiment(tiny_experiment, [f"decoding.metrics={metrics}"])


def test_a_training_writes_them_everywhere(config: ExperimentConfig, tmp_path: Path) -> None:
    named = replace(config, decoding=replace(config.decoding, metrics=OURS))
    done = train(named, tmp_path, LocalReporter())
    events = read_journal(tmp_path / "journal.jsonl")
    epochs = [event["metrics"] for event in events if event.get("epoch") is not None]
    assert all(0 <= epoch["dev/number_recall"] <= 1 for epoch in epochs)
    assert len(epochs) == 3
    with (tmp_path / "results" / "test.csv").open() as file:
        rows = list(csv.DictReader(file))
    for name in ("exact_match", "number_recall"):
        amount, weight = (sum(float(row[f"{kind}:{name}"]) for row in rows) for kind in ("metric", "weight"))
        assert done.metrics[f"test/{name}"] == pytest.approx(amount / weight)
    assert sum(float(row["weight:number_recall"]) for row in rows) == sum(int(row["words"]) for row in rows)

    again = assess(tmp_path / "checkpoints" / "best.pt")
    assert again["test/number_recall"] == done.metrics["test/number_recall"]
    assert own_names(again) == ["test/exact_match", "test/number_recall"]
    without = assess(tmp_path / "checkpoints" / "best.pt", metrics=[])
    assert "test/number_recall" not in without
    assert without["test/wer"] == again["test/wer"]
