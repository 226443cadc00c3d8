"""Augmentation of training data: speed, gain and noise on the samples, SpecAugment on the features.

Everything is drawn from a `torch.Generator` that the caller seeds, so that an utterance of an epoch sounds
the same whichever process prepares it. The speed is drawn first: from a generator in the same state
`draw_speed` tells it, and with it the utterance's length, before any audio is read.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from paraformer.audio import resample
from paraformer.errors import Fault
from paraformer.noise import RecordedNoise, coloured_noise

MAX_TIME_SHARE = 0.2
"""Most of an utterance that one time mask may hide: a short one keeps its words."""


@dataclass(frozen=True)
class AugmentConfig:
    """What is changed in training; the defaults change nothing."""

    speeds: tuple[float, ...] = ()
    """Speeds to choose from per utterance and epoch, (0.9, 1.0, 1.1) usually; pitch changes along."""
    gain_db: tuple[float, float] | None = None
    """Least and greatest gain, in decibels."""
    noise_snr_db: tuple[float, float] | None = None
    """Least and greatest signal-to-noise ratio of added noise, in decibels: (5, 25) is noisy to clean."""
    noise_slope_db: tuple[float, float] = (0.0, 0.0)
    """Least and greatest fall of the noise's spectrum, in decibels per octave: 0 white, 3 pink, 6 brown."""
    noise_folder: str | None = None
    """Folder of recordings of noise, added in place of synthetic noise."""
    noise_share: float = 1.0
    """Share of the utterances that noise is added to."""
    silence_share: float = 0.0
    """Recordings without speech that are added to the training set, with empty transcripts, as a share of
    its utterances: silence, noise, hum. A model that never heard any writes words where nobody speaks."""
    time_masks: int = 0
    """Number of time masks; SpecAugment as published has 2."""
    time_mask_frames: int = 40
    """Greatest width of a time mask, in frames (10 ms); at most a fifth of the utterance."""
    frequency_masks: int = 0
    """Number of frequency masks; SpecAugment as published has 2."""
    frequency_mask_bins: int = 27
    """Greatest width of a frequency mask, in mel bins."""

    def faults(self) -> list[Fault]:
        """Everything wrong with the values."""
        faults = [
            Fault("speeds", self.speeds, f"must lie within 0.5 and 2, but one is {speed}")
            for speed in self.speeds
            if not 0.5 <= speed <= 2
        ]
        for name in ("gain_db", "noise_snr_db", "noise_slope_db"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                faults.append(Fault(name, limits, f"must be (least, greatest), but is {limits}"))
        for name in ("noise_share", "silence_share"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                faults.append(Fault(name, value, f"must lie within 0 and 1, but is {value}"))
        if self.noise_folder is not None and self.noise_snr_db is None and self.silence_share == 0:
            message = "is read for noise_snr_db or silence_share; set one of them, or leave the folder out"
            faults.append(Fault("noise_folder", self.noise_folder, message))
        for name in ("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bins"):
            value = getattr(self, name)
            if value < 0:
                faults.append(Fault(name, value, f"must not be negative, but is {value}"))
        return faults

    @property
    def changes_samples(self) -> bool:
        """Whether features have to be computed anew in every epoch."""
        return bool(self.speeds) or self.gain_db is not None or self.noise_snr_db is not None


def augment_wave(
    wave: Tensor,
    sample_rate: int,
    config: AugmentConfig,
    generator: torch.Generator,
    recorded: RecordedNoise | None = None,
) -> Tensor:
    """Change speed, then gain, then add noise, each if configured.

    Args:
        wave: Samples `(N,)`.
        sample_rate: Their rate, in hertz.
        config: What to change.
        generator: Source of all choices.
        recorded: The recordings of `noise_folder`, if it is configured.
    """
    if config.speeds:
        wave = change_speed(wave, sample_rate, draw_speed(config, generator))
    if config.gain_db is not None:
        wave = wave * decibels(_uniform(*config.gain_db, generator))
    if config.noise_snr_db is not None and _uniform(0, 1, generator) < config.noise_share:
        snr_db = _uniform(*config.noise_snr_db, generator)
        slope_db = _uniform(*config.noise_slope_db, generator)
        if recorded is not None:
            noise = recorded.draw(len(wave), generator)
        else:
            noise = coloured_noise(len(wave), slope_db, generator)
        wave = add_noise(wave, noise, snr_db)
    return wave


def draw_speed(config: AugmentConfig, generator: torch.Generator) -> float:
    """One of the configured speeds, 1 if there are none."""
    if not config.speeds:
        return 1.0
    return config.speeds[int(torch.randint(len(config.speeds), (), generator=generator))]


def change_speed(wave: Tensor, sample_rate: int, speed: float) -> Tensor:
    """Play `(N,)` at another speed by resampling; speed 1.1 makes it 1.1 times shorter and higher."""
    return resample(wave, _played_rate(sample_rate, speed), sample_rate)


def changed_size(size: int, sample_rate: int, speed: float) -> int:
    """How many samples `change_speed` makes of so many."""
    return math.ceil(size * sample_rate / _played_rate(sample_rate, speed))


def add_noise(wave: Tensor, noise: Tensor, snr_db: float) -> Tensor:
    """Add noise of root mean square 1 to samples, both `(N,)`, at a signal-to-noise ratio in decibels."""
    return wave + noise * (wave.square().mean().sqrt() / decibels(snr_db))


def spec_augment(features: Tensor, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Hide bands of time and of frequency (SpecAugment, Park et al. 2019, without time warping).

    Args:
        features: Normalised features `(T, F)`: what is hidden becomes 0, their mean.
        config: Number and width of the masks.
        generator: Source of their widths and places.
    """
    num_frames, num_bins = features.shape
    widest = min(config.time_mask_frames, int(num_frames * MAX_TIME_SHARE))
    hidden_frames = _bands(num_frames, config.time_masks, widest, generator)  # (T,)
    hidden_bins = _bands(num_bins, config.frequency_masks, config.frequency_mask_bins, generator)  # (F,)
    return features.masked_fill(hidden_frames.unsqueeze(1) | hidden_bins, 0.0)


def decibels(value: float) -> float:
    """Factor on the amplitude."""
    return float(10.0 ** (value / 20.0))


def _bands(size: int, count: int, widest: int, generator: torch.Generator) -> Tensor:
    """Booleans `(size,)`, true within `count` bands of 0 … `widest` positions, each anywhere it fits."""
    widths, places = torch.rand(2, count, generator=generator)
    widths = (widths * (min(widest, size) + 1)).floor()
    starts = (places * (size - widths + 1)).floor()
    positions = torch.arange(size).unsqueeze(1)  # against all bands at once: (size, count)
    return ((positions >= starts) & (positions < starts + widths)).any(dim=1)


def _played_rate(sample_rate: int, speed: float) -> int:
    hundredths = math.gcd(sample_rate, 100)  # exact for speeds in hundredths, and keeps the filter small
    return round(sample_rate * speed / hundredths) * hundredths


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
