"""The Free Spoken Digit Dataset: single English digits, and strings of them made by joining recordings.

Its authors' test set are the recordings with index 0–4 of each speaker and digit; those with index 5–9 are
dev here. All speakers are in all parts, so this tells nothing about strangers. The division by speakers does:
yweweler is test, lucas dev, all others train, with all of their recordings; and of joined strings, training
is without those that dev or test have too, but for single digits, of which there are only ten.
"""

import itertools
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from paraformer.audio import read_audio, write_audio
from paraformer.corpora.layout import contents
from paraformer.corpora.splits import Splits
from paraformer.errors import ConfigError, DataError
from paraformer.manifest import Utterance

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SAMPLE_RATE = 8000
"""Rate of the recordings, and of the strings joined from them, in hertz."""
DIVISIONS = ("recordings", "speakers")
"""The authors', and the one in which test and dev have speakers of their own."""
SPEAKERS = {"lucas": "dev", "yweweler": "test"}
"""Parts of the division by speakers; who is not named is in train."""
PASSES = 4
"""How many strings each recording is in."""
PAUSE_SECONDS = (0.05, 0.25)
"""Least and greatest pause between digits, and around the string."""

_AUTHORS_NAME = re.compile(r"recordings/(?P<digit>\d)_(?P<speaker>[a-z]+)_(?P<index>\d+)\.wav")
_OUR_NAME = re.compile(r"(?P<speaker>[a-z]+)/(?P<digit>\d)_(?P<index>\d+)\.flac")


def read(folder: Path, split: str = "recordings") -> Splits:
    """Utterances of train, dev and test, one digit each.

    Args:
        folder: The authors' folder, or the project's copy.
        split: One of `DIVISIONS`.

    Raises:
        DataError: if the folder holds no recording of it.
    """
    splits: Splits = {"train": [], "dev": [], "test": []}
    for path in sorted([*folder.glob("recordings/*.wav"), *folder.glob("*/*.flac")]):
        relative = path.relative_to(folder).as_posix()
        name = _AUTHORS_NAME.fullmatch(relative) or _OUR_NAME.fullmatch(relative)
        if name:
            key = f"{name['speaker']}_{name['digit']}_{int(name['index']):02d}"
            utterance = Utterance(key, path, DIGITS[int(name["digit"])], name["speaker"])
            part = _part(int(name["index"])) if split == "recordings" else SPEAKERS.get(name["speaker"])
            splits[part or "train"].append(utterance)
    if not any(splits.values()):
        raise DataError(
            f"{folder} holds no recordings/7_jackson_32.wav and the like, but {contents(folder)}; name the "
            "folder of FSDD (github.com/Jakobovski/free-spoken-digit-dataset)"
        )
    empty = [part for part, utterances in splits.items() if not utterances]
    if empty:
        raise DataError(f"{folder} has no recordings for {', '.join(empty)} by {split}; get all of FSDD")
    return splits


def join_digits(splits: Splits, out: Path, least: int, most: int, *, apart: bool = False) -> Splits:
    """Join recordings of one speaker and part to digit strings, written to `out/audio` at 8 kHz.

    Every recording is used four times, each time in a string of its own.

    Args:
        splits: Single digits.
        out: Where the audio goes; the same input gives the same bytes.
        least: Least digits of a string.
        most: Most digits of a string.
        apart: Leave out of train what dev or test says too, in two digits or more.

    Raises:
        ConfigError: if `least` and `most` are impossible.
    """
    if not 1 <= least <= most:
        raise ConfigError(f"join needs 1 ≤ least ≤ most digits, but is {least} … {most}")
    joined = {part: list(_join_part(part, splits[part], out, least, most)) for part in splits}
    return {**joined, "train": list(_without_common(joined))} if apart else joined


def _without_common(splits: Splits) -> Iterator[Utterance]:
    held_out = {utterance.text for part in splits if part != "train" for utterance in splits[part]}
    for utterance in splits["train"]:
        if " " in utterance.text and utterance.text in held_out:
            utterance.path.unlink()
        else:
            yield utterance


def _part(index: int) -> str:
    return "test" if index < 5 else "dev" if index < 10 else "train"


def _join_part(
    part: str, utterances: list[Utterance], out: Path, least: int, most: int
) -> Iterator[Utterance]:
    by_speaker: dict[str, list[Utterance]] = defaultdict(list)
    for utterance in utterances:
        by_speaker[str(utterance.speaker)].append(utterance)
    (out / "audio" / part).mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng([least, most, *part.encode()])
    for speaker, recordings in sorted(by_speaker.items()):
        waves = {u.id: read_audio(u.path, SAMPLE_RATE).numpy() for u in recordings}
        for number, chosen in enumerate(_cut(recordings, least, most, rng)):
            name = f"{speaker}_{number:04d}"
            path = out / "audio" / part / f"{name}.flac"
            wave = _with_pauses([waves[u.id] for u in chosen], rng)
            write_audio(path, wave, SAMPLE_RATE)
            text = " ".join(u.text for u in chosen)
            yield Utterance(f"{part}_{name}", path, text, speaker, len(wave) / SAMPLE_RATE)


def _cut(
    recordings: list[Utterance], least: int, most: int, rng: np.random.Generator
) -> Iterator[list[Utterance]]:
    """Shuffle and cut into strings, several times; what is left of a pass is too short for a string."""
    for _ in range(PASSES):
        waiting = iter([recordings[place] for place in rng.permutation(len(recordings))])
        while True:
            chosen = list(itertools.islice(waiting, int(rng.integers(least, most + 1))))
            if len(chosen) < least:
                break
            yield chosen


def _with_pauses(waves: list[np.ndarray], rng: np.random.Generator) -> np.ndarray:
    """Join, with pauses that hiss as faintly as the quietest 20 ms of the recordings.

    Digital silence would give every boundary away: it does not occur in the recordings.
    """
    quietest = min(_quietest(wave) for wave in waves)
    pieces = [_pause(quietest, rng)]
    for wave in waves:
        pieces += [wave, _pause(quietest, rng)]
    return np.concatenate(pieces)


def _pause(level: float, rng: np.random.Generator) -> np.ndarray:
    count = int(rng.uniform(*PAUSE_SECONDS) * SAMPLE_RATE)
    return (level * rng.standard_normal(count)).astype(np.float32)


def _quietest(wave: np.ndarray) -> float:
    window = SAMPLE_RATE // 50
    frames = wave[: len(wave) // window * window].reshape(-1, window)
    return float(np.sqrt((frames**2).mean(axis=1)).min()) if len(frames) else 0.0
