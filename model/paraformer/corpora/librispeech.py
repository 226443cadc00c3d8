"""LibriSpeech (Panayotov et al. 2015), and mini_librispeech: English audio books.

The authors' folder `LibriSpeech` holds parts such as `train-clean-100`, each with
`speaker/chapter/speaker-chapter-number.flac` and `speaker-chapter.trans.txt`. All `train-…` parts that are
there make up train; `dev-clean` and `test-clean` are dev and test, and `dev-other` and `test-other` get
manifests of their own. mini_librispeech (`train-clean-5`, `dev-clean-2`) has no test set: there the authors'
dev set is the test set, and a tenth of the training utterances, by speaker, are dev.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from paraformer.corpora.layout import Layout, contents, read_lines
from paraformer.corpora.splits import Splits, hold_out
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

LAYOUT = Layout(
    corpus="LibriSpeech",
    folder="LibriSpeech",
    needed=(),
    source="https://www.openslr.org/12, or https://www.openslr.org/31 for mini_librispeech",
)
PARTS = {
    "dev-clean": "dev",
    "dev-clean-2": "dev",
    "dev-other": "dev-other",
    "test-clean": "test",
    "test-other": "test-other",
}
"""The authors' parts and ours; whatever begins with `train-` is train."""
DEV_SHARE = 0.1


def read(folder: Path) -> Splits:
    """Utterances of train, dev, test and, where they are, dev-other and test-other; texts in lower case.

    Raises:
        DataError: if there is no part to train on, or none to score with.
    """
    root = folder / LAYOUT.folder if (folder / LAYOUT.folder).is_dir() else folder
    genders = dict(_genders(root / "SPEAKERS.TXT"))
    splits: Splits = {}
    for part in sorted(path for path in root.iterdir() if path.is_dir()):
        ours = "train" if part.name.startswith("train-") else PARTS.get(part.name)
        if ours is not None:
            splits.setdefault(ours, []).extend(_read_part(part, genders))
    if "train" not in splits or not splits.keys() & {"dev", "test"}:
        raise DataError(
            f"{folder} is not the whole of {LAYOUT.corpus}: it needs a part train-… and one of "
            f"{', '.join(PARTS)}, but {root} holds {contents(root)}. Name the folder {LAYOUT.folder!r} of "
            f"{LAYOUT.source}"
        )
    if "test" not in splits:
        splits["test"] = splits.pop("dev")
    if "dev" not in splits:
        splits |= hold_out(splits["train"], {"dev": DEV_SHARE}, lambda utterance: str(utterance.speaker))
    return splits


def _read_part(part: Path, genders: Mapping[str, str]) -> list[Utterance]:
    utterances = [
        utterance for table in sorted(part.glob("*/*/*.trans.txt")) for utterance in _chapter(table, genders)
    ]
    if not utterances:
        raise DataError(f"{part} holds no speaker/chapter/….trans.txt; unpack it again ({LAYOUT.source})")
    missing = [str(utterance.path) for utterance in utterances if not utterance.path.is_file()]
    LAYOUT.require_audio(missing, len(utterances))
    return utterances


def _chapter(table: Path, genders: Mapping[str, str]) -> Iterator[Utterance]:
    speaker = table.parent.parent.name
    groups = (("gender", genders[speaker]),) if speaker in genders else ()
    for line in read_lines(table):
        name, _, text = line.partition(" ")
        path = table.parent / f"{name}.flac"
        yield Utterance(name, path, clean_text(text).lower(), speaker, groups=groups)


def _genders(table: Path) -> Iterator[tuple[str, str]]:
    """Of `14   | F | train-clean-360  | 25.03 | Kristin LeMoine` the speaker and f or m."""
    if table.is_file():
        for line in read_lines(table):
            cells = [cell.strip() for cell in line.split("|")]
            if not line.startswith(";") and len(cells) >= 2:
                yield cells[0], cells[1].lower()
