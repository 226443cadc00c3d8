"""Sound without speech: what augmentation adds to recordings, and what training hears where nobody speaks.

Shapes: N samples. Everything is drawn from the caller's generator, so the same state gives the same sound.
"""

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from paraformer.audio import read_audio
from paraformer.errors import DataError

AUDIO_ENDINGS = (".wav", ".flac", ".ogg", ".opus", ".mp3")
SLOPES_DB = (0.0, 6.0)
"""From white noise to brown, the range of rooms, wind and traffic; pink is 3. Decibels per octave."""
SILENCE_LEVELS_DB = (-85.0, -12.0)
"""Loudness of a sample of silence against full scale: from a quiet converter's hiss to louder than speech."""
MAINS_HERTZ = (50.0, 60.0)
BABBLERS = (4, 10)
"""Least and greatest number of voices at once: too many to follow one of them."""
_OCTAVE_DB = 20.0 * math.log10(2.0)
_BLOCK = 4096
"""Samples that noise is made in multiples of: Fourier transforms of such sizes are fast."""


def coloured_noise(size: int, slope_db: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise `(N,)` of root mean square 1, whose spectrum falls by so many decibels per octave.

    Args:
        size: N.
        slope_db: 0 for white noise, 3 for pink, 6 for brown.
        generator: Source of the noise.
    """
    if slope_db == 0:
        return torch.randn(size, generator=generator)
    padded = -(-size // _BLOCK) * _BLOCK
    frequency = torch.arange(padded // 2 + 1)
    # The spectrum of white noise is white noise; at frequency 0 there is none, so no constant offset.
    white = torch.view_as_complex(torch.randn(len(frequency), 2, generator=generator))
    falling = (frequency.float() ** (-slope_db / _OCTAVE_DB)).masked_fill(frequency == 0, 0.0)
    return _of_level_1(torch.fft.irfft(white * falling, n=padded)[:size])


def hum(size: int, sample_rate: int, generator: torch.Generator) -> Tensor:
    """The mains at 50 or 60 Hz with weaker harmonics, `(N,)`, root mean square 1."""
    choice = int(torch.randint(len(MAINS_HERTZ), (), generator=generator))
    harmonics = torch.arange(1, 9)
    strengths = torch.rand(8, generator=generator) / harmonics
    phases = 2 * torch.pi * torch.rand(8, generator=generator)
    turns = torch.arange(size, dtype=torch.float64) * (2 * torch.pi * MAINS_HERTZ[choice] / sample_rate)
    waves = torch.sin(turns.unsqueeze(1) * harmonics + phases) * strengths
    return _of_level_1(waves.sum(dim=1).float())


def babble(size: int, generator: torch.Generator, speak: Callable[[torch.Generator], Tensor]) -> Tensor:
    """Many voices at once, `(N,)`, root mean square 1: a room of people of whom none can be understood.

    Each voice is a recording of speech, played backwards so that it holds no words, from anywhere in it and
    repeated if it is too short.

    Args:
        size: N.
        generator: Source of the number of voices and of where each begins.
        speak: Draws a recording of speech.
    """
    mixed = torch.zeros(size)
    for _ in range(int(torch.randint(BABBLERS[0], BABBLERS[1] + 1, (), generator=generator))):
        mixed += _of_level_1(_stretch(speak(generator).flip(0), size, generator))
    return _of_level_1(mixed)


class RecordedNoise:
    """Recordings of noise in a folder, read when they are first drawn and then kept.

    Args:
        folder: Searched with everything below it.
        sample_rate: Hertz of what is drawn.

    Raises:
        DataError: if the folder is missing or holds no audio.
    """

    def __init__(self, folder: str | Path, sample_rate: int) -> None:
        self.files = noise_files(folder)
        self._sample_rate = sample_rate
        self._kept: dict[int, Tensor] = {}

    def draw(self, size: int, generator: torch.Generator) -> Tensor:
        """A stretch of one recording from anywhere in it, `(N,)`, root mean square 1; repeated if too short.

        Raises:
            DataError: if the recording cannot be read.
        """
        choice = int(torch.randint(len(self.files), (), generator=generator))
        if choice not in self._kept:
            self._kept[choice] = read_audio(self.files[choice], self._sample_rate)
        return _of_level_1(_stretch(self._kept[choice], size, generator))


def noise_files(folder: str | Path) -> list[Path]:
    """The audio files in a folder and below it, in the order of their names.

    Raises:
        DataError: if there is none.
    """
    folder = Path(folder)
    files = sorted(path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_ENDINGS)
    if not files:
        missing = "there is no folder" if not folder.is_dir() else "there is no audio in"
        raise DataError(
            f"{missing} {folder}, which data.augment.noise_folder names; it needs recordings of noise "
            f"({', '.join(AUDIO_ENDINGS)})"
        )
    return files


def nobody_speaks(
    size: int,
    sample_rate: int,
    generator: torch.Generator,
    recorded: RecordedNoise | None = None,
    speak: Callable[[torch.Generator], Tensor] | None = None,
) -> Tensor:
    """A recording in which nobody can be understood, `(N,)`.

    One in ten is digital silence, two are hum, two are babble, five are noise of any colour.

    Args:
        size: N.
        sample_rate: Hertz.
        generator: Source of kind, level and sound.
        recorded: Recorded noise, if there is any: then half of the sounds are taken from it.
        speak: Draws a recording of speech to make babble of; without it there is noise instead.
    """
    kind = float(torch.rand((), generator=generator))
    level = 10 ** (_uniform(*SILENCE_LEVELS_DB, generator) / 20)
    if recorded is not None and _uniform(0, 1, generator) < 0.5:
        return level * recorded.draw(size, generator)
    if kind < 0.1:
        return torch.zeros(size)
    if kind < 0.3 and speak is not None:
        return level * babble(size, generator, speak)
    noise = coloured_noise(size, _uniform(*SLOPES_DB, generator), generator)
    if kind > 0.8:  # a hum is never without some hiss
        return level * _of_level_1(hum(size, sample_rate, generator) + 0.1 * noise)
    return level * noise


def _stretch(wave: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """So many samples of a recording from anywhere in it, begun anew where it ends."""
    start = int(torch.randint(len(wave), (), generator=generator))
    return wave[torch.arange(start, start + size) % len(wave)]


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))


def _of_level_1(wave: Tensor) -> Tensor:
    """Scale `(N,)` to a root mean square of 1; silence stays silence."""
    return wave / wave.square().mean().sqrt().clamp(min=1e-9)
