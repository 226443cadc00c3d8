"""THCHS-30 (Wang & Zhang 2015): 30 hours of Mandarin sentences, in the authors' parts.

The authors' folder `data_thchs30` holds all recordings and transcripts in `data/` (`A2_0.wav`,
`A2_0.wav.trn`), and in `train/`, `dev/` and `test/` links of the same names that say which part is whose. A
transcript's first line is words, the second toned pinyin. What stands before the underscore is the speaker.
"""

from pathlib import Path

from paraformer.corpora.layout import Layout, read_lines
from paraformer.corpora.splits import Splits
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

PARTS = ("train", "dev", "test")
LAYOUT = Layout(
    corpus="THCHS-30",
    folder="data_thchs30",
    needed=("data", *PARTS),
    source="https://www.openslr.org/18 (data_thchs30.tgz)",
)


def read(folder: Path, text: str = "text") -> Splits:
    """Utterances of train, dev and test.

    Args:
        folder: Of the corpus.
        text: `text` for characters, without spaces, or `pinyin`.
    """
    root = LAYOUT.find(folder)
    return {part: _read_part(root, part, text) for part in PARTS}


def _read_part(root: Path, part: str, text: str) -> list[Utterance]:
    # Where links did not survive the copying, the part's files are texts that name the real ones.
    names = sorted(path.name.removesuffix(".trn") for path in (root / part).glob("*.wav.trn"))
    if not names:
        raise DataError(f"{root / part} holds no ….wav.trn; unpack {LAYOUT.source} again")
    missing = [
        str(path)
        for name in names
        for path in (root / "data" / name, root / "data" / f"{name}.trn")
        if not path.is_file()
    ]
    LAYOUT.require_audio(missing, len(names))
    return [_utterance(root / "data" / name, text) for name in names]


def _utterance(path: Path, text: str) -> Utterance:
    lines = read_lines(path.with_name(f"{path.name}.trn"))
    if len(lines) < 2:
        raise DataError(f"{path}.trn has {len(lines)} lines, but words and pinyin are needed")
    said = clean_text(lines[1]) if text == "pinyin" else "".join(lines[0].split())
    return Utterance(path.stem, path, said, speaker=path.stem.partition("_")[0])
