"""AN4 (CMU, about 1991): spelled names, addresses, numbers and commands, 948 for training and 130 for test.

The authors' folder holds `etc/an4_{train,test}.fileids`, `etc/an4_{train,test}.transcription` and the audio
in `wav/`, either NIST SPHERE (`.sph`) or headerless 16-bit samples at 16 kHz (`.raw`, of either byte order).
Headerless audio is written as FLAC beside the manifests. The authors' test set has speakers of its own; a
tenth of the training utterances, by speaker, are dev.
"""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from paraformer.audio import write_audio
from paraformer.corpora.layout import Layout, read_lines
from paraformer.corpora.splits import Splits, hold_out
from paraformer.errors import DataError
from paraformer.manifest import Utterance, clean_text

LAYOUT = Layout(
    corpus="AN4",
    folder="an4",
    needed=(
        "etc/an4_train.fileids",
        "etc/an4_train.transcription",
        "etc/an4_test.fileids",
        "etc/an4_test.transcription",
        "wav",
    ),
    source="http://www.speech.cs.cmu.edu/databases/an4 (an4_sphere.tar.gz)",
)
SAMPLE_RATE = 16_000
"""Rate of all recordings, in hertz."""
DEV_SHARE = 0.1
ENDINGS = (".sph", ".raw", ".wav", ".flac")
"""The authors' two forms, and what people convert them to."""

_LINE = re.compile(r"(?:<s>\s*)?(?P<text>.*?)\s*(?:</s>)?\s*\((?P<id>[^()\s]+)\)")
"""`<s> GLENN </s> (cen2-mgah-b)` in training; the test's lines have no marks."""


def read(folder: Path) -> Splits:
    """Utterances of train, dev and test; transcripts in lower case."""
    root = LAYOUT.find(folder)
    train, test = (_read_part(root, part) for part in ("train", "test"))
    return {**hold_out(train, {"dev": DEV_SHARE}, lambda utterance: str(utterance.speaker)), "test": test}


def write_headerless(splits: Splits, out: Path) -> Splits:
    """Write headerless recordings to `out/audio` as FLAC; others stay where they are."""
    return {
        part: [_with_header(u, out) if u.path.suffix == ".raw" else u for u in splits[part]]
        for part in splits
    }


def _read_part(root: Path, part: str) -> list[Utterance]:
    texts = dict(_transcripts(root / "etc" / f"an4_{part}.transcription"))
    names = read_lines(root / "etc" / f"an4_{part}.fileids")
    found = {name: _audio(root / "wav" / name) for name in names}
    LAYOUT.require_audio(
        [f"{root / 'wav' / name}.sph or .raw" for name, path in found.items() if not path], len(names)
    )
    utterances = []
    for name, path in found.items():
        key = name.rsplit("/", 1)[-1]
        if key not in texts:
            raise DataError(f"{root / 'etc'}: {key} of an4_{part}.fileids is not in an4_{part}.transcription")
        assert path is not None
        utterances.append(Utterance(key, path, texts[key], speaker=path.parent.name))
    return utterances


def _transcripts(path: Path) -> Iterator[tuple[str, str]]:
    for number, line in enumerate(read_lines(path), start=1):
        match = _LINE.fullmatch(line)
        if match is None:
            raise DataError(f"{path}:{number}: {line!r} is not `words (name)`")
        yield match["id"], clean_text(match["text"]).lower()


def _audio(stem: Path) -> Path | None:
    candidates = (stem.with_name(stem.name + ending) for ending in ENDINGS)
    return next((path for path in candidates if path.is_file()), None)


def _with_header(utterance: Utterance, out: Path) -> Utterance:
    path = out / "audio" / f"{utterance.id}.flac"
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = _native(np.fromfile(utterance.path, dtype="<i2"))
    write_audio(path, samples.astype(np.float32) / 32768, SAMPLE_RATE)
    return replace(utterance, path=path)


def _native(samples: np.ndarray) -> np.ndarray:
    """Samples in the byte order in which they change less from one to the next, as those of speech do."""
    swapped = samples.byteswap()
    changes = [np.abs(np.diff(one.astype(np.int64))).sum() for one in (samples, swapped)]
    return samples if changes[0] <= changes[1] else swapped
