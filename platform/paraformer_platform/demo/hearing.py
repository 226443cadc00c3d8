"""Everything that the demo page shows of one recording, as plain data for JSON.

Shapes: T feature frames, F mel bins, T' encoder frames, H heads.
"""

import base64
from dataclasses import asdict
from io import BytesIO
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from paraformer.audio import read_audio
from paraformer.errors import DataError
from paraformer.quality import SILENT_LEVEL
from paraformer_platform.inspection.attention import observe_attention
from paraformer_platform.inspection.firing import Firing, observe_firing
from paraformer_platform.training.recogniser import Recogniser

Plain = dict[str, Any]
Seconds = float

LEAST_SECONDS: Seconds = 0.1
MOST_PIXELS = 240
"""Rows of an attention picture; longer recordings are averaged to as many."""
_QUANTILES = (0.02, 0.995)
"""Values of a picture that are darkest and brightest: single outliers would leave all else flat."""


class UnreadableError(DataError):
    """A recording that the browser may know how to decode, and this program does not."""


def read_recording(audio: bytes, recogniser: Recogniser, most_seconds: Seconds) -> Tensor:
    """Samples `(N,)` of an uploaded recording, at the recogniser's rate.

    Raises:
        UnreadableError: if it is no audio that libsndfile knows.
        DataError: if it is too short, too long or silent.
    """
    try:
        wave = read_audio(BytesIO(audio), recogniser.sample_rate)
    except DataError as error:
        raise UnreadableError(str(error)) from error
    seconds = len(wave) / recogniser.sample_rate
    if seconds > most_seconds:
        raise DataError(
            f"the recording is {seconds:.1f} s long, more than the {most_seconds:g} s allowed here"
        )
    if seconds < LEAST_SECONDS:
        raise DataError(f"the recording is {seconds:.2f} s long; it must be at least {LEAST_SECONDS:g} s")
    level = float(wave.square().mean().sqrt())
    if level < SILENT_LEVEL:
        raise DataError(
            f"the recording is silent (level {level:.1g} of full scale); is the right microphone chosen?"
        )
    return wave


def hear(recogniser: Recogniser, wave: Tensor) -> Plain:
    """What a model understands of a recording, and how.

    Args:
        recogniser: The model.
        wave: Samples `(N,)` at the recogniser's rate.

    Returns:
        ``text`` and ``tokens`` (text, confidence, start, end); ``seconds``; the ``spectrogram`` as the model
        hears it; and ``predictor`` with the weight of every frame and the moments of firing, None where the
        decoder writes token by token and has no predictor.
    """
    transcript = recogniser.transcribe([wave])[0]
    firing = None if recogniser.model.is_autoregressive else observe_firing(recogniser, wave)
    features = recogniser.frontend.features(wave) if firing is None else firing.features  # (T, F)
    return {
        "text": transcript.text,
        "tokens": [asdict(token) for token in transcript.tokens],
        "seconds": len(wave) / recogniser.sample_rate,
        "spectrogram": {
            "columns": features.shape[0],
            "rows": features.shape[1],
            "shift": recogniser.frontend.extractor.config.frame_shift_seconds,
            "pixels": _pixels(features.T.flip(0)),  # high tones on top
        },
        "predictor": None if firing is None else _predictor(firing),
    }


def attention(recogniser: Recogniser, wave: Tensor, layer: int) -> Plain:
    """Where every head of an encoder layer looks in a recording.

    Args:
        recogniser: The model.
        wave: Samples `(N,)` at the recogniser's rate.
        layer: Which layer, from 0.

    Returns:
        ``side``, the rows and columns of each picture; ``seconds`` that they stand for; and of each of the
        ``heads`` how far it reaches, in seconds, and its pixels.

    Raises:
        ConfigError: if there is no such layer, or its attention keeps no weights.
    """
    seen = observe_attention(recogniser, wave, layer)
    frames = seen.weights.shape[1]
    side = min(frames, MOST_PIXELS)
    pictures = adaptive_avg_pool2d(seen.weights, (side, side))  # (H, side, side)
    return {
        "layer": layer,
        "side": side,
        "seconds": frames * seen.frame_shift,
        "heads": [
            {"reach": reach, "pixels": _pixels(picture)}
            for reach, picture in zip(seen.reach, pictures, strict=True)
        ],
    }


def _predictor(firing: Firing) -> Plain:
    return {
        "shift": firing.frame_shift,
        "weights": [round(weight, 4) for weight in firing.alphas.tolist()],
        "count": round(firing.count, 3),
        "fires": [round(time, 4) for time in firing.fires],
    }


def _pixels(values: Tensor) -> str:
    """Values as bytes in base64, row by row, the darkest 0 and the brightest 255."""
    flat = values.float().flatten()
    low, high = (torch.quantile(flat[:: max(1, len(flat) // 1_000_000)], q) for q in _QUANTILES)
    scaled = (values - low) / (high - low).clamp(min=1e-9)
    return base64.b64encode((scaled.clamp(0, 1) * 255).round().byte().numpy().tobytes()).decode("ascii")
