"""Recorded corpora, from the folder as their authors ship it to manifests.

==============  =========================================================================================
aishell         AISHELL-1: Mandarin sentences (`wav/train/S0002/….wav`)
an4             CMU's spelled names and numbers (`wav/an4_clstk/fash/….sph`)
audio_cmn       Mandarin words (`64k/hsk/cmn-….mp3`), as characters or as pinyin
common_voice    one language of a release (`train.tsv`, `clips/….mp3`)
fsdd            Free Spoken Digit Dataset (`recordings/7_jackson_32.wav`), also joined to digit strings
librispeech     LibriSpeech and mini_librispeech (`train-clean-100/speaker/chapter/….flac`)
speechocean762  English sentences read by Mandarin speakers (`train/text`, `WAVE/…`)
thchs30         Mandarin sentences (`data/A2_0.wav.trn`), as characters or as pinyin
folder          any folder of audio with a tab-separated file of transcripts
==============  =========================================================================================

fsdd is also read from `jackson/7_32.flac`, speechocean762 and audio_cmn from a `manifest.tsv` with a column
`split`: the layouts of this project's own copies. Audio stays where it is, except that joined and headerless
recordings are written beside the manifests.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from paraformer.audio import audio_seconds
from paraformer.corpora import (
    aishell,
    an4,
    audio_cmn,
    common_voice,
    fsdd,
    librispeech,
    plain_folder,
    speechocean762,
    thchs30,
)
from paraformer.corpora.splits import Splits
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance, write_manifest


@dataclass(frozen=True)
class Recipe:
    """How a corpus is read, and what can be chosen; of each choice the first is the default."""

    read: Callable[..., Splits]
    """Takes the folder, and `text` or `split` by name where there is a choice."""
    text: tuple[str, ...] = ()
    """Kinds of transcripts."""
    split: tuple[str, ...] = ()
    """Ways of dividing it."""

    def chosen(self, name: str, **wanted: str | None) -> dict[str, str]:
        """The options for `read`.

        Raises:
            ConfigError: if there is no such choice.
        """
        options = {}
        for option, value in wanted.items():
            allowed: tuple[str, ...] = getattr(self, option)
            if value is not None and value not in allowed:
                remedy = f"choose one of {', '.join(allowed)}" if allowed else "leave it out"
                raise ConfigError(f"{name} has no {option}={value!r}; {remedy}")
            if allowed:
                options[option] = value or allowed[0]
        return options


CORPORA = {
    "aishell": Recipe(aishell.read),
    "an4": Recipe(an4.read),
    "audio_cmn": Recipe(audio_cmn.read, text=("text", "pinyin")),
    "common_voice": Recipe(common_voice.read, text=("text", "sentence")),
    "folder": Recipe(plain_folder.read),
    "fsdd": Recipe(fsdd.read, split=fsdd.DIVISIONS),
    "librispeech": Recipe(librispeech.read),
    "speechocean762": Recipe(speechocean762.read),
    "thchs30": Recipe(thchs30.read, text=("text", "pinyin")),
}


def prepare(
    name: str,
    folder: str | Path,
    out: str | Path,
    *,
    join: tuple[int, int] | None = None,
    text: str | None = None,
    split: str | None = None,
) -> dict[str, Path]:
    """Turn a corpus into manifests.

    Args:
        name: One of `CORPORA`.
        folder: Where the corpus lies.
        out: Where the manifests go.
        join: For fsdd: least and most digits of a string; without it, single digits.
        text: Which transcripts: for audio_cmn and thchs30 `text` (characters) or `pinyin`, for common_voice
            `text` (words in lower case) or `sentence`.
        split: Which division: for fsdd `recordings` (the authors') or `speakers`.

    Returns:
        Manifests by split: train, dev, test and what else the authors have.

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
    options = CORPORA[name].chosen(name, text=text, split=split)
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}; name the one that holds {name}")
    splits = CORPORA[name].read(folder, **options)
    if join is not None:
        splits = fsdd.join_digits(splits, out, *join, apart=options["split"] == "speakers")
    elif name == "an4":
        splits = an4.write_headerless(splits, out)
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
