"""Recorded corpora, from the folder as their authors ship it to manifests.

==============  =========================================================================================
speechocean762  English sentences read by Mandarin speakers (`train/text`, `WAVE/…`)
fsdd            Free Spoken Digit Dataset (`recordings/7_jackson_32.wav`), also joined to digit strings
audio_cmn       Mandarin words (`64k/hsk/cmn-….mp3`), as characters or as pinyin
folder          any folder of audio with a tab-separated file of transcripts
==============  =========================================================================================

The first three are also read from a `manifest.tsv` with a column `split`, the layout of this project's own
copies. Audio stays where it is, except that joined recordings are written beside the manifests.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from paraformer.audio import audio_seconds
from paraformer.corpora import audio_cmn, fsdd, plain_folder, speechocean762
from paraformer.corpora.splits import Splits
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance, write_manifest

CORPORA: dict[str, Callable[..., Splits]] = {
    "audio_cmn": audio_cmn.read,
    "folder": plain_folder.read,
    "fsdd": fsdd.read,
    "speechocean762": speechocean762.read,
}


def prepare(
    name: str,
    folder: str | Path,
    out: str | Path,
    *,
    join: tuple[int, int] | None = None,
    text: str = "text",
) -> dict[str, Path]:
    """Turn a corpus into manifests.

    Args:
        name: One of `CORPORA`.
        folder: Where the corpus lies.
        out: Where the manifests go.
        join: For fsdd: least and most digits of a string; without it, single digits.
        text: For audio_cmn: `text` for characters, `pinyin` for toned pinyin.

    Returns:
        Manifests by split: train, dev and test.

    Raises:
        ConfigError: if there is no such corpus, or it does not have such an option.
        DataError: if the folder does not hold it.
    """
    folder, out = Path(folder), Path(out)
    if name not in CORPORA:
        raise ConfigError(f"there is no recipe for corpus {name!r}; choose one of {', '.join(CORPORA)}")
    if join is not None and name != "fsdd":
        raise ConfigError(
            f"join={join} is for fsdd, whose recordings are single digits; {name} has sentences"
        )
    if text != "text" and name != "audio_cmn":
        raise ConfigError(f"text={text!r} is for audio_cmn; {name} has one kind of transcript")
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name the one that holds {name}")
    splits = CORPORA[name](folder, text) if name == "audio_cmn" else CORPORA[name](folder)
    if join is not None:
        splits = fsdd.join_digits(splits, out, *join)
    return _write(splits, out)


def _write(splits: Splits, out: Path) -> dict[str, Path]:
    out.mkdir(parents=True, exist_ok=True)
    manifests = {split: out / f"{split}.tsv" for split in _ordered(list(splits))}
    for split, path in manifests.items():
        write_manifest(path, [_with_duration(utterance) for utterance in splits[split]])
    return manifests


def _with_duration(utterance: Utterance) -> Utterance:
    if utterance.seconds is not None:
        return utterance
    return replace(utterance, seconds=audio_seconds(utterance.path))


def _ordered(names: Sequence[str]) -> list[str]:
    order = ["train", "dev", "test"]
    return sorted(names, key=lambda name: (order.index(name) if name in order else len(order), name))
