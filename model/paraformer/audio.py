"""Reading and writing of audio files: mono float samples at the rate the features want.

Everything is read with libsndfile (WAV, FLAC, Ogg/Opus, MP3, NIST SPHERE, …) by its contents, not by its
name, averaged over its channels and resampled.
"""

import io
import math
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from paraformer.errors import DataError

SAMPLE_RATE = 16_000
"""Rate of everything past this module unless told otherwise, in hertz."""

LOUDEST = 2.0
"""Samples beyond this are no loud audio but of another scale, such as 16-bit integers kept as floats."""
MOST_PHASES = 2500
"""Largest term of the ratio of two rates for which a filter is made; it grows with both terms' product."""
NEAREST_HERTZ = 20
"""To what a rate is rounded that has no small ratio to the wanted one: at 8 kHz 0.1 % of pitch at most."""

_READABLE = "WAV, FLAC, Ogg, Opus or MP3"


def read_audio(source: str | Path | BinaryIO, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Read a recording as mono samples.

    Args:
        source: A file's path, or an open binary file such as standard input's buffer; it may be a pipe.
        sample_rate: Rate to resample to, in hertz.

    Returns:
        Samples `(N,)`, float32, nominally within ±1. Files of another scale are brought to a peak of 1.

    Raises:
        DataError: if the file is missing, empty, or cannot be decoded.
    """
    samples, rate = _decode(source)
    if samples.shape[0] == 0:
        raise DataError(f"{_name(source)} holds no audio (0 samples); record it again or drop it")
    if not np.isfinite(samples).all():
        raise DataError(f"{_name(source)} holds samples that are not finite numbers; convert it again")
    peak = float(np.abs(samples).max())
    if peak > LOUDEST:
        samples = samples / peak
    wave = torch.from_numpy(samples.mean(axis=1, dtype=np.float32))
    return resample(wave, rate, sample_rate)


def audio_seconds(path: str | Path) -> float:
    """Duration of a recording from its header, in seconds; its samples are not decoded.

    Raises:
        DataError: if the file is missing or is no audio.
    """
    try:
        info = soundfile.info(_opened(path))
    except soundfile.SoundFileError as error:
        raise _undecodable(path, error) from error
    return float(info.frames / info.samplerate)


def write_audio(path: str | Path, wave: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write samples `(N,)` as 16-bit audio in the format of the path's ending (`.flac`, `.wav`)."""
    soundfile.write(str(path), wave, sample_rate, subtype="PCM_16")


def resample(wave: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Resample `(N,)` from one rate to another, both in hertz, in the precision of `wave`.

    A rate such as 44,101 Hz, for which an exact filter would take gigabytes, is taken for the nearest one in
    steps of 20 Hz.
    """
    if max(from_rate, to_rate) / math.gcd(from_rate, to_rate) > MOST_PHASES:
        from_rate = max(1, round(from_rate / NEAREST_HERTZ)) * NEAREST_HERTZ
    if from_rate == to_rate:
        return wave
    resampled: Tensor = _resampler(from_rate, to_rate, wave.dtype)(wave)
    return resampled


@lru_cache(maxsize=32)
def _resampler(from_rate: int, to_rate: int, dtype: torch.dtype) -> torchaudio.transforms.Resample:
    """Kept with its filter: making that anew takes four times as long as resampling three seconds."""
    return torchaudio.transforms.Resample(from_rate, to_rate, dtype=dtype)


def _decode(source: str | Path | BinaryIO) -> tuple[np.ndarray, int]:
    """Samples `(N, channels)` and their rate."""
    try:
        samples, rate = soundfile.read(_opened(source), dtype="float32", always_2d=True)
    except soundfile.SoundFileError as error:
        raise _undecodable(source, error) from error
    return samples, rate


def _opened(source: str | Path | BinaryIO) -> str | BinaryIO:
    """What libsndfile can read: a path, or contents without a name, in which it can go back and forth."""
    if not isinstance(source, str | Path):
        return io.BytesIO(source.read())  # a pipe cannot be gone back in
    path = Path(source)
    _require_contents(path)
    # A file named *.raw would be taken for headerless samples, whatever it holds.
    return io.BytesIO(path.read_bytes()) if path.suffix.lower() == ".raw" else str(path)


def _require_contents(path: Path) -> None:
    try:
        size = path.stat().st_size
    except (OSError, ValueError) as error:  # ValueError: a name with a zero byte in it
        raise DataError(
            f"there is no audio file {path}; check the path, or the folder it is relative to"
        ) from error
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an audio file")
    if size == 0:
        raise DataError(f"{path} is an empty file (0 bytes); record or copy it again, or drop it")


def _undecodable(source: str | Path | BinaryIO, error: Exception) -> DataError:
    # libsndfile begins with the file's name, and says of some damaged files that they do not exist.
    reason = str(error).rsplit(": ", 1)[-1].rstrip(".")
    if "does not exist" in reason:
        reason = "no audio was found in it"
    return DataError(
        f"{_name(source)} cannot be read as audio ({reason}): it is damaged, cut short, or of another kind; "
        f"get it again or convert it to {_READABLE}"
    )


def _name(source: str | Path | BinaryIO) -> str:
    return str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "the audio"))
