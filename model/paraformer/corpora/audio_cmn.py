"""audio-cmn (github.com/hugolpz/audio-cmn): Mandarin words of the HSK list read by one speaker.

The project's own copy has parts by word and pinyin beside the characters. From the authors' folder the words
are divided here, 8 % for test and 6 % for dev, and there are only characters. No word is in two parts; as
pinyin, training is without words that sound like one of dev or test.
"""

from dataclasses import replace
from pathlib import Path

from paraformer.corpora.layout import contents
from paraformer.corpora.splits import Splits, hold_out, read_with_splits, without_held_out_sentences
from paraformer.errors import DataError
from paraformer.manifest import Utterance

SHARES = {"dev": 0.06, "test": 0.08}
SPEAKER = "yue_tan"
_PREFIX = "cmn-"
_QUALITIES = ("64k", "24k-abr", "18k-abr")
"""Folders of the same words at several bit rates, the best first."""


def read(folder: Path, text: str = "text") -> Splits:
    """Utterances of train, dev and test.

    Args:
        folder: The project's copy, or the authors' folder.
        text: `text` for characters or `pinyin`.

    Raises:
        DataError: if the folder is neither.
    """
    if (folder / "manifest.tsv").is_file():
        splits = read_with_splits(folder / "manifest.tsv", text)
        named = {part: [replace(u, speaker=SPEAKER) for u in splits[part]] for part in splits}
        return without_held_out_sentences(named)
    if text == "pinyin":
        raise DataError(f"{folder} has no manifest.tsv with a column 'pinyin'; only characters can be had")
    return hold_out(_words(folder), SHARES, lambda utterance: utterance.text)


def _words(folder: Path) -> list[Utterance]:
    found = (sorted((folder / quality / "hsk").glob(f"{_PREFIX}*.mp3")) for quality in _QUALITIES)
    files = next((files for files in found if files), [])
    words = [(path, path.stem.removeprefix(_PREFIX)) for path in files]
    # An underscore stands for a gap in a pattern such as 一边_一边.
    utterances = [Utterance(word, path, word, SPEAKER) for path, word in words if "_" not in word]
    if not utterances:
        raise DataError(
            f"{folder} holds neither manifest.tsv nor 64k/hsk/cmn-….mp3, but {contents(folder)}; name the "
            "folder of audio-cmn (github.com/hugolpz/audio-cmn)"
        )
    return utterances
