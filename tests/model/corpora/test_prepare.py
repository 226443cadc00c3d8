"""Corpora in miniature, in the layout of their authors, and the recorded ones where they can be had."""

import numpy as np
import pytest
import soundfile

from paraformer.audio import read_audio
from paraformer.corpora import prepare
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import read_manifest


def record(path, rate=8000, seconds=0.3):
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(len(str(path)) + sum(path.name.encode()))
    soundfile.write(path, 0.1 * rng.standard_normal(int(rate * seconds)), rate)


def read(manifests):
    return {name: read_manifest(path) for name, path in manifests.items()}


@pytest.fixture
def fsdd(tmp_path):
    folder = tmp_path / "fsdd"
    for speaker in ("jackson", "lucas", "yweweler"):
        for digit in (0, 7):
            for index in range(12):
                record(folder / "recordings" / f"{digit}_{speaker}_{index}.wav")
    return folder


def test_fsdd_is_split_by_index_as_its_authors_do(fsdd, tmp_path):
    splits = read(prepare("fsdd", fsdd, tmp_path / "out"))
    assert list(splits) == ["train", "dev", "test"]
    indices = {name: {u.path.stem.split("_")[2] for u in splits[name]} for name in splits}
    assert indices["test"] == {"0", "1", "2", "3", "4"}
    assert indices["dev"] == {"5", "6", "7", "8", "9"}
    assert indices["train"] == {"10", "11"}
    assert {u.text for u in splits["train"]} == {"zero", "seven"}
    assert all(u.seconds == pytest.approx(0.3) for u in splits["train"])


def test_fsdd_by_speakers_has_strangers_in_dev_and_test(fsdd, tmp_path):
    splits = read(prepare("fsdd", fsdd, tmp_path / "out", split="speakers", join=(5, 7)))
    speakers = {name: {u.speaker for u in splits[name]} for name in splits}
    assert speakers == {"train": {"jackson"}, "dev": {"lucas"}, "test": {"yweweler"}}
    strings = {name: {u.text for u in splits[name] if " " in u.text} for name in splits}
    assert strings["train"]
    assert not strings["train"] & (strings["dev"] | strings["test"])
    kept = {u.path.resolve() for u in splits["train"]}
    assert {path.resolve() for path in (tmp_path / "out" / "audio" / "train").iterdir()} == kept


def test_joined_digits_say_their_text_and_keep_to_speaker_and_split(fsdd, tmp_path):
    splits = read(prepare("fsdd", fsdd, tmp_path / "out", join=(2, 4)))
    for name, utterances in splits.items():
        for utterance in utterances:
            count = len(utterance.text.split())
            assert 2 <= count <= 4
            pauses = utterance.seconds - 0.3 * count
            assert 0.05 * (count + 1) - 0.01 <= pauses <= 0.25 * (count + 1) + 0.01
            assert utterance.path.is_relative_to(tmp_path / "out" / "audio" / name)
            assert utterance.speaker in ("jackson", "lucas", "yweweler")


def test_a_joined_string_holds_the_very_recordings_of_its_split(fsdd, tmp_path):
    splits = read(prepare("fsdd", fsdd, tmp_path / "out", join=(1, 1)))
    digits = {"zero": 0, "seven": 7}
    for utterance in splits["test"][:6]:
        joined = read_audio(utterance.path, 8000).numpy()
        candidates = [
            read_audio(fsdd / "recordings" / f"{digits[utterance.text]}_{utterance.speaker}_{n}.wav", 8000)
            for n in range(5)
        ]
        peaks = [np.correlate(joined, candidate.numpy(), "valid").max() for candidate in candidates]
        energy = float(candidates[int(np.argmax(peaks))].square().sum())
        assert max(peaks) == pytest.approx(energy, rel=0.01)


def test_joining_twice_gives_the_same_bytes(fsdd, tmp_path):
    for out in ("a", "b"):
        prepare("fsdd", fsdd, tmp_path / out, join=(1, 3))
    names = sorted(path.relative_to(tmp_path / "a") for path in (tmp_path / "a").rglob("*.*"))
    assert len(names) > 10
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_speechocean762_as_its_authors_ship_it(tmp_path):
    folder = tmp_path / "so"
    for part, speakers in (("train", range(10, 22)), ("test", range(30, 33))):
        names = [f"{speaker:04d}{number:05d}" for speaker in speakers for number in range(3)]
        for name in names:
            record(folder / "WAVE" / f"SPEAKER{name[:4]}" / f"{name}.WAV", 16000)
        tables = {
            "wav.scp": [f"{name}\tWAVE/SPEAKER{name[:4]}/{name}.WAV" for name in names],
            "text": [f"{name}\tWE CALL IT {'BEAR' if name[-1] == '2' else name}" for name in names],
            "utt2spk": [f"{name}\t{name[:4]}" for name in names],
            "spk2age": [f"{speaker:04d}\t{speaker - 13}" for speaker in speakers],
            "spk2gender": [f"{speaker:04d}\t{'fm'[speaker % 2]}" for speaker in speakers],
        }
        (folder / part).mkdir()
        for table, lines in tables.items():
            (folder / part / table).write_text("\n".join(lines) + "\n")
    splits = read(prepare("speechocean762", folder, tmp_path / "out"))
    speakers = {name: {u.speaker for u in splits[name]} for name in splits}
    assert speakers["test"] == {"0030", "0031", "0032"}
    # Speakers 30 to 32 are 17, 18 and 19 years old.
    groups = {u.speaker: dict(u.groups) for u in splits["test"]}
    assert groups["0030"] == {"gender": "f", "age": "child"}
    assert groups["0031"] == {"gender": "m", "age": "adult"}
    assert len(speakers["dev"]) == 2  # a tenth of 36 utterances, three of each speaker
    assert not speakers["dev"] & speakers["train"]
    # Every speaker says one sentence that all say; dev and test have it, so training must not.
    assert {u.text for u in splits["dev"]} & {u.text for u in splits["train"]} == set()
    assert "we call it bear" in {u.text for u in splits["test"]} & {u.text for u in splits["dev"]}


def test_audio_cmn_as_its_authors_ship_it(tmp_path):
    words = [chr(0x4E00 + n) + chr(0x5E00 + n) for n in range(100)]
    for word in [*words, "一边_一边"]:
        record(tmp_path / "cmn" / "64k" / "hsk" / f"cmn-{word}.mp3", 22050)
    splits = read(prepare("audio_cmn", tmp_path / "cmn", tmp_path / "out"))
    texts = {name: {u.text for u in splits[name]} for name in splits}
    assert {name: len(texts[name]) for name in texts} == {"train": 86, "dev": 6, "test": 8}
    assert texts["train"] | texts["dev"] | texts["test"] == set(words)
    with pytest.raises(DataError, match="only characters can be had"):
        prepare("audio_cmn", tmp_path / "cmn", tmp_path / "out", text="pinyin")


def test_any_folder_is_split_by_speaker_where_speakers_are_known(tmp_path):
    lines = ["path\ttext\tspeaker"]
    for speaker in "abcdefghij":
        for number in range(4):
            record(tmp_path / "mine" / f"{speaker}{number}.wav")
            lines.append(f"{speaker}{number}.wav\tword {number}\t{speaker}")
    (tmp_path / "mine" / "transcripts.tsv").write_text("\n".join(lines))
    splits = read(prepare("folder", tmp_path / "mine", tmp_path / "out"))
    speakers = [{u.speaker for u in splits[name]} for name in ("train", "dev", "test")]
    assert [len(names) for names in speakers] == [8, 1, 1]
    assert len(set.union(*speakers)) == 10


def test_any_folder_is_split_by_sentence_where_speakers_are_not_known(tmp_path):
    lines = []
    for number in range(60):
        record(tmp_path / "mine" / f"{number}.wav")
        lines.append(f"{number}.wav\tsentence {number // 2}")
    (tmp_path / "mine" / "all.tsv").write_text("\n".join(lines))
    splits = read(prepare("folder", tmp_path / "mine", tmp_path / "out"))
    sentences = [{u.text for u in splits[name]} for name in ("train", "dev", "test")]
    assert sum(len(texts) for texts in sentences) == len(set.union(*sentences)) == 30


def test_a_split_column_counts_and_what_it_lacks_is_held_out(tmp_path):
    lines = ["path\ttext\tsplit"]
    for number in range(30):
        record(tmp_path / "mine" / f"{number}.wav")
        lines.append(f"{number}.wav\tsentence {number}\t{'test' if number < 5 else 'train'}")
    (tmp_path / "mine" / "manifest.tsv").write_text("\n".join(lines))
    splits = read(prepare("folder", tmp_path / "mine", tmp_path / "out"))
    assert {u.id for u in splits["test"]} == {"0", "1", "2", "3", "4"}
    assert len(splits["dev"]) == 3
    assert len(splits["train"]) == 22


def test_faults_name_the_remedy(tmp_path):
    with pytest.raises(ConfigError, match="no recipe for corpus 'timit'; choose one of aishell, an4"):
        prepare("timit", tmp_path, tmp_path / "out")
    with pytest.raises(DataError, match=r"there is no folder .*gone; name the one that holds fsdd"):
        prepare("fsdd", tmp_path / "gone", tmp_path / "out")
    for name in ("fsdd", "speechocean762", "audio_cmn", "folder"):
        with pytest.raises(DataError, match=str(tmp_path)):
            prepare(name, tmp_path, tmp_path / "out")
    with pytest.raises(ConfigError, match="is for fsdd"):
        prepare("folder", tmp_path, tmp_path / "out", join=(1, 2))
    with pytest.raises(ConfigError, match="folder has no text='pinyin'; leave it out"):
        prepare("folder", tmp_path, tmp_path / "out", text="pinyin")
    assert not (tmp_path / "out").exists()


@pytest.mark.speech
@pytest.mark.parametrize(
    ("name", "options", "counts"),
    [
        ("fsdd", {}, [2000, 250, 250]),
        ("fsdd", {"split": "speakers"}, [1500, 500, 500]),
        ("speechocean762", {}, [2239, 260, 500]),
        ("audio_cmn", {}, [6669, 500, 600]),
        ("audio_cmn", {"text": "pinyin"}, [6432, 500, 600]),
    ],
)
def test_recorded_corpora(recorded_speech, name, options, counts, tmp_path):
    """Counts from the README that comes with the recordings, less what is held out or left out."""
    splits = read(prepare(name, recorded_speech / name, tmp_path, **options))
    assert [len(splits[part]) for part in ("train", "dev", "test")] == counts
    if name == "speechocean762":
        speakers = [{u.speaker for u in splits[part]} for part in splits]
        assert [len(names) for names in speakers] == [112, 13, 25]
        assert len(set.union(*speakers)) == 150
    if name != "fsdd":  # which has ten sentences
        sentences = [{u.text for u in splits[part]} for part in splits]
        assert not sentences[0] & (sentences[1] | sentences[2])
