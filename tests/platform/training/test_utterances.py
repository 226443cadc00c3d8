"""Readers of the user's own: they serve as manifests do, and are checked as manifests are."""

import importlib
import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from paraformer.errors import ConfigError, DataError
from paraformer.manifest import read_manifest
from paraformer_platform.config.schema import ExperimentConfig
from paraformer_platform.training.corpus import read_corpus
from paraformer_platform.training.preparation import prepare
from paraformer_platform.training.utterances import read_utterances

READER = "examples.json_lines:read"


@pytest.fixture(autouse=True)
def start_at_the_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(repository)


@pytest.fixture
def listed(tiny_corpus: Path, tmp_path: Path) -> Path:
    """The tiny corpus' manifests as JSON lines in a folder of their own."""
    for name in ("train", "dev", "test"):
        entries = [
            {
                "audio_filepath": str(one.path),
                "text": f" {one.text} ",
                "speaker": one.speaker,
                "duration": one.seconds,
            }
            for one in read_manifest(tiny_corpus / f"{name}.tsv")
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, entries)) + "\n")
    return tmp_path


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A module `own_reader` with faulty functions."""
    (tmp_path / "own_reader.py").write_text(
        "from paraformer.manifest import Utterance\n"
        "def raises(path): return {}['audio']\n"
        "def texts(path): return ['a.wav one']\n"
        "def nothing(path): return []\n"
        "def missing(path): return [Utterance('a', path / name, 'one') for name in ('a.wav', 'b.wav')]\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    importlib.invalidate_caches()
    yield
    sys.modules.pop("own_reader", None)


def test_a_reader_gives_what_the_manifest_gives(tiny_corpus: Path, listed: Path) -> None:
    ours = read_manifest(tiny_corpus / "train.tsv")
    own = read_utterances(listed / "train.jsonl", READER)
    assert [(one.path, one.text, one.speaker, one.seconds) for one in own] == [
        (one.path, one.text, one.speaker, one.seconds) for one in ours
    ]


def test_an_experiment_reads_its_data_by_it(config: ExperimentConfig, listed: Path) -> None:
    names = {name: f"{name}.jsonl" for name in ("train", "dev", "test")}
    own = replace(config, data=replace(config.data, folder=str(listed), reader=READER, **names))
    assert len(read_corpus(own.data).train) == 24
    assert prepare(own).identity.trial_key != prepare(config).identity.trial_key  # the reader's source enters


@pytest.mark.parametrize(
    ("reader", "error", "words"),
    [
        ("own_reader:gone", ConfigError, "own_reader has no gone"),
        ("own_reader:raises", ConfigError, "raised KeyError"),
        ("own_reader:texts", ConfigError, "must give paraformer.manifest.Utterance objects"),
        ("own_reader:nothing", DataError, "finds no recordings"),
        ("own_reader:missing", DataError, "there is no audio file.*\n.*id 'a' is there twice"),
    ],
)
@pytest.mark.usefixtures("own")
def test_what_a_reader_gives_is_checked(
    tmp_path: Path, reader: str, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        read_utterances(tmp_path, reader)
