"""Augmentation of training data: speed, gain and noise on the samples, SpecAugment on the features.

Everything is drawn from a `torch.Generator` that the caller seeds, so that an utterance of an epoch sounds
the same whichever process prepares it.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from paraformer.audio import resample
from paraformer.errors import Fault

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
    """Least and greatest signal-to-noise ratio of added white noise, in decibels."""
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
        for name in ("gain_db", "noise_snr_db"):
            limits = getattr(self, name)
            if limits is not None and limits[0] > limits[1]:
                faults.append(Fault(name, limits, f"must be (least, greatest), but is {limits}"))
        for name in ("time_masks", "time_mask_frames", "frequency_masks", "frequency_mask_bins"):
            value = getattr(self, name)
            if value < 0:
                faults.append(Fault(name, value, f"must not be negative, but is {value}"))
        return faults

    @property
    def changes_samples(self) -> bool:
        """Whether features have to be computed anew in every epoch."""
        return bool(self.speeds) or self.gain_db is not None or self.noise_snr_db is not None


def augment_wave(wave: Tensor, sample_rate: int, config: AugmentConfig, generator: torch.Generator) -> Tensor:
    """Change speed, then gain, then add noise, each if configured.

    Args:
        wave: Samples `(N,)`.
        sample_rate: Their rate, in hertz.
        config: What to change.
        generator: Source of all choices.
    """
    if config.speeds:
        choice = int(torch.randint(len(config.speeds), (), generator=generator))
        wave = change_speed(wave, sample_rate, config.speeds[choice])
    if config.gain_db is not None:
        wave = wave * decibels(_uniform(*config.gain_db, generator))
    if config.noise_snr_db is not None:
        wave = add_noise(wave, _uniform(*config.noise_snr_db, generator), generator)
    return wave


def change_speed(wave: Tensor, sample_rate: int, speed: float) -> Tensor:
    """Play `(N,)` at another speed by resampling; speed 1.1 makes it 1.1 times shorter and higher."""
    hundredths = math.gcd(sample_rate, 100)  # exact for speeds in hundredths, and keeps the filter small
    played = round(sample_rate * speed / hundredths) * hundredths
    return resample(wave, played, sample_rate)


def add_noise(wave: Tensor, snr_db: float, generator: torch.Generator) -> Tensor:
    """Add white Gaussian noise to `(N,)` at a signal-to-noise ratio in decibels."""
    level = wave.square().mean().sqrt() / decibels(snr_db)
    return wave + torch.randn(wave.shape, generator=generator, dtype=wave.dtype) * level


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


def _uniform(low: float, high: float, generator: torch.Generator) -> float:
    return low + (high - low) * float(torch.rand((), generator=generator))
