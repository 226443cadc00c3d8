import numpy as np
import pytest
import soundfile

from paraformer.errors import ConfigError
from paraformer.manifest import Utterance
from paraformer.quality import Limits, check
from paraformer.tokenizer import CharTokenizer


@pytest.fixture
def record(tmp_path):
    rng = np.random.default_rng(0)

    def make(name, samples=None, text="one two", speaker=None, seconds=None):
        if samples is None:
            samples = 0.1 * rng.standard_normal(16000)
        soundfile.write(tmp_path / f"{name}.wav", samples, 16000)
        return Utterance(name, tmp_path / f"{name}.wav", text, speaker, seconds, source=f"{name}.tsv:1")

    return make


def kinds(splits, **limits):
    return [finding.kind for finding in check(splits, CharTokenizer(), Limits(**limits))]


def test_a_sound_corpus_has_no_findings(record):
    splits = {
        "train": [record("a", speaker="x", text="one", seconds=1.0)],
        "test": [record("b", speaker="y", text="two")],
    }
    assert kinds(splits) == []


def test_transcripts(record):
    assert kinds({"train": [record("a", text="")]}) == ["empty transcript"]
    (finding,) = check({"train": [record("a", text="naïve")]}, CharTokenizer())
    assert (finding.kind, finding.where) == ("outside vocabulary", "a.tsv:1")
    assert finding.detail == "'ï' (U+00EF) in 'naïve'"
    assert finding.is_error


def test_audio(record, tmp_path):
    tone = np.sin(np.arange(16000) / 5)
    assert kinds({"train": [record("a", np.zeros(16000))]}) == ["silent audio"]
    assert kinds({"train": [record("a", np.clip(3 * tone, -1, 1))]}) == ["clipped audio"]
    assert kinds({"train": [record("a", 0.9 * tone)]}) == []
    assert kinds({"train": [record("a")]}, max_seconds=0.9) == ["too long"]
    assert kinds({"train": [record("a", seconds=2.0)]}) == ["wrong duration"]
    broken = record("a")
    broken.path.write_text("not audio")
    (finding,) = check({"train": [broken]}, CharTokenizer())
    assert finding.kind == "unreadable audio"
    assert finding.is_error
    assert "cannot be read as audio" in finding.detail


def test_more_tokens_than_encoder_frames(record):
    fits, does_not = record("a", text="x" * 25), record("b", text="y" * 26)
    findings = check({"train": [fits, does_not]}, CharTokenizer())
    assert [(finding.where, finding.detail) for finding in findings] == [
        ("b.tsv:1", "26 tokens in 25 encoder frames")
    ]


def test_the_same_recording_within_and_across_splits(record):
    samples = 0.1 * np.random.default_rng(7).standard_normal(8000)
    twice = [record("a", samples, "one"), record("b", samples, "two")]
    assert kinds({"train": twice}) == ["same recording twice"]
    (finding,) = check({"train": twice[:1], "test": twice[1:]}, CharTokenizer())
    assert finding.kind == "recording in two splits"
    assert finding.is_error
    assert finding.detail == "the same samples as a.tsv:1"


def test_speakers_and_sentences_in_two_splits(record):
    splits = {
        "train": [record("a", text="one", speaker="x"), record("b", text="two", speaker="y")],
        "dev": [record("c", text="two", speaker="z")],
        "test": [record("d", text="three", speaker="y")],
    }
    found = {(finding.kind, finding.where, finding.detail) for finding in check(splits, CharTokenizer())}
    assert found == {
        ("sentence in two splits", "train and dev", "1: two"),
        ("speaker in two splits", "train and test", "1: y"),
    }


def test_unknown_speakers_are_no_speaker_in_common(record):
    assert kinds({"train": [record("a", text="one")], "test": [record("b", text="two")]}) == []


def test_progress_counts_recordings(record):
    seen = []
    splits = {"train": [record("a", text="one"), record("b", text="two")]}
    check(splits, CharTokenizer(), progress=lambda done, total: seen.append((done, total)))
    assert seen == [(1, 2), (2, 2)]


def test_limits_must_be_positive():
    with pytest.raises(ConfigError, match="limits must be positive"):
        Limits(max_seconds=0)
