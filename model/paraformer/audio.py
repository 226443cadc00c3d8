"""Reading and writing of audio files: mono float samples at the rate the features want.

Everything is read with libsndfile (WAV, FLAC, Ogg/Opus, MP3, …) by its contents, not by its name, averaged
over its channels and resampled.
"""

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

_READABLE = "WAV, FLAC, Ogg, Opus or MP3"


def read_audio(source: str | Path | BinaryIO, sample_rate: int = SAMPLE_RATE) -> Tensor:
    """Read a recording as mono samples.

    Args:
        source: A file's path, or an open binary file such as standard input's buffer.
        sample_rate: Rate to resample to, in hertz.

    Returns:
        Samples `(N,)`, float32, nominally within ±1.

    Raises:
        DataError: if the file is missing, empty, or cannot be decoded.
    """
    samples, rate = _decode(source)
    if samples.shape[0] == 0:
        raise DataError(f"{_name(source)} holds no audio (0 samples); record it again or drop it")
    if not np.isfinite(samples).all():
        raise DataError(f"{_name(source)} holds samples that are not finite numbers; convert it again")
    wave = torch.from_numpy(samples.mean(axis=1, dtype=np.float32))
    return resample(wave, rate, sample_rate)


def audio_seconds(path: str | Path) -> float:
    """Duration of a recording from its header, in seconds; its samples are not decoded.

    Raises:
        DataError: if the file is missing or is no audio.
    """
    _require_contents(Path(path))
    try:
        info = soundfile.info(str(path))
    except (soundfile.SoundFileError, TypeError) as error:
        raise _undecodable(path, error) from error
    return float(info.frames / info.samplerate)


def write_audio(path: str | Path, wave: np.ndarray, sample_rate: int = SAMPLE_RATE) -> None:
    """Write samples `(N,)` as 16-bit audio in the format of the path's ending (`.flac`, `.wav`)."""
    soundfile.write(str(path), wave, sample_rate, subtype="PCM_16")


def resample(wave: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Resample `(N,)` from one rate to another, both in hertz, in the precision of `wave`."""
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
        if isinstance(source, str | Path):
            _require_contents(Path(source))
            samples, rate = soundfile.read(str(source), dtype="float32", always_2d=True)
        else:
            samples, rate = soundfile.read(source, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, TypeError) as error:
        # TypeError: libsndfile takes a file named *.raw for headerless samples and asks for their rate.
        raise _undecodable(source, error) from error
    return samples, rate


def _require_contents(path: Path) -> None:
    if not path.exists():
        raise DataError(f"there is no audio file {path}; check the path, or the folder it is relative to")
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an audio file")
    if path.stat().st_size == 0:
        raise DataError(f"{path} is an empty file (0 bytes); record or copy it again, or drop it")


def _undecodable(source: str | Path | BinaryIO, error: Exception) -> DataError:
    return DataError(f"{_name(source)} cannot be read as audio ({error}); convert it to {_READABLE}")


def _name(source: str | Path | BinaryIO) -> str:
    return str(source) if isinstance(source, str | Path) else str(getattr(source, "name", "the audio"))
