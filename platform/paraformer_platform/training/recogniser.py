"""A trained model as one thing: samples in, text with times and confidences out."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paraformer.decoding import Hypothesis, decode
from paraformer.errors import DataError
from paraformer.model import Paraformer
from paraformer_platform.training.checkpoint import build_frontend, build_model, load_checkpoint
from paraformer_platform.training.frontend import Frontend
from paraformer_platform.training.gang import device_of_rank
from paraformer_platform.training.precision import autocast

Seconds = float
FAINTEST = 1 / 32768
"""One step of 16-bit audio; in a recording that never reaches it, nothing can be heard."""


@dataclass(frozen=True)
class TokenSpan:
    """One token of a transcript."""

    text: str
    confidence: float
    """Probability in the model's own opinion, 0 … 1."""
    start: Seconds | None
    """From the beginning of the recording; None where the decoder does not know."""
    end: Seconds | None


@dataclass(frozen=True)
class Transcript:
    """What was understood of one recording."""

    text: str
    tokens: list[TokenSpan]


@dataclass(frozen=True)
class Recogniser:
    """A model with its front end."""

    model: Paraformer
    frontend: Frontend
    device: torch.device
    strategy: str
    precision: str

    @classmethod
    def load(cls, path: str | Path, strategy: str | None = None) -> "Recogniser":
        """Make the recogniser of a checkpoint, on the GPU where there is one.

        Args:
            path: The checkpoint.
            strategy: How to decode; by default as in its training.

        Raises:
            CheckpointError: if the checkpoint is missing or damaged.
        """
        checkpoint = load_checkpoint(path)
        config, device = checkpoint.config, device_of_rank()
        return cls(
            model=build_model(checkpoint).to(device),
            frontend=build_frontend(checkpoint),
            device=device,
            strategy=strategy or config.decoding.strategy,
            precision=config.training.precision,
        )

    @property
    def sample_rate(self) -> int:
        """Hertz of the samples that `transcribe` takes."""
        return self.frontend.extractor.config.sample_rate

    def transcribe(self, waves: Sequence[Tensor]) -> list[Transcript]:
        """Understand some recordings at once; none changes what is understood of another.

        In digital silence nothing is understood, whatever the model would make of it. To write nothing into
        noise has to be learned: see `data.augment.silence_share`.

        Args:
            waves: Samples `(N,)` of each, within ±1 at `sample_rate`.

        Raises:
            DataError: if one is not a single row of finite numbers.
        """
        audible = [_is_audible(wave) for wave in waves]
        heard = [wave for wave, loud in zip(waves, audible, strict=True) if loud]
        understood = iter(self._understand(heard) if heard else [])
        return [next(understood) if loud else Transcript("", []) for loud in audible]

    def _understand(self, waves: Sequence[Tensor]) -> list[Transcript]:
        features = [self.frontend.features(wave).to(self.device) for wave in waves]
        lengths = torch.tensor([len(one) for one in features], device=self.device)
        with autocast(self.precision, self.device):
            padded = pad_sequence(features, batch_first=True)  # (B, T, F)
            found = decode(self.model, padded, lengths, strategy=self.strategy)
        return [self._transcript(hypothesis) for hypothesis in found]

    def _transcript(self, found: Hypothesis) -> Transcript:
        decode_tokens = self.frontend.tokenizer.decode
        unknown: list[tuple[None, None]] = [(None, None)] * len(found.tokens)
        times = unknown if found.times is None else found.times
        spans = [
            TokenSpan(decode_tokens([token]), confidence, start, end)
            for token, confidence, (start, end) in zip(found.tokens, found.confidences, times, strict=True)
        ]
        return Transcript(decode_tokens(found.tokens), spans)


def _is_audible(wave: Tensor) -> bool:
    if wave.dim() != 1 or not wave.is_floating_point() or not bool(wave.isfinite().all()):
        raise DataError(
            f"a recording must be finite floating-point samples (N,), but this is {tuple(wave.shape)} of "
            f"{wave.dtype}; read files with `paraformer.audio.read_audio`"
        )
    return wave.numel() > 0 and float(wave.abs().amax()) >= FAINTEST
