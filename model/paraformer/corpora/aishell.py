"""AISHELL-1 (Bu et al. 2017): 178 hours of Mandarin sentences read by 400 speakers, in the authors' parts.

The authors' folder `data_aishell` holds `transcript/aishell_transcript_v0.8.txt` and `wav/`, in which each
speaker is an archive of its own that has to be unpacked to `wav/{train,dev,test}/S0002/….wav`. Recordings
without a transcript, of which there are 325, are left out. Transcripts are characters without spaces, as CER
counts them. Speakers' genders are read from `resource_aishell/speaker.info` beside the folder, where it is.
"""

import unicodedata
from collections.abc import Mapping
from pathlib import Path

from paraformer.corpora.layout import Layout, read_lines
from paraformer.corpora.splits import Splits
from paraformer.errors import DataError
from paraformer.manifest import Utterance

TRANSCRIPT = "transcript/aishell_transcript_v0.8.txt"
LAYOUT = Layout(
    corpus="AISHELL-1",
    folder="data_aishell",
    needed=(TRANSCRIPT, "wav"),
    source="https://www.openslr.org/33 (data_aishell.tgz)",
)
PARTS = ("train", "dev", "test")


def read(folder: Path) -> Splits:
    """Utterances of train, dev and test, as characters.

    Raises:
        DataError: if the folder does not hold the corpus, or only its packed parts.
    """
    root = LAYOUT.find(folder)
    _require_unpacked(root / "wav")
    texts = dict(_transcript(line) for line in read_lines(root / TRANSCRIPT))
    genders = _genders(root.parent / "resource_aishell" / "speaker.info")
    splits = {part: _read_part(root / "wav" / part, texts, genders) for part in PARTS}
    for part, utterances in splits.items():
        if not utterances:
            raise DataError(f"no recording in {root / 'wav' / part} has a line in {root / TRANSCRIPT}")
    return splits


def _read_part(folder: Path, texts: Mapping[str, str], genders: Mapping[str, str]) -> list[Utterance]:
    utterances = []
    for path in sorted(folder.glob("*/*.wav")):
        speaker = path.parent.name
        groups = (("gender", genders[speaker]),) if speaker in genders else ()
        if path.stem in texts:
            utterances.append(Utterance(path.stem, path, texts[path.stem], speaker, groups=groups))
    return utterances


def _transcript(line: str) -> tuple[str, str]:
    name, *words = line.split()
    return name, unicodedata.normalize("NFKC", "".join(words)).lower()


def _genders(table: Path) -> dict[str, str]:
    """Lines such as `0002 F`; the folder of that speaker is S0002."""
    if not table.is_file():
        return {}
    pairs = (line.split() for line in read_lines(table))
    return {f"S{pair[0].removeprefix('S')}": pair[1].lower() for pair in pairs if len(pair) >= 2}


def _require_unpacked(wav: Path) -> None:
    missing = [part for part in PARTS if not (wav / part).is_dir()]
    if not missing:
        return
    archives = len(list(wav.glob("*.tar.gz")))
    remedy = (
        f"{wav} holds {archives} archives, one for each speaker: unpack them there, "
        f"`cd {wav} && for a in *.tar.gz; do tar xzf $a; done`"
        if archives
        else f"unpack all of {LAYOUT.source} again"
    )
    raise DataError(f"there is no folder {', '.join(missing)} in {wav}; {remedy}")
