"""What `paraformer init` writes can be run as soon as the manifests are filled in."""

import os
from pathlib import Path

import pytest

from paraformer.errors import ConfigError
from paraformer.manifest import read_manifest, write_manifest
from paraformer_platform.config.load import load_experiment
from paraformer_platform.scaffold.experiment_folder import FILES, make_experiment_folder
from paraformer_platform.sweeps.spec import load_sweep
from paraformer_platform.training.preparation import prepare


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    make_experiment_folder(tmp_path / "new" / "mine")
    return tmp_path / "new" / "mine"


def test_all_files_are_there_and_filled_in(folder: Path) -> None:
    found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert found == set(FILES)
    for name in FILES:
        text = (folder / name).read_text()
        assert "{folder}" not in text
        assert "{name}" not in text


def test_experiment_and_sweep_are_valid(folder: Path) -> None:
    config = load_experiment(folder / "experiment.yaml").config
    assert config.data.folder == str(folder / "data")
    spec = load_sweep(folder / "sweep.yaml")
    assert spec.name == "mine"
    assert (folder / "sweep.yaml").parent / spec.base == folder / "experiment.yaml"


def test_with_manifests_filled_in_it_can_be_trained(folder: Path, tiny_corpus: Path) -> None:
    for split in ("train", "dev", "test"):
        write_manifest(folder / "data" / f"{split}.tsv", read_manifest(tiny_corpus / f"{split}.tsv"))
    preparation = prepare(load_experiment(folder / "experiment.yaml").config)
    assert len(preparation.corpus.train) == 24
    assert preparation.frontend.tokenizer.unknown_characters("one two three") == []


def test_nothing_is_overwritten(folder: Path) -> None:
    before = (folder / "experiment.yaml").read_bytes()
    with pytest.raises(ConfigError, match=r"is not empty \(it holds README.md, data, experiment.yaml\)"):
        make_experiment_folder(folder)
    assert (folder / "experiment.yaml").read_bytes() == before


@pytest.mark.parametrize("name", ["-dash", "with space", "ümlaut!"])
def test_a_name_that_no_sweep_may_have(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="must be letters, digits"):
        make_experiment_folder(tmp_path / name)
    assert os.listdir(tmp_path) == []
