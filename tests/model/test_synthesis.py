import dataclasses
import hashlib

import numpy as np
import pytest
import soundfile

from paraformer import synthesis
from paraformer.errors import ConfigError, DataError
from paraformer.grammar import Grammar
from paraformer.manifest import read_manifest
from paraformer.recipe import SplitRecipe, SynthesisRecipe
from paraformer.synthesis import synthesise

pytest.importorskip("espeakng_loader", reason="eSpeak NG is an extra: pip install '.[speech]'")

RECIPE = SynthesisRecipe(
    name="tiny",
    grammar=Grammar.from_rules("all", {"all": ["<digit>[1,3]"], "digit": ["one", "two", "three"]}),
    splits={
        "train": SplitRecipe(12, ("en-us+f1", "en-gb+m1", "en-gb-scotland+klatt2")),
        "test": SplitRecipe(4, ("en-us+f3",)),
    },
    seed=5,
)


def contents(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    }


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return synthesise(RECIPE, tmp_path_factory.mktemp("made") / "tiny")


def test_a_corpus_has_what_the_recipe_asks_for(corpus):
    for name, split in RECIPE.splits.items():
        utterances = read_manifest(corpus / f"{name}.tsv")
        assert len(utterances) == split.utterances
        assert {utterance.speaker for utterance in utterances} <= set(split.voices)
        for utterance in utterances:
            samples, rate = soundfile.read(utterance.path)
            assert rate == 16000
            assert utterance.seconds == pytest.approx(len(samples) / rate, abs=1e-3)
            assert -18.01 <= 20 * np.log10(np.abs(samples).max()) <= -0.99
            assert 1 <= len(utterance.text.split()) <= 3


def test_the_same_recipe_gives_the_same_bytes_and_another_seed_others(corpus, tmp_path):
    again = synthesise(RECIPE, tmp_path / "again")
    assert contents(again) == contents(corpus)
    other = contents(synthesise(dataclasses.replace(RECIPE, seed=6), tmp_path / "other"))
    shared = [name for name in other if other[name] == contents(corpus).get(name)]
    assert shared == []


def test_the_length_of_one_split_does_not_change_another(corpus, tmp_path):
    shorter = dataclasses.replace(RECIPE, splits={**RECIPE.splits, "train": SplitRecipe(2, ("en-us+f1",))})
    made = contents(synthesise(shorter, tmp_path / "shorter"))
    whole = contents(corpus)
    assert [made[name] for name in made if "test" in name] == [
        whole[name] for name in whole if "test" in name
    ]


def test_without_noise_the_silence_around_is_digital(tmp_path):
    quiet = dataclasses.replace(RECIPE, noise_snr_db=None, silence_seconds=(0.2, 0.2))
    utterance = read_manifest(synthesise(quiet, tmp_path / "quiet") / "test.tsv")[0]
    samples, rate = soundfile.read(utterance.path, dtype="int16")
    assert not samples[: int(0.19 * rate)].any()
    assert samples[int(0.2 * rate) : -int(0.2 * rate)].any()


def test_a_corpus_that_is_there_is_left_alone(corpus):
    before = {path: path.stat().st_mtime_ns for path in corpus.rglob("*")}
    assert synthesise(RECIPE, corpus) == corpus
    assert {path: path.stat().st_mtime_ns for path in corpus.rglob("*")} == before


def test_a_folder_that_holds_something_else_is_refused(corpus, tmp_path):
    with pytest.raises(DataError, match=r"holds a corpus of another recipe already; name another folder"):
        synthesise(dataclasses.replace(RECIPE, seed=99), corpus)
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(DataError, match=r"holds something else already"):
        synthesise(RECIPE, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_corpus_leaves_nothing_behind(error, tmp_path):
    def interrupt(done: int, _total: int) -> None:
        if done == 5:
            raise error

    with pytest.raises(error):
        synthesise(RECIPE, tmp_path / "tiny", interrupt)
    assert list(tmp_path.iterdir()) == []


def test_whoever_finishes_second_finds_the_corpus_made(tmp_path, monkeypatch):
    """Two processes make one corpus; the other one is done while this one still writes."""
    write = synthesis._write_corpus

    def write_and_be_overtaken(recipe, folder, progress):
        write(recipe, folder, progress)
        monkeypatch.setattr(synthesis, "_write_corpus", write)
        synthesise_elsewhere(recipe, tmp_path / "tiny")

    def synthesise_elsewhere(recipe, folder):
        (tmp_path / "other").mkdir()
        synthesise(recipe, tmp_path / "other" / "tiny").rename(folder)

    monkeypatch.setattr(synthesis, "_write_corpus", write_and_be_overtaken)
    made = synthesise(RECIPE, tmp_path / "tiny")
    assert len(read_manifest(made / "train.tsv")) == 12
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "tiny"]


def test_progress_counts_utterances(tmp_path):
    seen = []
    synthesise(RECIPE, tmp_path / "tiny", lambda done, total: seen.append((done, total)))
    assert seen == [(count, 16) for count in range(1, 17)]


def test_an_impossible_recipe_makes_nothing(tmp_path):
    broken = dataclasses.replace(RECIPE, speed=(500.0, 600.0))
    with pytest.raises(ConfigError, match="recipe tiny: speed: must be"):
        synthesise(broken, tmp_path / "tiny")
    assert list(tmp_path.iterdir()) == []
