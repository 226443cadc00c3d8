"""Common Voice (Ardila et al. 2020): one language of a release, in the authors' parts.

The authors' folder, such as `cv-corpus-17.0-2024-03-15/en`, holds `train.tsv`, `dev.tsv` and `test.tsv`, with
columns client_id, path, sentence, age, gender and others, and the MP3 files in `clips/`. No speaker is in two
parts. Durations are taken from `clip_durations.tsv`, which newer releases have.

Sentences are written as readers saw them. As `text` they are put in lower case and stripped of everything but
letters, digits, marks and apostrophes within words; `sentence` keeps them.
"""

import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path

from paraformer.corpora.layout import Layout, read_lines
from paraformer.corpora.splits import Splits
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

PARTS = ("train", "dev", "test")
LAYOUT = Layout(
    corpus="Common Voice",
    folder="en",
    needed=(*(f"{part}.tsv" for part in PARTS), "clips"),
    source="a release from https://commonvoice.mozilla.org/datasets (the folder of one language)",
)
COLUMNS = ("client_id", "path", "sentence")
GROUPS = ("age", "gender")
SPEAKER_DIGITS = 16
"""Of the 128 hexadecimal digits of a client_id: enough to tell a million speakers apart."""
_APOSTROPHES = str.maketrans({"\N{RIGHT SINGLE QUOTATION MARK}": "'", "\N{MODIFIER LETTER APOSTROPHE}": "'"})


def read(folder: Path, text: str = "text") -> Splits:
    """Utterances of train, dev and test; those whose sentence has no letter are left out.

    Args:
        folder: Of one language of a release.
        text: `text` for words in lower case, `sentence` for what readers saw.
    """
    root = LAYOUT.find(folder)
    seconds = _durations(root / "clip_durations.tsv")
    return {part: _read_part(root, part, text, seconds) for part in PARTS}


def words_of(sentence: str) -> str:
    """A sentence in lower case, without punctuation and symbols; apostrophes within words stay."""
    lower = clean_text(sentence).lower().translate(_APOSTROPHES)
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LMN" else " " for c in lower)
    return " ".join(word for part in "".join(kept).split() if (word := part.strip("'")))


def _read_part(root: Path, part: str, text: str, seconds: Mapping[str, float]) -> list[Utterance]:
    utterances = []
    for cells in _rows(root / f"{part}.tsv"):
        said = words_of(cells["sentence"]) if text == "text" else clean_text(cells["sentence"])
        if said:
            utterances.append(_utterance(root, cells, said, seconds.get(cells["path"])))
    missing = [str(utterance.path) for utterance in utterances if not utterance.path.is_file()]
    LAYOUT.require_audio(missing, len(utterances))
    if not utterances:
        raise DataError(f"{root / part}.tsv lists no sentence; get {LAYOUT.source} again")
    return utterances


def _utterance(root: Path, cells: Mapping[str, str], said: str, seconds: float | None) -> Utterance:
    return Utterance(
        id=Path(cells["path"]).stem,
        path=root / "clips" / cells["path"],
        text=said,
        speaker=cells["client_id"][:SPEAKER_DIGITS],
        seconds=seconds,
        groups=tuple((name, cells[name]) for name in GROUPS if cells.get(name)),
    )


def _rows(table: Path) -> Iterator[dict[str, str]]:
    """Lines by the names of their columns; quotation marks are part of sentences and quote nothing."""
    head, *lines = [line.split("\t") for line in read_lines(table)] or [[]]
    missing = [name for name in COLUMNS if name not in head]
    if missing:
        raise DataError(f"{table} has no column {', '.join(missing)}, but {', '.join(head) or 'none'}")
    for line in lines:
        yield dict(zip(head, line, strict=False))


def _durations(table: Path) -> dict[str, float]:
    """Seconds of each clip, where the release tells them in milliseconds."""
    if not table.is_file():
        return {}
    pairs = (line.split("\t") for line in read_lines(table)[1:])
    return {pair[0]: float(pair[1]) / 1000 for pair in pairs if len(pair) >= 2 and float(pair[1]) > 0}
