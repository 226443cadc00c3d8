"""Audio to features: log-mel as most recipes compute it, or Kaldi's filter banks, and their normalisation.

Shapes: N samples, T frames, F mel bins. One utterance at a time: on a CPU that is faster than a padded batch,
whose temporaries leave the cache, and a batch cannot change its members.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
import torchaudio
from torch import Tensor, nn

from paraformer.errors import ConfigError, DataError, Fault

LOG_FLOOR = 1e-9
"""Added to a mel energy before the logarithm, so that digital silence stays finite."""
KALDI_SCALE = 32768.0
"""Kaldi's filter banks are defined on 16-bit integers; ours start from samples within ±1."""
MIN_STD = 1e-3
"""Least standard deviation that normalisation divides by."""


@dataclass(frozen=True)
class FeatureConfig:
    """Which features, and at which resolution."""

    kind: str = "log_mel"
    """`log_mel` (power mel spectrogram, HTK mel scale, log(x + 1e-9)) or `kaldi_fbank`."""
    sample_rate: int = 16_000
    """Rate of the audio, in hertz."""
    n_fft: int = 400
    """Window, in samples: 25 ms."""
    hop_length: int = 160
    """Step between frames, in samples: 10 ms."""
    num_mels: int = 80
    """Mel bins, F."""
    dither: float = 0.0
    """Gaussian noise added in training, as a share of the 16-bit step 1/32768; never at evaluation."""

    def faults(self) -> list[Fault]:
        """Everything wrong with the values."""
        faults = []
        if self.kind not in ("log_mel", "kaldi_fbank"):
            faults.append(Fault("kind", self.kind, f"must be log_mel or kaldi_fbank, but is {self.kind!r}"))
        for name in ("sample_rate", "n_fft", "hop_length", "num_mels"):
            value = getattr(self, name)
            if value < 1:
                faults.append(Fault(name, value, f"must be at least 1, but is {value}"))
        if self.dither < 0:
            faults.append(Fault("dither", self.dither, f"must not be negative, but is {self.dither}"))
        return faults

    @property
    def frame_shift_seconds(self) -> float:
        """Time between two frames."""
        return self.hop_length / self.sample_rate


class FeatureExtractor(nn.Module):
    """Features of one utterance: samples `(N,)` to `(T, F)`.

    Raises:
        ConfigError: if the configuration is impossible.
    """

    def __init__(self, config: FeatureConfig | None = None) -> None:
        super().__init__()
        self.config = config or FeatureConfig()
        faults = self.config.faults()
        if faults:
            raise ConfigError("\n".join(f"features.{fault}" for fault in faults))
        self._mel = torchaudio.transforms.MelSpectrogram(
            sample_rate=self.config.sample_rate,
            n_fft=self.config.n_fft,
            hop_length=self.config.hop_length,
            n_mels=self.config.num_mels,
        )

    def forward(self, wave: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Compute features.

        Args:
            wave: Samples `(N,)` within ±1 at the configured rate; fewer than a window are padded with zeros.
            generator: Source of the dither; without one there is none, as at evaluation.

        Returns:
            Features `(T, F)`, T as `num_frames` says.
        """
        if wave.numel() < self.config.n_fft:
            wave = nn.functional.pad(wave, (0, self.config.n_fft - wave.numel()))
        if generator is not None and self.config.dither > 0:
            noise = torch.randn(wave.shape, generator=generator, dtype=wave.dtype)
            wave = wave + noise * (self.config.dither / KALDI_SCALE)
        return self._kaldi_fbank(wave) if self.config.kind == "kaldi_fbank" else self._log_mel(wave)

    def num_frames(self, samples: int) -> int:
        """T for a number of samples N."""
        samples = max(samples, self.config.n_fft)
        if self.config.kind == "kaldi_fbank":
            return 1 + (samples - self.config.n_fft) // self.config.hop_length  # only whole windows
        return 1 + samples // self.config.hop_length  # windows centred on every hop, reflected at the ends

    def _log_mel(self, wave: Tensor) -> Tensor:
        energies: Tensor = self._mel(wave)  # (F, T)
        return torch.log(energies + LOG_FLOOR).transpose(0, 1).contiguous()

    def _kaldi_fbank(self, wave: Tensor) -> Tensor:
        per_millisecond = self.config.sample_rate / 1000
        banks: Tensor = torchaudio.compliance.kaldi.fbank(
            wave.unsqueeze(0) * KALDI_SCALE,
            num_mel_bins=self.config.num_mels,
            sample_frequency=self.config.sample_rate,
            frame_length=self.config.n_fft / per_millisecond,
            frame_shift=self.config.hop_length / per_millisecond,
        )
        return banks


@dataclass(frozen=True)
class GlobalCmvn:
    """Mean and variance normalisation with the statistics of the training set."""

    mean: Tensor
    """Mean of each feature, `(F,)`."""
    std: Tensor
    """Standard deviation of each feature, `(F,)`."""

    @classmethod
    def from_features(cls, utterances: Iterable[Tensor]) -> Self:
        """Statistics over all frames of some utterances, each `(T, F)`; sums run in double precision.

        Raises:
            DataError: if there is no frame at all.
        """
        count, total, squares = 0, torch.zeros(()), torch.zeros(())
        for features in utterances:
            double = features.double()
            count += len(double)
            total = total + double.sum(0)
            squares = squares + double.square().sum(0)
        if count == 0:
            raise DataError(
                "feature normalisation needs at least one frame of training audio, but there is none"
            )
        mean = total / count
        variance = (squares / count - mean.square()).clamp_min(0)
        return cls(mean.float(), variance.sqrt().clamp_min(MIN_STD).float())

    def apply(self, features: Tensor) -> Tensor:
        """Normalise features `(…, F)`."""
        return (features - self.mean.to(features)) / self.std.to(features)

    def to_state(self) -> dict[str, Any]:
        """Mean and standard deviation, for a checkpoint."""
        return {"mean": self.mean, "std": self.std}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """Make the normalisation that `to_state` described."""
        return cls(torch.as_tensor(state["mean"]), torch.as_tensor(state["std"]))
