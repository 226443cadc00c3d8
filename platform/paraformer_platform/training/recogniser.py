"""A trained model as one thing: samples in, text with times and confidences out."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from paraformer.decoding import Hypothesis, decode
from paraformer.errors import DataError
from paraformer.model import Paraformer
from paraformer.pieces import cut
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
    longest_seconds: Seconds
    """What it was trained on at most; longer recordings are cut where it is quiet."""
    batch_size: int
    """Recordings, or pieces of them, that are decoded at once."""

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
            longest_seconds=config.data.max_feat_len * config.data.feature_config.frame_shift_seconds,
            batch_size=config.decoding.batch_size,
        )

    @property
    def sample_rate(self) -> int:
        """Hertz of the samples that `transcribe` takes."""
        return self.frontend.extractor.config.sample_rate

    def transcribe(self, waves: Sequence[Tensor]) -> list[Transcript]:
        """Understand some recordings at once; none changes what is understood of another.

        A recording longer than any that the model was trained on is understood in pieces, cut where it is
        quiet (`paraformer.pieces`). In digital silence nothing is understood, whatever the model would make
        of it. To write nothing into noise has to be learned: see `data.augment.silence_share`.

        Args:
            waves: Samples `(N,)` of each, within ±1 at `sample_rate`.

        Raises:
            DataError: if one is not a single row of finite numbers.
        """
        return [joined(pieces) for pieces in self.transcribe_in_pieces(waves)]

    def transcribe_in_pieces(self, waves: Sequence[Tensor]) -> list[list[Transcript]]:
        """The same, with a transcript for each piece; times are those of the whole recording.

        Args:
            waves: Samples `(N,)` of each, within ±1 at `sample_rate`.

        Raises:
            DataError: if one is not a single row of finite numbers.
        """
        parts = [self._pieces(wave) for wave in waves]
        pieces = [wave[start:end] for wave, cuts in zip(waves, parts, strict=True) for start, end in cuts]
        understood = iter(self._understand(pieces))
        return [[_later(next(understood), start / self.sample_rate) for start, _ in cuts] for cuts in parts]

    def _pieces(self, wave: Tensor) -> list[tuple[int, int]]:
        """First and last sample of what is to be understood by itself; nothing of digital silence."""
        return cut(wave, self.sample_rate, self.longest_seconds) if _is_audible(wave) else []

    def _understand(self, waves: Sequence[Tensor]) -> list[Transcript]:
        """Transcripts of short recordings, those of like length decoded together."""
        order = sorted(range(len(waves)), key=lambda index: len(waves[index]))
        found: dict[int, Transcript] = {}
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            batch = self._understand_batch([waves[index] for index in chosen])
            found |= dict(zip(chosen, batch, strict=True))
        return [found[index] for index in range(len(waves))]

    def _understand_batch(self, waves: Sequence[Tensor]) -> list[Transcript]:
        features = [self.frontend.features(wave).to(self.device) for wave in waves]
        lengths = torch.tensor([len(one) for one in features], device=self.device)
        with autocast(self.precision, self.device):
            padded = pad_sequence(features, batch_first=True)  # (B, T, F)
            hypotheses = decode(self.model, padded, lengths, strategy=self.strategy)
        return [self._transcript(hypothesis) for hypothesis in hypotheses]

    def _transcript(self, found: Hypothesis) -> Transcript:
        decode_tokens = self.frontend.tokenizer.decode
        unknown: list[tuple[None, None]] = [(None, None)] * len(found.tokens)
        times = unknown if found.times is None else found.times
        spans = [
            TokenSpan(decode_tokens([token]), confidence, start, end)
            for token, confidence, (start, end) in zip(found.tokens, found.confidences, times, strict=True)
        ]
        return Transcript(decode_tokens(found.tokens), spans)


def joined(pieces: Sequence[Transcript]) -> Transcript:
    """One transcript of all pieces of a recording."""
    text = ""
    for piece in pieces:
        apart = " " if text and piece.text and not (_is_wide(text[-1]) and _is_wide(piece.text[0])) else ""
        text += apart + piece.text
    return Transcript(text, [span for piece in pieces for span in piece.tokens])


def _later(piece: Transcript, seconds: Seconds) -> Transcript:
    """A piece that begins so many seconds into its recording."""
    spans = [
        span
        if span.start is None or span.end is None
        else replace(span, start=span.start + seconds, end=span.end + seconds)
        for span in piece.tokens
    ]
    return Transcript(piece.text, spans)


def _is_wide(character: str) -> bool:
    """Whether it is written without spaces around it, as Chinese characters are."""
    return unicodedata.east_asian_width(character) in "WF"


def _is_audible(wave: Tensor) -> bool:
    if wave.dim() != 1 or not wave.is_floating_point() or not bool(wave.isfinite().all()):
        raise DataError(
            f"a recording must be finite floating-point samples (N,), but this is {tuple(wave.shape)} of "
            f"{wave.dtype}; read files with `paraformer.audio.read_audio`"
        )
    return wave.numel() > 0 and float(wave.abs().amax()) >= FAINTEST
