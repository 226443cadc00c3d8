from pathlib import Path

import pytest

from paraformer.corpora.splits import hold_out, read_with_splits
from paraformer.errors import DataError
from paraformer.manifest import Utterance

UTTERANCES = [
    Utterance(f"{speaker}-{number}", Path(f"{number}.wav"), f"text {number}", f"s{speaker}")
    for speaker in range(20)
    for number in range(5)
]


def speaker_of(utterance):
    return utterance.speaker


def test_parts_share_no_group_and_miss_no_utterance():
    splits = hold_out(UTTERANCES, {"dev": 0.1, "test": 0.2}, speaker_of)
    groups = {part: {speaker_of(u) for u in splits[part]} for part in splits}
    assert groups["train"] | groups["dev"] | groups["test"] == {f"s{n}" for n in range(20)}
    assert sum(len(names) for names in groups.values()) == 20
    assert {part: len(splits[part]) for part in splits} == {"train": 70, "dev": 10, "test": 20}


def test_a_part_does_not_depend_on_the_order_of_utterances():
    forward = hold_out(UTTERANCES, {"dev": 0.1}, speaker_of)
    backward = hold_out(UTTERANCES[::-1], {"dev": 0.1}, speaker_of)
    assert set(u.id for u in forward["dev"]) == set(u.id for u in backward["dev"])


def test_each_part_has_a_group_however_small_its_share():
    splits = hold_out(UTTERANCES[:15], {"dev": 0.001, "test": 0.001}, speaker_of)
    assert all(splits.values())


def test_too_few_groups_are_refused():
    with pytest.raises(DataError, match=r"there are 2 groups .*\(s0, s1\), too few for train, dev, test"):
        hold_out(UTTERANCES[:10], {"dev": 0.1, "test": 0.1}, speaker_of)


def test_a_column_decides_the_split(tmp_path):
    manifest = tmp_path / "manifest.tsv"
    manifest.write_text("path\ttext\tsplit\tseconds\na.wav\tone\ttrain\t1.5\nb.wav\ttwo\tdev\t\n")
    splits = read_with_splits(manifest)
    assert splits["train"] == [Utterance("a", tmp_path / "a.wav", "one", None, 1.5)]
    assert splits["dev"] == [Utterance("b", tmp_path / "b.wav", "two")]
    with pytest.raises(DataError, match="has no column 'pinyin', but path, text, split, seconds"):
        read_with_splits(manifest, "pinyin")
