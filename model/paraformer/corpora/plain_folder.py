"""Any folder of audio with a tab-separated file of transcripts.

The file is a manifest (see `paraformer.manifest`) named manifest.tsv or transcripts.tsv, or the only .tsv
there is. Its column `split` decides the parts, if it has one. Of dev and test those it lacks are held out of
train, a tenth each: by speaker where the manifest names enough of them, by sentence where not.
"""

from pathlib import Path

from paraformer.corpora.splits import Splits, hold_out, read_with_splits
from paraformer.errors import DataError
from paraformer.manifest import Utterance, read_manifest, read_rows

SHARES = {"dev": 0.1, "test": 0.1}


def read(folder: Path) -> Splits:
    """Utterances of the parts.

    Raises:
        DataError: if there is no list of transcripts, it is faulty, or names no split 'train'.
    """
    manifest = _manifest(folder)
    utterances = read_manifest(manifest)
    first = next(read_rows(manifest, []))
    splits = read_with_splits(manifest) if "split" in first.cells else {"train": utterances}
    if "train" not in splits:
        raise DataError(f"{manifest} has no split 'train', but {', '.join(splits)}")
    missing = {part: share for part, share in SHARES.items() if part not in splits}
    return {**splits, **_hold_out(splits["train"], missing)}


def _hold_out(utterances: list[Utterance], shares: dict[str, float]) -> Splits:
    speakers = {utterance.speaker for utterance in utterances}
    by_speaker = None not in speakers and len(speakers) > len(shares)
    return hold_out(utterances, shares, _speaker if by_speaker else _sentence)


def _speaker(utterance: Utterance) -> str:
    return str(utterance.speaker)


def _sentence(utterance: Utterance) -> str:
    return utterance.text


def _manifest(folder: Path) -> Path:
    for name in ("manifest.tsv", "transcripts.tsv"):
        if (folder / name).is_file():
            return folder / name
    found = sorted(folder.glob("*.tsv"))
    if len(found) != 1:
        listed = ", ".join(path.name for path in found) or "none"
        raise DataError(
            f"{folder} needs one file of transcripts, manifest.tsv or transcripts.tsv; "
            f"files .tsv there: {listed}"
        )
    return found[0]
