"""A training whose machine is lost goes on from its archive on another one, as if nothing had been."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import fsspec
import pytest

from paraformer.errors import ConfigError
from paraformer_platform.config.conversion import config_from_dict
from paraformer_platform.config.load import load_experiment
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.errors import RemoteError
from paraformer_platform.storage import uri as uri_module
from paraformer_platform.storage.uri import Remote, fetched_folder, store_folder
from paraformer_platform.training.assessment import assess
from paraformer_platform.training.checkpoint import load_checkpoint
from paraformer_platform.training.journal import read_journal
from paraformer_platform.training.loop import train
from paraformer_platform.training.preparation import prepare
from paraformer_platform.training.reporter import LocalReporter


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uri_module, "CACHE", tmp_path / "cache")
    fetched_folder.cache_clear()
    fsspec.filesystem("memory").store.clear()


@pytest.fixture
def config(tiny_experiment: Path, tmp_path: Path) -> ExperimentConfig:
    return replace(load_experiment(tiny_experiment).config, archive=f"memory://{tmp_path}/archive")


class Lost(Exception):
    pass


def measured(folder: Path) -> list[dict[str, Any]]:
    return [
        {name: value for name, value in event["metrics"].items() if not name.startswith("cost/")}
        for event in read_journal(folder / "journal.jsonl")
        if event["kind"] == "metrics"
    ]


def lost_after(epochs: int) -> LocalReporter:
    def end(metrics: Any) -> None:
        if metrics["epoch"] == epochs:
            raise Lost

    return LocalReporter(end)


def test_a_training_goes_on_elsewhere_from_its_archive(config: ExperimentConfig, tmp_path: Path) -> None:
    whole = tmp_path / "whole"
    train(replace(config, archive=None), whole, LocalReporter())
    with pytest.raises(Lost):
        train(config, tmp_path / "first", lost_after(2))
    shutil.rmtree(tmp_path / "first")
    done: list[int] = []
    result = train(config, tmp_path / "second", LocalReporter(), on_step=lambda step, _: done.append(step))
    assert done == [7, 8, 9]  # the third epoch only
    assert measured(tmp_path / "second") == measured(whole)
    remote = Remote(f"{config.archive}/{result.trial_key}")
    archived, here = set(remote.listing()), tmp_path / "second"
    kept = [path for path in here.rglob("*") if path.is_file() and not path.name.startswith(".")]
    assert archived == {path.relative_to(here).as_posix() for path in kept}
    again = train(
        config, tmp_path / "third", LocalReporter(), on_step=lambda *_: pytest.fail("it is trained")
    )
    assert again.metrics == result.metrics


def test_a_checkpoint_is_read_by_its_uri(config: ExperimentConfig, tmp_path: Path) -> None:
    result = train(config, tmp_path / "run", LocalReporter())
    best = f"{config.archive}/{result.trial_key}/checkpoints/best.pt"
    assert load_checkpoint(Path(best)).config.model == config.model
    assert assess(best)["test/cer"] == result.metrics["test/cer"]


def test_a_corpus_by_uri_is_the_corpus(config: ExperimentConfig, tmp_path: Path) -> None:
    there = f"memory://{tmp_path}/corpus"
    store_folder(Path(config.data.folder), there)
    fetched = replace(config, data=replace(config.data, folder=there))
    assert prepare(fetched).identity == prepare(config).identity


def test_a_synthetic_corpus_is_made_there_once(tmp_path: Path, repository: Path) -> None:
    values = {
        "data": {
            "folder": f"memory://{tmp_path}/made",
            "recipe": str(repository / "tests/platform/clusters/tiny/speech.yaml"),
        }
    }
    config = config_from_dict(values)
    preparation = prepare(config)
    listing = Remote(config.data.folder).listing()
    assert len([name for name in listing if name.endswith(".flac")]) == 24
    assert prepare(config).identity == preparation.identity
    assert Remote(config.data.folder).listing() == listing


def test_an_archive_that_does_not_answer_is_said_before_training(
    config: ExperimentConfig, tmp_path: Path
) -> None:
    gone = replace(config, archive="carrier-pigeon://loft")
    with pytest.raises(RemoteError, match="carrier-pigeon"):
        train(gone, tmp_path / "run", LocalReporter())
    assert not (tmp_path / "run").exists()


def test_an_archive_that_fails_in_between_is_caught_up_with(
    config: ExperimentConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store, calls = Remote.store, []

    def sometimes(self: Remote, file: Path, name: str) -> None:
        calls.append(name)
        if 3 <= len(calls) <= 5:
            raise RemoteError("no answer")
        store(self, file, name)

    monkeypatch.setattr(Remote, "store", sometimes)
    result = train(config, tmp_path / "run", LocalReporter())
    archived = Remote(f"{config.archive}/{result.trial_key}").listing()
    assert {"checkpoints/best.pt", "results/summary.json", "journal.jsonl"} <= set(archived)
    assert (
        "not archived, tried again after the next epoch: no answer"
        in (tmp_path / "run/train.log").read_text()
    )


def test_storage_and_archive_are_not_mixed_up() -> None:
    with pytest.raises(ConfigError) as found:
        config_from_dict({"storage": "s3://bucket/runs", "archive": "backup"})
    assert "storage (s3://bucket/runs) must be a folder" in str(found.value)
    assert "archive (backup) must be a URI such as s3://bucket/trials" in str(found.value)
