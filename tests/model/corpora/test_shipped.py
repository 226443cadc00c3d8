"""Corpora that users have, read from miniatures of the authors' layouts (conftest.py)."""

import shutil

import numpy as np
import pytest

from paraformer.audio import audio_seconds, read_audio
from paraformer.corpora import prepare
from paraformer.corpora.common_voice import words_of
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import read_manifest


def read(manifests):
    return {name: read_manifest(path) for name, path in manifests.items()}


def texts(splits):
    return {name: [utterance.text for utterance in splits[name]] for name in splits}


def speakers(splits):
    return {name: {utterance.speaker for utterance in splits[name]} for name in splits}


@pytest.mark.parametrize(
    ("layout", "corpus"),
    [
        ("an4", "an4"),
        ("librispeech", "librispeech"),
        ("mini_librispeech", "librispeech"),
        ("aishell", "aishell"),
        ("thchs30", "thchs30"),
        ("common_voice", "common_voice"),
    ],
)
def test_the_folder_or_the_one_above_gives_parts_without_common_speakers(shipped, tmp_path, layout, corpus):
    root = shipped(layout)
    splits = read(prepare(corpus, root, tmp_path / "out"))
    assert list(splits)[:3] == ["train", "dev", "test"]
    names = speakers(splits)
    assert sum(map(len, names.values())) == len(set.union(*names.values()))
    for utterance in splits["test"]:
        assert utterance.text
        assert utterance.seconds == pytest.approx(audio_seconds(utterance.path), abs=0.005)
        assert len(read_audio(utterance.path)) > 0
    above = prepare(corpus, root.parent, tmp_path / "above")
    for name, path in above.items():
        assert path.read_bytes() == (tmp_path / "out" / f"{name}.tsv").read_bytes()


def test_an4_has_the_authors_test_set_and_dev_by_speaker(shipped, tmp_path):
    splits = read(prepare("an4", shipped("an4"), tmp_path / "out"))
    assert {name: len(splits[name]) for name in splits} == {"train": 4, "dev": 2, "test": 2}
    assert texts(splits)["test"] == ["yes", "g l e n n"]
    assert splits["test"][0].id == "an251-fcaw-b"
    assert splits["test"][0].path.suffix == ".sph"


@pytest.mark.parametrize("order", ["<", ">"])
def test_an4_without_headers_in_either_byte_order(shipped, tmp_path, order):
    root = shipped("an4")
    expected = read_audio(root / "wav/an4test_clstk/fcaw/cen2-fcaw-b.sph")
    for path in root.rglob("*.sph"):
        samples = np.frombuffer(path.read_bytes()[1024:], dtype=">i2")
        path.with_suffix(".raw").write_bytes(samples.astype(f"{order}i2").tobytes())
        path.unlink()
    splits = read(prepare("an4", root, tmp_path / "out"))
    found = {utterance.id: utterance.path for utterance in splits["test"]}["cen2-fcaw-b"]
    assert found.is_relative_to(tmp_path / "out" / "audio")
    np.testing.assert_allclose(read_audio(found), expected, atol=1 / 32768)


def test_librispeech_joins_what_trains_and_keeps_other_sets_apart(shipped, tmp_path):
    splits = read(prepare("librispeech", shipped("librispeech"), tmp_path / "out"))
    assert list(splits) == ["train", "dev", "test", "dev-other", "test-other"]
    assert speakers(splits)["train"] == {"19", "20", "26"}
    assert speakers(splits)["test-other"] == {"367"}
    assert texts(splits)["test"] == ["he's 61-198-0000", "he's 61-198-0001"]
    assert dict(splits["test"][0].groups) == {"gender": "m"}  # odd numbers, in the miniature


def test_the_dev_set_of_mini_librispeech_is_the_test_set(shipped, tmp_path):
    splits = read(prepare("librispeech", shipped("mini_librispeech"), tmp_path / "out"))
    assert speakers(splits)["test"] == {"1272"}
    assert len(speakers(splits)["dev"]) == 1
    assert len(speakers(splits)["train"]) == 2


def test_aishell_is_characters_and_leaves_out_what_has_no_transcript(shipped, tmp_path):
    splits = read(prepare("aishell", shipped("aishell"), tmp_path / "out"))
    assert {name: len(splits[name]) for name in splits} == {"train": 4, "dev": 2, "test": 2}
    assert set(texts(splits)["test"]) == {"而对楼市成交抑制作用最大的限购"}
    assert dict(splits["test"][0].groups) == {"gender": "m"}


def test_aishell_says_that_its_archives_are_to_be_unpacked(shipped, tmp_path):
    root = shipped("aishell")
    shutil.rmtree(root / "wav")
    (root / "wav").mkdir()
    for name in ("S0002", "S0724"):
        (root / "wav" / f"{name}.tar.gz").write_bytes(b"")
    with pytest.raises(DataError, match=r"no folder train, dev, test in .*holds 2 archives.*tar xzf"):
        prepare("aishell", root, tmp_path / "out")


def test_thchs30_as_characters_and_as_pinyin(shipped, tmp_path):
    root = shipped("thchs30")
    characters = read(prepare("thchs30", root, tmp_path / "a"))
    assert texts(characters)["test"] == ["绿是阳春烟景"]
    assert speakers(characters) == {"train": {"A11", "B7"}, "dev": {"A12"}, "test": {"D4"}}
    pinyin = read(prepare("thchs30", root, tmp_path / "b", text="pinyin"))
    assert texts(pinyin)["test"] == ["lv4 shi4 yang2 chun1 yan1 jing3"]


def test_thchs30_whose_links_became_files(shipped, tmp_path):
    """Archives unpacked where there are no links leave the path in a text file, or nothing but its name."""
    root = shipped("thchs30")
    for path in (root / "test").iterdir():
        target = path.readlink()
        path.unlink()
        path.write_text(str(target))
    assert len(read(prepare("thchs30", root, tmp_path / "out"))["test"]) == 1


def test_common_voice_in_words_or_as_it_was_read(shipped, tmp_path):
    root = shipped("common_voice")
    splits = read(prepare("common_voice", root, tmp_path / "a"))
    assert texts(splits)["test"] == ["it's late she said", "the first one again", "日本 2 x"]
    first = splits["test"][0]
    assert dict(first.groups) == {"age": "twenties", "gender": "female_feminine"}
    assert first.seconds == 0.5
    assert first.speaker is not None
    assert len(first.speaker) == 16
    whole = read(prepare("common_voice", root, tmp_path / "b", text="sentence"))
    assert texts(whole)["test"][1] == 'The "first" one - again'
    assert len(whole["test"]) == 4


def test_words_keep_letters_marks_and_inner_apostrophes():
    assert words_of("  ‘Rock ’n’ roll’, DON’T…  ") == "rock n roll don't"
    assert words_of("नमस्ते, दुनिया!") == "नमस्ते दुनिया"
    assert words_of("—?!") == ""


@pytest.mark.parametrize(
    ("layout", "corpus", "removed", "message"),
    [
        ("an4", "an4", "etc/an4_test.fileids", r"test\.fileids is not in .*holds etc, wav\..*speech\.cs"),
        (
            "an4",
            "an4",
            "wav/an4test_clstk",
            r"2 of 2 recordings of AN4 .*not there.*\n.*an251-fcaw-b\.sph or",
        ),
        (
            "librispeech",
            "librispeech",
            "train-clean-100/19/198/19-198-0001.flac",
            r"1 of 4 rec.*\n.*19-198-0001",
        ),
        (
            "mini_librispeech",
            "librispeech",
            "train-clean-5",
            r"needs a part train-….*holds dev-clean-2.*openslr",
        ),
        ("mini_librispeech", "librispeech", "dev-clean-2", r"one of dev-clean.*holds train-clean-5"),
        (
            "aishell",
            "aishell",
            "wav/dev",
            r"there is no folder dev in .*unpack all of https://www\.openslr\.org/33",
        ),
        ("aishell", "aishell", "transcript", r"aishell_transcript_v0\.8\.txt is not in"),
        ("thchs30", "thchs30", "test", r"test is not in .*holds data, dev, train"),
        ("thchs30", "thchs30", "data/A11_1.wav", r"1 of 3 recordings of THCHS-30 .*\n.*data/A11_1\.wav"),
        ("common_voice", "common_voice", "dev.tsv", r"dev\.tsv is not in .*commonvoice\.mozilla\.org"),
        (
            "common_voice",
            "common_voice",
            "clips/common_voice_en_00.mp3",
            r"1 of 3 recordings of Common Voice",
        ),
    ],
)
def test_an_incomplete_folder_is_told_with_what_is_missing(
    shipped, tmp_path, layout, corpus, removed, message
):
    root = shipped(layout)
    gone = root / removed
    if gone.is_dir():
        shutil.rmtree(gone)
    else:
        gone.unlink()
    with pytest.raises(DataError, match=message):
        prepare(corpus, root, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "corpus",
    [
        "aishell",
        "an4",
        "audio_cmn",
        "common_voice",
        "fsdd",
        "librispeech",
        "speechocean762",
        "thchs30",
    ],
)
def test_a_folder_of_something_else_is_told_with_what_it_holds(tmp_path, corpus):
    (tmp_path / "holiday" / "beach.jpg").parent.mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"")
    with pytest.raises(DataError, match=r"holds beach\.jpg|but beach\.jpg"):
        prepare(corpus, tmp_path / "holiday", tmp_path / "out")


def test_choices_that_a_corpus_does_not_have(tmp_path):
    with pytest.raises(ConfigError, match="librispeech has no text='pinyin'; leave it out"):
        prepare("librispeech", tmp_path, tmp_path / "out", text="pinyin")
    with pytest.raises(ConfigError, match="thchs30 has no text='tones'; choose one of text, pinyin"):
        prepare("thchs30", tmp_path, tmp_path / "out", text="tones")
    with pytest.raises(ConfigError, match="fsdd has no split='digits'; choose one of recordings, speakers"):
        prepare("fsdd", tmp_path, tmp_path / "out", split="digits")
